//! `cargo +nightly fuzz run audit_cosignatures`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_audit::fuzzing::cosignatures(data));
