//! `cargo +nightly fuzz run logout_token fuzz/corpus/logout_token fuzz/seeds/logout_token`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_logout_token(data));
