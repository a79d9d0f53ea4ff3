//! Every input of the corpora, and a bounded number of mutations of each, by each target.

use std::fs;
use std::path::Path;

/// Mutations of one input in a normal test; libFuzzer makes more.
const MUTATIONS: usize = 40;

type Target = fn(&[u8]);

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = fs::read_dir(folder).expect("a corpus for each target");
    let mut inputs: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .map(|path| (path.display().to_string(), fs::read(&path).expect("readable")))
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 12, "{target} has a corpus of {}", inputs.len());
    inputs
}

/// Names the input while it runs, so that a failure says which it was.
struct Running<'a>(&'a str, &'a [u8]);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input, {}: {:02x?}", self.0, self.1);
        }
    }
}

fn run(target: Target, name: &str, input: &[u8]) {
    let running = Running(name, input);
    target(input);
    drop(running);
}

fn replay(name: &str, target: Target) {
    let inputs = corpus(name);
    for (path, input) in &inputs {
        run(target, path, input);
    }
    let mut random = sim::Random::new(1);
    for (path, input) in &inputs {
        for _ in 0..MUTATIONS {
            run(target, path, &mutated(input, &inputs, &mut random));
        }
    }
}

/// The input with a few bytes changed, a part cut out, or a part of another put in.
fn mutated(input: &[u8], inputs: &[(String, Vec<u8>)], random: &mut sim::Random) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..=random.below(4) {
        let length = out.len() as u64;
        let at = random.below(length) as usize;
        match random.below(4) {
            0 | 1 if length > 0 => out[at] = random.draw() as u8,
            2 => drop(out.drain(at..at + random.below(length - at as u64) as usize)),
            _ => {
                let (_, other) = &inputs[random.below(inputs.len() as u64) as usize];
                let from = random.below(other.len() as u64) as usize;
                let part = &other[from..from + random.below((other.len() - from) as u64) as usize];
                out.splice(at..at, part.iter().copied());
            }
        }
    }
    out
}

#[test]
fn frames() {
    replay("frames", fuzz::frames);
}

#[test]
fn filter_rules() {
    replay("filter_rules", fuzz::filter_rules);
}

#[test]
fn filter_packets() {
    replay("filter_packets", fuzz::filter_packets);
}

#[test]
fn tcp_live() {
    replay("tcp_live", fuzz::tcp_live);
}

#[test]
fn policy_list() {
    replay("policy_list", fuzz::policy_list);
}

#[test]
fn policy_cedar() {
    replay("policy_cedar", fuzz::policy_cedar);
}

#[test]
fn policy_question() {
    replay("policy_question", fuzz::policy_question);
}

#[test]
fn ledger_entry() {
    replay("ledger_entry", fuzz::ledger_entry);
}

#[test]
fn ledger_note() {
    replay("ledger_note", fuzz::ledger_note);
}

#[test]
fn ledger_journal() {
    replay("ledger_journal", fuzz::ledger_journal);
}
