//! `cargo +nightly fuzz run audit_proof`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_audit::fuzzing::proof(data));
