//! What tokens proved, by their digests: bounded, and forgetting what was not asked for of late.
//!
//! Two generations a shard. What is found in the older one moves to the newer; when that is full it becomes the older
//! one, and what nobody asked for meanwhile is gone. A look costs one lock that is held for a few instructions.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};

/// SHA-256 of a token, and the route whose audience it was proved for.
pub(crate) type Key = ([u8; 32], usize);

/// By what a token is remembered that was proved for the audience of a route.
pub(crate) fn key_of(token: &str, route: usize) -> Key {
    let mut key = ([0; 32], route);
    key.0.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    key
}

/// The memory.
pub(crate) struct Proven<T> {
    shards: Vec<Mutex<Generations<T>>>,
    /// Entries that a generation of a shard has at most.
    room: usize,
}

struct Generations<T> {
    newer: Map<T>,
    older: Map<T>,
}

type Map<T> = HashMap<Key, Arc<T>, BuildHasherDefault<Spread>>;

impl<T> Proven<T> {
    /// Remembers about the `capacity / 2` tokens that were asked for last, and never more than `capacity`.
    pub(crate) fn new(capacity: usize) -> Self {
        let room = (capacity / (2 * SHARDS)).max(1);
        let empty = || Mutex::new(Generations { newer: Map::default(), older: Map::default() });
        Self { shards: (0..SHARDS).map(|_| empty()).collect(), room }
    }

    /// What this token proved.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<T>> {
        let mut shard = self.shard(key)?.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shard.newer.get(key) {
            return Some(Arc::clone(known));
        }
        let known = shard.older.remove(key)?;
        shard.put(*key, Arc::clone(&known), self.room);
        Some(known)
    }

    /// Remembers what a token proved.
    pub(crate) fn insert(&self, key: Key, proof: Arc<T>) {
        if let Some(shard) = self.shard(&key) {
            shard.lock().unwrap_or_else(PoisonError::into_inner).put(key, proof, self.room);
        }
    }

    fn shard(&self, (digest, _): &Key) -> Option<&Mutex<Generations<T>>> {
        self.shards.get(usize::from(digest[31]) % SHARDS)
    }
}

impl<T> Generations<T> {
    fn put(&mut self, key: Key, proof: Arc<T>, room: usize) {
        if self.newer.len() >= room {
            // The older one's table is used again: it has grown already.
            self.older.clear();
            std::mem::swap(&mut self.older, &mut self.newer);
        }
        self.newer.insert(key, proof);
    }
}

/// A digest is spread already: its first bytes are the hash.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, number: usize) {
        // The length that comes before the digest, and the route.
        self.0 = self.0.rotate_left(8) ^ number as u64;
    }
}

const SHARDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32, route: usize) -> Key {
        let mut digest = [7; 32];
        digest[..4].copy_from_slice(&number.to_be_bytes());
        digest[31] = (number % 251) as u8;
        (digest, route)
    }

    #[test]
    fn a_proof_is_for_its_token_and_route_alone() {
        let proven = Proven::new(64);
        proven.insert(key(1, 0), Arc::new("a"));
        assert_eq!(proven.get(&key(1, 0)).as_deref(), Some(&"a"));
        assert_eq!(proven.get(&key(1, 1)), None);
        assert_eq!(proven.get(&key(2, 0)), None);
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_makes_room() {
        let proven = Proven::new(320);
        proven.insert(key(0, 0), Arc::new(0));
        for number in 1..10_000 {
            proven.insert(key(number, 0), Arc::new(number));
            assert_eq!(proven.get(&key(0, 0)).as_deref(), Some(&0), "after {number}");
            assert_eq!(proven.get(&key(number, 0)).as_deref(), Some(&number));
        }
        let known = (0..10_000).filter(|number| proven.get(&key(*number, 0)).is_some()).count();
        assert!((100..=320).contains(&known), "{known}");
    }
}
