//! `cargo +nightly fuzz run sign_in_code fuzz/corpus/sign_in_code fuzz/seeds/sign_in_code`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_sign_in_code(data));
