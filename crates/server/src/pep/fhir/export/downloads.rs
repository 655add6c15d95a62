//! How many files are gone through at once: each costs the upstream, the disk and a decision for every line of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chartgate_access::ids::ClientId;

/// So many of one client, so that one leaves room for others.
const OF_A_CLIENT: usize = 4;
/// So many of all.
const OF_ALL: usize = 32;

/// The files of one route that are gone through just now.
#[derive(Debug, Default)]
pub(in crate::pep::fhir) struct Downloads(Mutex<BTreeMap<ClientId, usize>>);

/// One of them, until it is dropped.
#[must_use = "whoever drops it has given its place away"]
pub(super) struct Download<'a> {
    downloads: &'a Downloads,
    client: ClientId,
}

impl Downloads {
    /// A place for one more of this client; none if it or all together have as many as they may.
    pub(super) fn begin(&self, client: &ClientId) -> Option<Download<'_>> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_all = under_way.values().fold(0, |sum: usize, own| sum.saturating_add(*own));
        let own = under_way.get(client).copied().unwrap_or_default();
        if own >= OF_A_CLIENT || of_all >= OF_ALL {
            return None;
        }
        under_way.insert(client.clone(), own.saturating_add(1));
        Some(Download { downloads: self, client: client.clone() })
    }
}

impl Drop for Download<'_> {
    fn drop(&mut self) {
        let mut under_way = self.downloads.0.lock().unwrap_or_else(PoisonError::into_inner);
        match under_way.get_mut(&self.client) {
            Some(own) if *own > 1 => *own = own.saturating_sub(1),
            _ => {
                under_way.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_share_and_gives_it_back() {
        let downloads = Downloads::default();
        let client = |number: usize| format!("client-{number}").parse::<ClientId>().unwrap();
        let own: Vec<_> = (0..OF_A_CLIENT).map(|_| downloads.begin(&client(0)).unwrap()).collect();
        assert!(downloads.begin(&client(0)).is_none(), "one client takes no more than its share");
        let others: Vec<_> = (OF_A_CLIENT..OF_ALL).map(|at| downloads.begin(&client(at)).unwrap()).collect();
        assert!(downloads.begin(&client(99)).is_none(), "all together take no more than there is");
        drop(own);
        assert!(downloads.begin(&client(0)).is_some());
        drop(others);
        assert!(downloads.0.lock().unwrap().is_empty(), "nothing stays behind");
    }
}
