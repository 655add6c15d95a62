//! `cargo +nightly fuzz run audit_verifier_key`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_audit::fuzzing::verifier_key(data));
