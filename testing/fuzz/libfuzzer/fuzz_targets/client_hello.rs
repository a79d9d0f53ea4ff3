//! `gateway::fuzzing::client_hello` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::fuzzing::client_hello(data));
