//! `cargo +nightly fuzz run client_metadata`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_client_metadata(data));
