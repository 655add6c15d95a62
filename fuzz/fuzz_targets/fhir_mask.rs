//! `cargo +nightly fuzz run fhir_mask fuzz/corpus/fhir_mask fuzz/seeds/fhir_mask`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_fhir_mask(data));
