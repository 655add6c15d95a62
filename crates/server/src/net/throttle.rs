//! How many unauthenticated requests an address may make. CONTRACT: beyond the rate, 429, recorded once a minute.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chartgate_values::{Clock, Timestamp, network_of};
use moka::sync::Cache;
use std::sync::{Mutex, PoisonError};

use super::reserve::Reserve;

/// Failures that an address may make.
const FAILURES: Rate = Rate { burst: BURST, every: Duration::from_millis(50) };
const BURST: u32 = 1000;
/// Addresses that are remembered.
const ADDRESSES: u64 = 100_000;
/// How often a record is made of a throttled address.
const RECORD_EVERY: Duration = Duration::from_secs(60);

/// How many failures an address may make, and the disk that is kept for those who do show who they are.
pub(crate) struct Throttle {
    buckets: Buckets,
    pub(crate) reserve: Reserve,
    pub(crate) crowded_out: CrowdedOut,
}

/// Requests that waited for their people and went because too many did, since that was last told.
#[derive(Debug, Default)]
pub(crate) struct CrowdedOut(AtomicUsize);

impl CrowdedOut {
    pub(crate) fn count(&self, gone: usize) {
        self.0.fetch_add(gone, Ordering::Relaxed);
    }

    /// Says how many there were, for whoever runs this: once a minute, and without a word of whose they were.
    pub(crate) fn tell(&self) {
        let count = self.0.swap(0, Ordering::Relaxed);
        if count > 0 {
            tracing::warn!(count, "requests to sign in or out went, for too many waited");
        }
    }
}

/// So many at once, and another one each time that this has passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    burst: u32,
    every: Duration,
}

/// Token buckets by address; IPv6 by /64.
pub(crate) struct Buckets {
    clock: Arc<dyn Clock>,
    rate: Rate,
    buckets: Cache<IpAddr, Arc<Mutex<Bucket>>>,
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
        Self {
            buckets: Buckets::new(FAILURES, clock),
            reserve: Reserve::default(),
            crowded_out: CrowdedOut::default(),
        }
    }

    /// Counts a request that did not show who it is.
    pub(crate) fn count(&self, ip: IpAddr) {
        self.buckets.count(ip);
    }

    /// Refuses a request of an address for another reason than that it failed too often. Recorded alike.
    pub(crate) fn refuse(&self, ip: IpAddr) -> Admission {
        self.buckets.with(ip, Bucket::refuse)
    }

    /// Whether an address may be heard without having shown who it is. Costs a look-up for addresses that never failed.
    pub(crate) fn admit(&self, ip: IpAddr) -> Admission {
        self.buckets.admit(ip)
    }
}

impl Rate {
    /// So many an hour, which may come all at once.
    pub(crate) fn per_hour(count: u32) -> Self {
        let hour = Duration::from_secs(3600);
        Self { burst: count, every: hour.checked_div(count).unwrap_or(hour) }
    }
}

impl Buckets {
    pub(crate) fn new(rate: Rate, clock: Arc<dyn Clock>) -> Self {
        let buckets =
            Cache::builder().max_capacity(ADDRESSES).time_to_idle(Duration::from_secs(3600)).build();
        Self { clock, rate, buckets }
    }

    /// Takes one for an address, if it has one left.
    pub(crate) fn take(&self, ip: IpAddr) -> Admission {
        self.with(ip, |bucket, now| match bucket.left.checked_sub(1) {
            Some(left) => {
                bucket.left = left;
                Admission::Yes
            }
            None => bucket.refuse(now),
        })
    }

    fn count(&self, ip: IpAddr) {
        self.with(ip, |bucket, _| bucket.left = bucket.left.saturating_sub(1));
    }

    /// Whether an address has one left.
    pub(crate) fn admit(&self, ip: IpAddr) -> Admission {
        if !self.buckets.contains_key(&network_of(ip)) {
            return Admission::Yes;
        }
        self.with(ip, |bucket, now| if bucket.left > 0 { Admission::Yes } else { bucket.refuse(now) })
    }

    fn with<T>(&self, ip: IpAddr, act: impl FnOnce(&mut Bucket, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let full = || Arc::new(Mutex::new(Bucket::full(self.rate, now)));
        let bucket = self.buckets.get_with(network_of(ip), full);
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.refill(self.rate, now);
        act(&mut bucket, now)
    }
}

impl Bucket {
    fn full(rate: Rate, now: Timestamp) -> Self {
        Self { left: rate.burst, refilled_at: now, refused: 0, recorded_at: None }
    }

    fn refill(&mut self, rate: Rate, now: Timestamp) {
        let passed = now.since(self.refilled_at).as_micros();
        let regained = passed.checked_div(rate.every.as_micros()).unwrap_or_default();
        let regained = u32::try_from(regained).unwrap_or(u32::MAX);
        if regained > 0 {
            self.left = self.left.saturating_add(regained).min(rate.burst);
            self.refilled_at = self.refilled_at.plus(rate.every.saturating_mul(regained)).min(now);
        }
    }

    fn refuse(&mut self, now: Timestamp) -> Admission {
        self.refused = self.refused.saturating_add(1);
        if self.recorded_at.is_some_and(|at| now < at.plus(RECORD_EVERY)) {
            return Admission::No;
        }
        self.recorded_at = Some(now);
        Admission::NoAndRecord(std::mem::take(&mut self.refused))
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
        for _ in 0..20 {
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
    fn so_many_an_hour_and_of_parallel_takers_no_more() {
        let clock = Arc::new(FixedClock::at(Timestamp::from_unix(1000)));
        let buckets = Buckets::new(Rate::per_hour(4), clock.clone());
        let ip = "192.0.2.1".parse().unwrap();
        for _ in 0..4 {
            assert_eq!(buckets.take(ip), Admission::Yes);
        }
        assert_eq!(buckets.take(ip), Admission::NoAndRecord(1));
        clock.advance(Duration::from_secs(899));
        assert_eq!(buckets.take(ip), Admission::NoAndRecord(1));
        clock.advance(Duration::from_secs(1));
        assert_eq!(buckets.take(ip), Admission::Yes);
        assert_eq!(buckets.take(ip), Admission::No);
    }
}
