//! `cargo +nightly fuzz run dpop fuzz/corpus/dpop fuzz/seeds/dpop`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_dpop(data));
