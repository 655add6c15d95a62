//! `cargo +nightly fuzz run fhir_write fuzz/corpus/fhir_write fuzz/seeds/fhir_write`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_fhir_write(data));
