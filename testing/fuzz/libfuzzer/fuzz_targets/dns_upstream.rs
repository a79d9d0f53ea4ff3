//! `gateway::fuzzing::dns_upstream` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::fuzzing::dns_upstream(data));
