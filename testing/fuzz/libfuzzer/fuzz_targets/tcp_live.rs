//! `fuzz::tcp_live` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::tcp_live(data));
