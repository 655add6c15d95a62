//! What tokens proved, by their digests: bounded, and forgetting what was not asked for of late.
//!
//! Two generations a shard. What is found in the older one moves to the newer; when that is full it becomes the older
//! one, and what nobody asked for meanwhile is gone. A look costs one lock that is held for a few instructions.
//!
//! A token is remembered when it comes for the second time: where there are very many, most come once, and to remember
//! those would cost more than it saves. Of what came once a few bytes are kept, which prove nothing.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// SHA-256 of a token, and the route whose audience it was proved for.
pub(super) type Key = ([u8; 32], usize);

/// The memory.
pub(super) struct Proven<T> {
    shards: Vec<Mutex<Generations<T>>>,
    /// Entries that a generation of a shard has at most.
    room: usize,
    /// Parts of digests that came of late, each at the place that another part of it names.
    came: Vec<AtomicU64>,
}

struct Generations<T> {
    newer: Map<T>,
    older: Map<T>,
}

type Map<T> = HashMap<Key, Arc<T>, BuildHasherDefault<Spread>>;

impl<T> Proven<T> {
    /// Remembers about the `capacity / 2` tokens that were asked for last, and never more than `capacity`.
    pub(super) fn new(capacity: usize) -> Self {
        let room = (capacity / (2 * SHARDS)).max(1);
        let empty = || Mutex::new(Generations { newer: Map::default(), older: Map::default() });
        let came = (0..CAME).map(|_| AtomicU64::new(0)).collect();
        Self { shards: (0..SHARDS).map(|_| empty()).collect(), room, came }
    }

    /// What this token proved.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<T>> {
        let mut shard = self.shard(key)?.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shard.newer.get(key) {
            return Some(Arc::clone(known));
        }
        let known = shard.older.remove(key)?;
        shard.put(*key, Arc::clone(&known), self.room);
        Some(known)
    }

    /// Remembers what a token proved, if it came before.
    pub(super) fn insert(&self, key: Key, proof: Arc<T>) {
        if self.comes_again(&key)
            && let Some(shard) = self.shard(&key)
        {
            shard.lock().unwrap_or_else(PoisonError::into_inner).put(key, proof, self.room);
        }
    }

    fn comes_again(&self, (digest, route): &Key) -> bool {
        let [first, second] = [8, 16].map(|from| {
            let part = digest.get(from..).and_then(<[u8]>::first_chunk).copied();
            u64::from_le_bytes(part.unwrap_or_default())
        });
        // What names the place is another part than what is kept there.
        let place = usize::try_from(first & CAME_MASK).unwrap_or_default();
        let mark = second ^ *route as u64;
        self.came.get(place).is_some_and(|came| came.swap(mark, Ordering::Relaxed) == mark)
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
/// Tokens that came once and are known again: half a MiB.
const CAME: usize = 1 << 16;
const CAME_MASK: u64 = 0xffff;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32, route: usize) -> Key {
        let mut digest = [7; 32];
        for part in digest.chunks_exact_mut(8).take(3) {
            part[..4].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
        }
        digest[31] = (number % 251) as u8;
        (digest, route)
    }

    /// As a token that comes twice.
    fn insert_twice<T>(proven: &Proven<T>, key: Key, proof: Arc<T>) {
        proven.insert(key, Arc::clone(&proof));
        proven.insert(key, proof);
    }

    #[test]
    fn a_proof_is_for_its_token_and_route_alone() {
        let proven = Proven::new(64);
        proven.insert(key(1, 0), Arc::new("a"));
        assert_eq!(proven.get(&key(1, 0)), None, "it came once");
        proven.insert(key(1, 1), Arc::new("b"));
        assert_eq!(proven.get(&key(1, 1)), None, "there for the first time");
        insert_twice(&proven, key(1, 0), Arc::new("a"));
        assert_eq!(proven.get(&key(1, 0)).as_deref(), Some(&"a"));
        assert_eq!(proven.get(&key(1, 1)), None);
        assert_eq!(proven.get(&key(2, 0)), None);
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_makes_room() {
        let proven = Proven::new(320);
        insert_twice(&proven, key(0, 0), Arc::new(0));
        for number in 1..10_000 {
            insert_twice(&proven, key(number, 0), Arc::new(number));
            assert_eq!(proven.get(&key(0, 0)).as_deref(), Some(&0), "after {number}");
            assert_eq!(proven.get(&key(number, 0)).as_deref(), Some(&number));
        }
        let known = (0..10_000).filter(|number| proven.get(&key(*number, 0)).is_some()).count();
        assert!((100..=320).contains(&known), "{known}");
    }
}
