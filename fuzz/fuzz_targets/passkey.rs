//! `cargo +nightly fuzz run passkey fuzz/corpus/passkey fuzz/seeds/passkey`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_passkey(data));
