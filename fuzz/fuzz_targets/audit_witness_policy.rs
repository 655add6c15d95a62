//! `cargo +nightly fuzz run audit_witness_policy`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_audit::fuzzing::witness_policy(data));
