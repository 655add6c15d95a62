//! `cargo +nightly fuzz run json fuzz/corpus/json fuzz/seeds/json`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_json(data));
