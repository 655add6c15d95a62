//! Where a request came from, and its name in every record.

use std::net::IpAddr;

use chartgate_access::ids::Jti;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_values::{Phi, Timestamp};
use http::HeaderMap;

use super::door::Door;
use super::listen::Peer;
use crate::config::Network;
use crate::entropy::NameEntropy;

/// Where a request came from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The client's address.
    pub(crate) ip: IpAddr,
    /// Our name for the request; never the caller's own.
    pub(crate) request_id: String,
    /// The listener that it came to.
    pub(crate) door: Door,
}

impl Origin {
    /// The origin of a request on a connection from `peer`. `X-Forwarded-For` is believed of trusted proxies alone,
    /// and its last entry that is not one of them counts; one that does not parse makes the proxy itself the origin
    /// (ATTACKS G04).
    pub(crate) fn of(peer: Peer, headers: &HeaderMap, trusted: &[Network]) -> Self {
        let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(ip));
        let direct = peer.address.ip().to_canonical();
        let mut ip = direct;
        if is_trusted(direct) {
            let values = headers.get_all("x-forwarded-for").iter().rev();
            let hops = values.flat_map(|v| v.to_str().unwrap_or("?").rsplit(',').map(str::trim));
            for hop in hops {
                match hop.parse::<IpAddr>() {
                    Ok(address) => ip = address.to_canonical(),
                    Err(_) => {
                        ip = direct;
                        break;
                    }
                }
                if !is_trusted(ip) {
                    break;
                }
            }
        }
        Self { ip, request_id: Jti::random(&mut NameEntropy).into(), door: peer.door }
    }

    /// A record of something that this request did.
    pub(crate) fn record(&self, event: Event, outcome: Outcome, now: Timestamp) -> Record {
        Record {
            source_ip: Some(Phi::new(self.ip)),
            request_id: Some(self.request_id.clone()),
            ..Record::new(event, outcome, now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(peer: &str, forwarded: Option<&str>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(value) = forwarded {
            headers.insert("x-forwarded-for", value.parse().unwrap());
        }
        let trusted = [Network::parse("10.0.0.0/8").unwrap()];
        let peer = Peer { address: format!("{peer}:1").parse().unwrap(), door: Door::Main };
        Origin::of(peer, &headers, &trusted).ip.to_string()
    }

    #[test]
    fn g04_only_a_trusted_proxy_says_who_is_behind_it() {
        assert_eq!(origin("192.0.2.1", Some("203.0.113.9")), "192.0.2.1");
        assert_eq!(origin("10.0.0.1", Some("203.0.113.9")), "203.0.113.9");
        assert_eq!(origin("10.0.0.1", Some("1.2.3.4, 203.0.113.9, 10.0.0.2")), "203.0.113.9");
        assert_eq!(origin("10.0.0.1", Some("unknown")), "10.0.0.1");
        assert_eq!(origin("10.0.0.1", None), "10.0.0.1");
    }
}
