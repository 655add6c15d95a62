//! `cargo +nightly fuzz run fhir_entries fuzz/corpus/fhir_entries fuzz/seeds/fhir_entries`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_fhir_entries(data));
