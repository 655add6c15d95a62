//! `cargo +nightly fuzz run jws fuzz/corpus/jws fuzz/seeds/jws`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_jws(data));
