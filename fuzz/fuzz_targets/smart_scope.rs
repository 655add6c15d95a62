//! `cargo +nightly fuzz run smart_scope fuzz/corpus/smart_scope fuzz/seeds/smart_scope`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_smart_scope(data));
