//! `cargo +nightly fuzz run revocations fuzz/corpus/revocations fuzz/seeds/revocations`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_revocations(data));
