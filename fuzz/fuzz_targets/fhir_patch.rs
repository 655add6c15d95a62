//! `cargo +nightly fuzz run fhir_patch fuzz/corpus/fhir_patch fuzz/seeds/fhir_patch`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_fhir_patch(data));
