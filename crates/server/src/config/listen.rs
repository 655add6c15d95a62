//! Where we listen, and what connections may do there.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::section::{Reading, Section};

/// Where we listen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Listen {
    pub(crate) https: SocketAddr,
    /// Asks for client certificates.
    pub(crate) mtls: Option<SocketAddr>,
    /// Answers only redirects.
    pub(crate) http: Option<SocketAddr>,
    /// `/metrics`, `/healthz`, `/readyz`.
    pub(crate) metrics: Option<SocketAddr>,
    /// Whose word about the client's address is believed.
    pub(crate) trusted_proxies: Vec<Network>,
    /// Connections that an address may hold.
    pub(crate) connections_per_address: usize,
    /// How long a connection may have no request.
    pub(crate) idle_timeout: Duration,
    /// How long nothing of an answer may move.
    pub(crate) stall_timeout: Duration,
}

/// An address block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Listen {
    pub(super) fn read(reading: &mut Reading<'_>, mut section: Section) -> Option<Self> {
        let https = section
            .parsed(reading, "https")
            .unwrap_or_else(|| SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, 8443)));
        let http = section.parsed(reading, "http");
        let metrics = section.parsed(reading, "metrics");
        let mtls = section.parsed(reading, "mtls");
        let trusted_proxies = section.networks(reading, "trusted_proxies");
        let second = Duration::from_secs(1);
        let (minutes, hour) = (Duration::from_mins, Duration::from_hours(1));
        let connections_per_address = section.number(reading, "connections_per_address", 1000, 1..=100_000);
        let idle_timeout = section.duration(reading, "idle_timeout", minutes(2), second..=hour);
        let stall_timeout = section.duration(reading, "stall_timeout", minutes(6), second..=hour);
        section.finish(reading);
        Some(Self {
            https,
            mtls,
            http,
            metrics,
            trusted_proxies,
            connections_per_address,
            idle_timeout,
            stall_timeout,
        })
    }
}

impl Network {
    /// Reads `10.0.0.0/8`, or a single address.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse().ok()?, bits.parse().ok()?),
            None => {
                let address: IpAddr = text.parse().ok()?;
                (address, if address.is_ipv4() { 32 } else { 128 })
            }
        };
        (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(Self { address, bits })
    }

    /// Whether an address lies in the block.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        use std::net::IpAddr::{V4, V6};
        let shared = match (self.address, address.to_canonical()) {
            (V4(a), V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (V6(a), V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (V4(_), V6(_)) | (V6(_), V4(_)) => return false,
        };
        shared >= u32::from(self.bits)
    }
}
