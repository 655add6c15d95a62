//! The tamper-evident log: record, leaf, tile, checkpoint, journal, verify.

pub mod checkpoint;
pub mod data_keys;
pub mod fuzzing;
pub mod journal;
pub mod leaf;
pub mod note;
pub mod open;
pub mod proof;
pub mod reader;
pub mod record;
pub mod sequencer;
pub mod storage;
pub mod tile;
pub mod tree;
pub mod verify;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod vectors;
