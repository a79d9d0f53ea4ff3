//! `fuzz::ledger_note` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::ledger_note(data));
