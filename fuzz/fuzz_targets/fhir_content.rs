//! `cargo +nightly fuzz run fhir_content fuzz/corpus/fhir_content fuzz/seeds/fhir_content`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_fhir_content(data));
