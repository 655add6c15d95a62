//! `cargo +nightly fuzz run audit_export_answer`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_audit::fuzzing::export_answer(data));
