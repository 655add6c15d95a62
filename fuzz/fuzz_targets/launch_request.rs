//! `cargo +nightly fuzz run launch_request fuzz/corpus/launch_request fuzz/seeds/launch_request`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_launch_request(data));
