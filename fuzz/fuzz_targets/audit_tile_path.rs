//! `cargo +nightly fuzz run audit_tile_path`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_audit::fuzzing::tile_path(data));
