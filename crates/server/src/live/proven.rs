//! What tokens proved, by their digests: bounded, and forgetting what was not asked for of late.
//!
//! A token that is shown for the first time is only noted, in eight bytes; what it proved is remembered from the second
//! time on. So tokens that are used once, as agents use them that exchange one for each call, push out nobody, and what they
//! proved is given back while it is still at hand.
//!
//! Two generations a shard, of the notes as of the proofs. What is found in the older one moves to the newer; when that is full
//! it becomes the older one, and what nobody asked for meanwhile is gone. A look costs one lock that is held for a few
//! instructions.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher};
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
    shards: Vec<Mutex<Shard<T>>>,
    /// Entries that a generation of a shard has at most.
    room: usize,
}

struct Shard<T> {
    proofs: Generations<Key, Arc<T>>,
    /// What was shown of late and is not remembered. Two that are taken for one cost a proof its place, no more.
    shown: Generations<u64, ()>,
}

impl<T> Proven<T> {
    /// Remembers about the `capacity / 2` tokens that were asked for last, of those that were shown twice, and never more than
    /// `capacity`.
    pub(crate) fn new(capacity: usize) -> Self {
        let room = (capacity / (2 * SHARDS)).max(1);
        let empty = || Mutex::new(Shard { proofs: Generations::default(), shown: Generations::default() });
        Self { shards: (0..SHARDS).map(|_| empty()).collect(), room }
    }

    /// What this token proved.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<T>> {
        let mut shard = self.shard(key)?.lock().unwrap_or_else(PoisonError::into_inner);
        shard.proofs.get(key, self.room)
    }

    /// Remembers what a token proved, unless it was shown for the first time.
    pub(crate) fn insert(&self, key: Key, proof: &Arc<T>) {
        let Some(shard) = self.shard(&key) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let note = Build::default().hash_one(key);
        if shard.shown.take(&note) {
            shard.proofs.put(key, Arc::clone(proof), self.room);
        } else {
            shard.shown.put(note, (), self.room);
        }
    }

    fn shard(&self, (digest, _): &Key) -> Option<&Mutex<Shard<T>>> {
        self.shards.get(usize::from(digest[31]) % SHARDS)
    }
}

struct Generations<K, V> {
    newer: HashMap<K, V, Build>,
    older: HashMap<K, V, Build>,
}

type Build = BuildHasherDefault<Spread>;

impl<K, V> Default for Generations<K, V> {
    fn default() -> Self {
        Self { newer: HashMap::default(), older: HashMap::default() }
    }
}

impl<K: Copy + Eq + Hash, V: Clone> Generations<K, V> {
    fn get(&mut self, key: &K, room: usize) -> Option<V> {
        if let Some(known) = self.newer.get(key) {
            return Some(known.clone());
        }
        let known = self.older.remove(key)?;
        self.put(*key, known.clone(), room);
        Some(known)
    }

    fn take(&mut self, key: &K) -> bool {
        self.newer.remove(key).or_else(|| self.older.remove(key)).is_some()
    }

    fn put(&mut self, key: K, value: V, room: usize) {
        if self.newer.len() >= room {
            // The older one's table is used again: it has grown already.
            self.older.clear();
            std::mem::swap(&mut self.older, &mut self.newer);
        }
        self.newer.insert(key, value);
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

    /// Shows a token for which there is no proof, so often.
    fn show<T>(proven: &Proven<T>, key: Key, proof: T, times: usize) {
        let proof = Arc::new(proof);
        for _ in 0..times {
            assert!(proven.get(&key).is_none());
            proven.insert(key, &proof);
        }
    }

    #[test]
    fn a_proof_is_for_its_token_and_route_alone() {
        let proven = Proven::new(64);
        show(&proven, key(1, 0), "a", 2);
        assert_eq!(proven.get(&key(1, 0)).as_deref(), Some(&"a"));
        assert_eq!(proven.get(&key(1, 1)), None);
        assert_eq!(proven.get(&key(2, 0)), None);
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_makes_room() {
        let proven = Proven::new(320);
        show(&proven, key(0, 0), 0, 2);
        for number in 1..10_000 {
            show(&proven, key(number, 0), number, 2);
            assert_eq!(proven.get(&key(0, 0)).as_deref(), Some(&0), "after {number}");
            assert_eq!(proven.get(&key(number, 0)).as_deref(), Some(&number));
        }
        let known = (0..10_000).filter(|number| proven.get(&key(*number, 0)).is_some()).count();
        assert!((100..=320).contains(&known), "{known}");
    }

    #[test]
    fn what_is_shown_once_pushes_out_nobody_and_leaves_no_more_than_a_note() {
        let proven = Proven::new(320);
        (0..64).for_each(|number| show(&proven, key(number, 0), number, 2));
        let proof = Arc::new(0);
        for number in 100..10_000 {
            proven.insert(key(number, 0), &proof);
        }
        assert_eq!(Arc::strong_count(&proof), 1);
        assert!((0..64).all(|number| proven.get(&key(number, 0)).as_deref() == Some(&number)));
        // Too long ago to count as the first of two.
        show(&proven, key(100, 0), 100, 2);
        assert!(proven.get(&key(100, 0)).is_some());
    }
}
