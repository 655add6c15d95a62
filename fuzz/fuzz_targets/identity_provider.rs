//! `cargo +nightly fuzz run identity_provider fuzz/corpus/identity_provider fuzz/seeds/identity_provider`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_identity_provider(data));
