//! Inclusion and consistency proofs: made from a tree's nodes, checked against roots.

use std::ops::Range;

use super::Hash;

/// Where the hashes of complete subtrees come from.
pub trait Nodes {
    /// Why a hash cannot be had.
    type Error;

    /// The root over the 2^`height` entries that start at `index` * 2^`height`, all of which the tree must have.
    ///
    /// # Errors
    /// As the source says.
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// The root over the entries of `range`, which must start where a subtree can start (zero always does).
///
/// # Errors
/// Where the source of nodes fails.
pub fn subtree_root<N: Nodes>(nodes: &mut N, range: Range<u64>) -> Result<Hash, N::Error> {
    // Perfect subtrees from left to right, joined from right to left. RFC 6962 section 2.1.
    let mut subtrees = Vec::new();
    let Range { mut start, end } = range;
    while let Some(height) = end.saturating_sub(start).checked_ilog2() {
        subtrees.push(nodes.node(height, start >> height)?);
        start = start.saturating_add(1 << height);
    }
    let joined = subtrees.into_iter().rev().reduce(|right, left| Hash::of_node(&left, &right));
    Ok(joined.unwrap_or_else(Hash::of_empty_tree))
}

/// The audit path of entry `index` in the tree of the first `size` entries. RFC 6962 section 2.1.1.
///
/// # Errors
/// Where the source of nodes fails. For an index outside the tree the proof is empty and proves nothing.
pub fn inclusion_proof<N: Nodes>(nodes: &mut N, index: u64, size: u64) -> Result<Vec<Hash>, N::Error> {
    let mut path = Vec::new();
    let Range { mut start, mut end } = 0..size;
    while index < end && end.saturating_sub(start) > 1 {
        let middle = start.saturating_add(split(start, end));
        if index < middle {
            path.push(subtree_root(nodes, middle..end)?);
            end = middle;
        } else {
            path.push(subtree_root(nodes, start..middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// That the tree of the first `new` entries extends that of the first `old`. RFC 6962 section 2.1.2.
///
/// # Errors
/// Where the source of nodes fails. For an `old` that is zero or not below `new` the proof is empty.
pub fn consistency_proof<N: Nodes>(nodes: &mut N, old: u64, new: u64) -> Result<Vec<Hash>, N::Error> {
    let mut proof = Vec::new();
    if old == 0 {
        return Ok(proof);
    }
    let Range { mut start, mut end } = 0..new;
    while old < end {
        let middle = start.saturating_add(split(start, end));
        if old <= middle {
            proof.push(subtree_root(nodes, middle..end)?);
            end = middle;
        } else {
            proof.push(subtree_root(nodes, start..middle)?);
            start = middle;
        }
    }
    if start > 0 {
        proof.push(subtree_root(nodes, start..end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The largest power of two below the number of entries from `start` to `end`, of which there are at least two.
fn split(start: u64, end: u64) -> u64 {
    let last = end.saturating_sub(start).saturating_sub(1);
    last.checked_ilog2().map_or(0, |height| 1 << height)
}

/// A proof that does not hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProofError {
    /// RFC 9162 section 2.1.3.2 step 1: the index must lie within the tree.
    #[error("the entry is not within the tree")]
    OutsideTree,
    /// RFC 9162 section 2.1.4.2: only a tree that is not empty and not larger can be extended.
    #[error("the older tree is empty or larger than the newer one")]
    WrongSizes,
    /// RFC 9162 sections 2.1.3.2 and 2.1.4.2: the number of hashes follows from index and sizes.
    #[error("the proof has too many or too few hashes")]
    WrongLength,
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    WrongRoot,
}

/// Checks that an entry stands at `index` in the tree of `size` entries under `root`. RFC 9162 section 2.1.3.2.
///
/// # Errors
/// [`ProofError`] if the proof does not show it.
pub fn verify_inclusion(
    entry: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutsideTree);
    }
    let mut walk = Walk { node: index, last: size.saturating_sub(1) };
    let mut hash = *entry;
    for sibling in proof {
        hash = match walk.climb()? {
            Side::Left => Hash::of_node(sibling, &hash),
            Side::Right => Hash::of_node(&hash, sibling),
        };
    }
    walk.at_root()?;
    if hash == *root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

/// Checks that the tree of `new` entries extends that of `old`. RFC 9162 section 2.1.4.2.
///
/// # Errors
/// [`ProofError`] if the proof does not show it.
pub fn verify_consistency(
    (old, old_root): (u64, &Hash),
    (new, new_root): (u64, &Hash),
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old == 0 || old > new {
        return Err(ProofError::WrongSizes);
    }
    if old == new {
        return match proof {
            [] if old_root == new_root => Ok(()),
            [] => Err(ProofError::WrongRoot),
            _ => Err(ProofError::WrongLength),
        };
    }
    // Where the older tree is perfect its root is the first node, and the proof leaves it out.
    let (first, rest) = match proof.split_first() {
        Some(_) if old.is_power_of_two() => (old_root, proof),
        Some((first, rest)) => (first, rest),
        None => return Err(ProofError::WrongLength),
    };
    let mut walk = Walk { node: old.saturating_sub(1), last: new.saturating_sub(1) };
    walk.skip(walk.node.trailing_ones());
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        match walk.climb()? {
            Side::Left => {
                old_hash = Hash::of_node(sibling, &old_hash);
                new_hash = Hash::of_node(sibling, &new_hash);
            }
            Side::Right => new_hash = Hash::of_node(&new_hash, sibling),
        }
    }
    walk.at_root()?;
    if old_hash == *old_root && new_hash == *new_root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

/// The way from a node to the root: `fn` and `sn` of RFC 9162.
struct Walk {
    node: u64,
    last: u64,
}

/// On which side of the way the next hash of a proof lies.
enum Side {
    Left,
    Right,
}

impl Walk {
    fn climb(&mut self) -> Result<Side, ProofError> {
        if self.last == 0 {
            return Err(ProofError::WrongLength);
        }
        if self.node & 1 == 0 && self.node != self.last {
            self.skip(1);
            return Ok(Side::Right);
        }
        // A node without right sibling rises unchanged until it is a right child.
        self.skip(self.node.trailing_zeros());
        self.skip(1);
        Ok(Side::Left)
    }

    fn skip(&mut self, levels: u32) {
        self.node = self.node.checked_shr(levels).unwrap_or(0);
        self.last = self.last.checked_shr(levels).unwrap_or(0);
    }

    fn at_root(&self) -> Result<(), ProofError> {
        if self.last == 0 { Ok(()) } else { Err(ProofError::WrongLength) }
    }
}
