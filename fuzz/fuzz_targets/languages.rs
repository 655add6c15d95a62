//! `cargo +nightly fuzz run languages fuzz/corpus/languages fuzz/seeds/languages`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_languages(data));
