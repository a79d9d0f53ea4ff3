//! `gateway::fuzzing::dns_query` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::fuzzing::dns_query(data));
