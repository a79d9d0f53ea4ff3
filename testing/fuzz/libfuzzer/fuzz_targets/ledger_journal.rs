//! `fuzz::ledger_journal` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::ledger_journal(data));
