//! `cargo +nightly fuzz run jwe fuzz/corpus/jwe fuzz/seeds/jwe`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_jwe(data));
