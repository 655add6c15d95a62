//! `cargo +nightly fuzz run form fuzz/corpus/form fuzz/seeds/form`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_form(data));
