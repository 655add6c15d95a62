//! How many unauthenticated requests an address may make. CONTRACT: beyond the rate, 429, recorded once a minute.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use chartgate_values::{Clock, Timestamp};
use moka::sync::Cache;
use std::sync::{Mutex, PoisonError};

use super::reserve::Reserve;

/// Failures that an address may make at once.
const BURST: u32 = 1000;
/// How many it regains in a second.
const PER_SECOND: u32 = 20;
/// Addresses that are remembered.
const ADDRESSES: u64 = 100_000;
/// How often a record is made of a throttled address.
const RECORD_EVERY: Duration = Duration::from_secs(60);

/// Token buckets by address; IPv6 by /64.
pub(crate) struct Throttle {
    clock: Arc<dyn Clock>,
    buckets: Cache<IpAddr, Arc<Mutex<Bucket>>>,
    /// Disk that is kept for those who do show who they are.
    pub(crate) reserve: Reserve,
}

struct Bucket {
    left: u32,
    refilled_at: Timestamp,
    refused: u64,
    recorded_at: Option<Timestamp>,
}

/// Whether a request may be looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Admission {
    /// It may.
    Yes,
    /// The address has failed too often; nothing to record just now.
    No,
    /// The same, and it is time for a record: so many were refused since the last.
    NoAndRecord(u64),
}

impl Throttle {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let buckets =
            Cache::builder().max_capacity(ADDRESSES).time_to_idle(Duration::from_secs(3600)).build();
        Self { clock, buckets, reserve: Reserve::default() }
    }

    /// Counts a request that did not show who it is.
    pub(crate) fn count(&self, ip: IpAddr) {
        let now = self.clock.now();
        let bucket = self.buckets.get_with(network_of(ip), || Arc::new(Mutex::new(Bucket::full(now))));
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.refill(now);
        bucket.left = bucket.left.saturating_sub(1);
    }

    /// Whether an address may be heard without having shown who it is. Costs a look-up for addresses that never failed.
    pub(crate) fn admit(&self, ip: IpAddr) -> Admission {
        let Some(bucket) = self.buckets.get(&network_of(ip)) else { return Admission::Yes };
        let now = self.clock.now();
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.refill(now);
        if bucket.left > 0 {
            return Admission::Yes;
        }
        bucket.refused = bucket.refused.saturating_add(1);
        if bucket.recorded_at.is_some_and(|at| now < at.plus(RECORD_EVERY)) {
            return Admission::No;
        }
        bucket.recorded_at = Some(now);
        Admission::NoAndRecord(std::mem::take(&mut bucket.refused))
    }
}

impl Bucket {
    fn full(now: Timestamp) -> Self {
        Self { left: BURST, refilled_at: now, refused: 0, recorded_at: None }
    }

    fn refill(&mut self, now: Timestamp) {
        let seconds = u32::try_from(now.since(self.refilled_at).as_secs()).unwrap_or(u32::MAX);
        if seconds > 0 {
            self.left = self.left.saturating_add(seconds.saturating_mul(PER_SECOND)).min(BURST);
            self.refilled_at = now;
        }
    }
}

/// Whom an address stands for: itself, or for IPv6 its network.
pub(super) fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chartgate_values::FixedClock;

    #[test]
    fn an_address_that_fails_too_often_is_refused_until_it_has_waited() {
        let clock = Arc::new(FixedClock::at(Timestamp::from_unix(1000)));
        let throttle = Throttle::new(clock.clone());
        let (bad, good) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..BURST {
            assert_eq!(throttle.admit(bad), Admission::Yes);
            throttle.count(bad);
        }
        assert_eq!(throttle.admit(bad), Admission::NoAndRecord(1));
        assert_eq!(throttle.admit(bad), Admission::No);
        assert_eq!(throttle.admit(good), Admission::Yes);
        clock.advance(Duration::from_secs(1));
        assert_eq!(throttle.admit(bad), Admission::Yes);
        for _ in 0..PER_SECOND {
            throttle.count(bad);
        }
        assert_eq!(throttle.admit(bad), Admission::No, "recorded less than a minute ago");
        clock.advance(Duration::from_secs(60));
        for _ in 0..BURST {
            throttle.count(bad);
        }
        assert_eq!(throttle.admit(bad), Admission::NoAndRecord(3));
    }

    #[test]
    fn ipv6_counts_by_its_network() {
        assert_eq!(network_of("2001:db8::1".parse().unwrap()), network_of("2001:db8::2".parse().unwrap()));
        assert_ne!(
            network_of("2001:db8::1".parse().unwrap()),
            network_of("2001:db8:0:1::1".parse().unwrap())
        );
    }
}
