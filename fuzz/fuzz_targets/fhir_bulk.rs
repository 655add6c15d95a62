//! `cargo +nightly fuzz run fhir_bulk fuzz/corpus/fhir_bulk fuzz/seeds/fhir_bulk`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_fhir_bulk(data));
