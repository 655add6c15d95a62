//! The tamper-evident log. What it stores is described in `docs/audit-format.md`.
//!
//! A [`record::Record`] becomes a [`leaf`], whose parts that tell of patients are sealed under a key of [`data_keys`].
//! [`journal::Journal::append`] gives back a [`journal::Recorded`] once it is durable. About every second the
//! [`sequencer`] turns what is durable into the [`tile`]s of a Merkle [`tree`] under a signed [`checkpoint`].
//! [`open`](mod@open) finds all that again after a crash, [`reader`] reads it back, [`verify`](mod@verify) checks it
//! offline and [`proof`] proves single entries. A [`witness`] elsewhere cosigns checkpoints. By what entries can be
//! found again without reading all of them is [`index`]; what of them goes out to tools of others, and how, is
//! [`outward`]; what of them somebody should look at is found by [`watch`]; what a [`backup`] of it is and says; a
//! [`mirror`] elsewhere has a copy of it.
//!
//! Nothing here does I/O: [`storage`] says what a disk must do, and the server does it.

pub mod backup;
pub mod checkpoint;
pub mod data_keys;
pub mod fuzzing;
pub mod index;
pub mod journal;
pub mod leaf;
pub mod mirror;
pub mod note;
pub mod open;
pub mod outward;
pub mod proof;
pub mod reader;
pub mod record;
pub mod sequencer;
pub mod statement;
pub mod storage;
pub mod tile;
pub mod tree;
pub mod verify;
pub mod watch;
pub mod witness;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod vectors;
