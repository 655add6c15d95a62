//! `cargo +nightly fuzz run fhir_operation fuzz/corpus/fhir_operation fuzz/seeds/fhir_operation`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_fhir_operation(data));
