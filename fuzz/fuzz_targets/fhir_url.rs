//! `cargo +nightly fuzz run fhir_url fuzz/corpus/fhir_url fuzz/seeds/fhir_url`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_fhir_url(data));
