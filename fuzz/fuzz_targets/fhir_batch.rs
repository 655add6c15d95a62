//! `cargo +nightly fuzz run fhir_batch fuzz/corpus/fhir_batch fuzz/seeds/fhir_batch`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_fhir_batch(data));
