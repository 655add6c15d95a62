//! `cargo +nightly fuzz run push_subscription fuzz/corpus/push_subscription fuzz/seeds/push_subscription`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chartgate_protocol::fuzzing::fuzz_push_subscription(data));
