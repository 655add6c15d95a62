//! `cargo +nightly fuzz run claims_request fuzz/corpus/claims_request fuzz/seeds/claims_request`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_claims_request(data));
