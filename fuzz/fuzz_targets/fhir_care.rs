//! `cargo +nightly fuzz run fhir_care fuzz/corpus/fhir_care fuzz/seeds/fhir_care`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_fhir_care(data));
