//! `cargo +nightly fuzz run audit_add_checkpoint`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_audit::fuzzing::add_checkpoint(data));
