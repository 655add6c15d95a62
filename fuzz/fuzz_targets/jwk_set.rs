//! `cargo +nightly fuzz run jwk_set fuzz/corpus/jwk_set fuzz/seeds/jwk_set`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_jwk_set(data));
