//! `cargo +nightly fuzz run fhir_bundle fuzz/corpus/fhir_bundle fuzz/seeds/fhir_bundle`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_fhir_bundle(data));
