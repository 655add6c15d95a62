//! `cargo +nightly fuzz run audit_leaf`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_audit::fuzzing::leaf(data));
