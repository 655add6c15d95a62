//! The tamper-evident log: record, leaf, tile, checkpoint, journal, verify.
