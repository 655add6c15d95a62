//! `cargo +nightly fuzz run oauth_authorization fuzz/corpus/oauth_authorization fuzz/seeds/oauth_authorization`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_oauth_authorization(data));
