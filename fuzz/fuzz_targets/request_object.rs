//! `cargo +nightly fuzz run request_object fuzz/corpus/request_object fuzz/seeds/request_object`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_request_object(data));
