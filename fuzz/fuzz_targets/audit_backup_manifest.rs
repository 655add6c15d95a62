//! `cargo +nightly fuzz run audit_backup_manifest`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_audit::fuzzing::backup_manifest(data));
