//! Calling whom others name: a client's keys, its logout and notification endpoints. ATTACKS J08, O21, O24.
//!
//! The name is resolved once, each of its addresses has to be a public one, and those very addresses are called: what a
//! name server says a moment later leads nowhere. Redirects are not followed, and all of it has five seconds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::Full;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;

use super::connect::Address;
use super::lease::Failed;
use super::pool::Pool;
use super::{CallError, tls};
use crate::config;
use crate::net::body::{self, BodyError};
use crate::net::tls::TlsError;

/// How long a call may take, from the name to the last byte.
const WHOLE_TIME: Duration = Duration::from_secs(5);
/// The longest answer.
const LONGEST: u64 = 64 << 10;

/// The way out to whom others name, by the configuration in force.
pub(crate) struct Egress(RwLock<Arc<Way>>);

struct Way {
    tls: ClientConfig,
    cas: Vec<CertificateDer<'static>>,
    allow: Vec<config::Network>,
}

/// Whether a new configuration believes others, or lets others be called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reach {
    /// The same as the one before.
    Same,
    /// Others: what was learned by the one before may not have been learned by this.
    Other,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no answer. Says nothing of what was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EgressError {
    /// The address is not `https://` and a host.
    #[error("not an https address")]
    Address,
    /// It leads into a network that is nobody else's business.
    #[error("leads to an address that is not public")]
    NotPublic,
    /// No connection, or it broke.
    #[error(transparent)]
    Call(#[from] CallError),
    /// An answer that breaks off or is too long.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It took too long.
    #[error("did not answer in time")]
    TooSlow,
}

impl Egress {
    /// A way out by this configuration.
    ///
    /// # Errors
    /// [`TlsError`] if the CAs cannot be read.
    pub(crate) fn new(config: &config::Egress) -> Result<Self, TlsError> {
        Way::new(config).map(|way| Self(RwLock::new(Arc::new(way))))
    }

    /// Puts another configuration in force for the next call.
    ///
    /// # Errors
    /// [`TlsError`] if the CAs cannot be read; then the old one stays.
    pub(crate) fn reconfigure(&self, config: &config::Egress) -> Result<Reach, TlsError> {
        let way = Arc::new(Way::new(config)?);
        let mut own = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_same = own.cas == way.cas && own.allow == way.allow;
        *own = way;
        Ok(if is_same { Reach::Same } else { Reach::Other })
    }

    /// Sends a request to its own address.
    ///
    /// # Errors
    /// [`EgressError`].
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, EgressError> {
        let way = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        match tokio::time::timeout(WHOLE_TIME, Box::pin(way.send(request))).await {
            Ok(answer) => answer,
            Err(_) => Err(EgressError::TooSlow),
        }
    }
}

impl Way {
    fn new(config: &config::Egress) -> Result<Self, TlsError> {
        let cas = config.ca.as_deref().map(tls::certificates).transpose()?.unwrap_or_default();
        Ok(Self { tls: tls::trusting_more(cas.clone())?, cas, allow: config.allow.clone() })
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, EgressError> {
        let address = self.address(request.uri())?;
        let sockets = address.resolve().await.map_err(CallError::from)?;
        if sockets.is_empty() || !sockets.iter().all(|socket| self.may_call(socket.ip())) {
            return Err(EgressError::NotPublic);
        }
        let stream = address.connect_at(&sockets).await.map_err(CallError::from)?;
        let lease = Arc::<Pool>::default().open(stream).await.map_err(CallError::from)?;
        let response = lease.send(address.relative(request)).await.map_err(Failed::into_error)?;
        let (head, content) = response.into_parts();
        let body = body::take(content, LONGEST, WHOLE_TIME).await?;
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    fn address(&self, uri: &Uri) -> Result<Address, EgressError> {
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if uri.scheme_str() != Some("https") || !plain {
            return Err(EgressError::Address);
        }
        Address::of(uri, self.tls.clone()).ok_or(EgressError::Address)
    }

    fn may_call(&self, ip: IpAddr) -> bool {
        is_public(ip) || self.allow.iter().any(|network| network.contains(ip))
    }
}

/// Whether an address is one of the public internet's, by IANA's registries of special-purpose addresses.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !SPECIAL_V4
            .iter()
            .any(|(network, bits)| (ip.to_bits() ^ network.to_bits()).leading_zeros() >= *bits),
        // What embeds an IPv4 address (mapped, NAT64, 6to4, Teredo) is not public, whatever it embeds.
        IpAddr::V6(ip) => {
            let within = |(network, bits): &(Ipv6Addr, u32)| {
                (ip.to_bits() ^ network.to_bits()).leading_zeros() >= *bits
            };
            within(&GLOBAL_V6) && !SPECIAL_V6.iter().any(within)
        }
    }
}

/// IANA IPv4 Special-Purpose Address Registry; multicast and class E too.
const SPECIAL_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];
/// What IANA gives out as global unicast.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// Parts of it that are not: protocol assignments with Teredo, documentation, 6to4.
const SPECIAL_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j08_addresses_that_are_not_public_are_told_apart() {
        for public in ["8.8.8.8", "100.63.255.255", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "2a00::1"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.168.1.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "64:ff9b::a9fe:a9fe",
            "2001::1",
            "2002:a9fe:a9fe::1",
            "fc00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }

    fn egress(allow: &[&str]) -> Egress {
        let allow = allow.iter().filter_map(|text| config::Network::parse(text)).collect();
        Egress::new(&config::Egress { allow, ca: None }).unwrap()
    }

    #[test]
    fn another_ca_or_network_is_another_reach() {
        let ca = std::env::temp_dir().join(format!("chartgate-egress-{}.pem", std::process::id()));
        let write = || {
            let mut params = rcgen::CertificateParams::default();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            std::fs::write(&ca, made.pem()).unwrap();
        };
        let config = |network: &str| config::Egress {
            allow: config::Network::parse(network).into_iter().collect(),
            ca: Some(ca.clone()),
        };
        write();
        let egress = Egress::new(&config("10.0.0.0/8")).unwrap();
        assert_eq!(egress.reconfigure(&config("10.0.0.0/8")).unwrap(), Reach::Same);
        assert_eq!(egress.reconfigure(&config("10.0.0.0/9")).unwrap(), Reach::Other);
        write();
        assert_eq!(egress.reconfigure(&config("10.0.0.0/9")).unwrap(), Reach::Other, "in the same file");
        assert_eq!(egress.reconfigure(&config("10.0.0.0/9")).unwrap(), Reach::Same);
        let _ = std::fs::remove_file(ca);
    }

    async fn get(egress: &Egress, uri: &str) -> EgressError {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = uri.parse().unwrap();
        egress.send(request).await.unwrap_err()
    }

    #[tokio::test]
    async fn o24_only_https_to_public_addresses_is_called() {
        let egress = egress(&[]);
        for address in
            ["http://example.org/keys", "https://user@example.org/keys", "/keys", "ftp://example.org"]
        {
            assert!(matches!(get(&egress, address).await, EgressError::Address), "{address}");
        }
        for private in
            ["https://127.0.0.1:1/", "https://localhost:1/", "https://[::1]:1/", "https://169.254.169.254/"]
        {
            assert!(matches!(get(&egress, private).await, EgressError::NotPublic), "{private}");
        }
    }

    #[tokio::test]
    async fn a_block_that_the_operator_allows_is_called() {
        // Nothing listens there: it is called, and in vain.
        let egress = egress(&["127.0.0.1/32"]);
        assert!(matches!(get(&egress, "https://127.0.0.1:1/").await, EgressError::Call(_)));
        assert!(matches!(get(&egress, "https://127.0.0.2:1/").await, EgressError::NotPublic));
    }
}
