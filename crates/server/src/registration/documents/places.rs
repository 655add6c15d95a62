//! How many documents are asked for at once: so many of all, fewer of those that nobody knew, and of each of these few for one
//! who asks and few at one host, so that whoever makes up addresses takes no place from clients that are in use.

use std::net::IpAddr;
use std::time::Duration;

use chartgate_access::ids::ClientId;
use chartgate_values::network_of;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::net::shares::{Share, Shares};

/// So many are asked for at once.
const AT_ONCE: usize = 16;
/// Of them, so many that nobody knew.
const NEW: usize = 12;
/// Of those, so many for one address that asks (IPv6: network of 64 bits).
const OF_ONE_CALLER: usize = 4;
/// So many at one host, of those that are known and of those that are not.
const OF_ONE_HOST: usize = 4;
/// So long one waits for a place.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Whether a client is known that is asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Standing {
    Known,
    New,
}

/// All places.
pub(super) struct Places {
    all: Semaphore,
    new: Semaphore,
    callers: Shares<IpAddr>,
    hosts: Shares<(String, Standing)>,
}

/// A place, until this is dropped.
#[derive(Debug)]
#[must_use = "whoever drops it has given it back"]
pub(super) struct Place<'a> {
    _of_all: SemaphorePermit<'a>,
    _of_new: Option<SemaphorePermit<'a>>,
    _of_caller: Option<Share<IpAddr>>,
    _of_host: Share<(String, Standing)>,
}

impl Places {
    pub(super) fn new() -> Self {
        let (all, new) = (Semaphore::new(AT_ONCE), Semaphore::new(NEW));
        Self { all, new, callers: Shares::default(), hosts: Shares::default() }
    }

    /// A place to ask for this document; `None` if who asks, or the host, has what it may have, or none is free in time.
    pub(super) async fn take(&self, id: &ClientId, standing: Standing, asking: IpAddr) -> Option<Place<'_>> {
        let host = id.document_host().unwrap_or_default().to_owned();
        let of_host = self.hosts.take((host, standing), OF_ONE_HOST)?;
        let of_caller = match standing {
            Standing::Known => None,
            Standing::New => Some(self.callers.take(network_of(asking), OF_ONE_CALLER)?),
        };
        let free = tokio::time::timeout(PATIENCE, async {
            let of_new = match standing {
                Standing::Known => None,
                Standing::New => Some(self.new.acquire().await.ok()?),
            };
            Some((self.all.acquire().await.ok()?, of_new))
        });
        let (of_all, of_new) = free.await.ok().flatten()?;
        Some(Place { _of_all: of_all, _of_new: of_new, _of_caller: of_caller, _of_host: of_host })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(host: usize) -> ClientId {
        format!("https://h{host}.example/app").parse().unwrap()
    }

    /// Whether there is no answer at once.
    async fn waits<T>(taking: impl Future<Output = T>) -> bool {
        tokio::time::timeout(Duration::ZERO, taking).await.is_err()
    }

    fn address(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    #[tokio::test]
    async fn who_makes_up_addresses_takes_no_place_from_clients_that_are_known() {
        let places = Places::new();
        let mut held = Vec::new();
        for host in 0..4 {
            held.push(places.take(&id(host), Standing::New, address(1)).await.unwrap());
        }
        assert!(places.take(&id(9), Standing::New, address(1)).await.is_none(), "one who asks has four");
        for host in 4..12 {
            let other = u8::try_from(host).unwrap();
            held.push(places.take(&id(host), Standing::New, address(other / 4 + 1)).await.unwrap());
        }
        assert!(
            waits(places.take(&id(12), Standing::New, address(9))).await,
            "until one of these has its answer"
        );
        for _ in 0..4 {
            held.push(places.take(&id(1), Standing::Known, address(1)).await.unwrap());
        }
        assert!(places.take(&id(1), Standing::Known, address(1)).await.is_none(), "one host has four");
        held.clear();
        assert!(places.take(&id(12), Standing::New, address(1)).await.is_some());
    }

    #[tokio::test]
    async fn whoever_comes_while_all_places_are_taken_waits_for_one() {
        let places = Places::new();
        let mut held = Vec::new();
        for number in 0..16 {
            held.push(places.take(&id(number), Standing::Known, address(1)).await.unwrap());
        }
        let id = id(16);
        assert!(waits(places.take(&id, Standing::Known, address(1))).await);
        let (waited, ()) = tokio::join!(places.take(&id, Standing::Known, address(1)), async {
            tokio::task::yield_now().await;
            held.pop();
        });
        assert!(waited.is_some());
    }
}
