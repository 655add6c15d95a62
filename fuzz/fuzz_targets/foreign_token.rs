//! `cargo +nightly fuzz run foreign_token fuzz/corpus/foreign_token`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_foreign_token(data));
