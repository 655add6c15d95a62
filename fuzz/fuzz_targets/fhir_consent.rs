//! `cargo +nightly fuzz run fhir_consent fuzz/corpus/fhir_consent fuzz/seeds/fhir_consent`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_fhir_consent(data));
