//! The tamper-evident log: record, leaf, tile, checkpoint, journal, verify.

pub mod checkpoint;
pub mod note;
pub mod proof;
pub mod storage;
pub mod tile;
pub mod tree;

#[cfg(test)]
mod vectors;
