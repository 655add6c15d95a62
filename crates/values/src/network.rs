//! Whom an address stands for.

use std::net::{IpAddr, Ipv6Addr};

/// An address by itself, or for IPv6 its network of 64 bits: whoever has one of that has all of them. IPv4 that is written
/// as IPv6 is IPv4.
#[must_use]
pub fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(ip: &str) -> IpAddr {
        network_of(ip.parse().unwrap())
    }

    #[test]
    fn ipv6_counts_by_its_network_and_ipv4_by_itself() {
        assert_eq!(network("2001:db8::1"), network("2001:db8::2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("::ffff:192.0.2.1"), network("::ffff:192.0.2.2"));
    }
}
