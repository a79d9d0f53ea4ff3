//! A small Python program that opens sockets and says exactly what became of each.

use interop::{Outcome, Run, World};

const PROGRAM: &str = include_str!("probe.py");

/// Runs the probe with targets such as `tcp one.test 80`.
pub fn probe(world: &World, run: Run<'_>, targets: &[&str]) -> Outcome {
    let program = world.write("probe.py", PROGRAM);
    let program = program.to_str().expect("a path in UTF-8");
    let words = targets.iter().flat_map(|target| target.split(' '));
    let command: Vec<&str> = ["python3", program].into_iter().chain(words).collect();
    run.output(&command).succeeded()
}

/// What the probe said of one target.
pub fn result<'o>(outcome: &'o Outcome, target: &str) -> &'o str {
    outcome
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix(target)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("the probe did not tell of {target}:\n{outcome}"))
}
