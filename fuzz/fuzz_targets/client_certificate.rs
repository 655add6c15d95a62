//! `cargo +nightly fuzz run client_certificate fuzz/corpus/client_certificate fuzz/seeds/client_certificate`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_client_certificate(data));
