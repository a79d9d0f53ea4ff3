//! What a newcomer runs first, as an ordinary user on a host without any network: the demonstration and the examination.

use std::process::{Command, Output};

use interop::namespace::Namespace;
use interop::weft::{ORDINARY_ID, binary_for};
use interop::{World, needs, programs};

/// Runs `weft TASK` as an ordinary user in a namespace that has nothing but loopback.
fn weft(task: &str) -> Output {
    let world = World::new();
    let alone = Namespace::new();
    let mut command = Command::new(programs::path("setpriv"));
    command
        .args([format!("--reuid={ORDINARY_ID}"), format!("--regid={ORDINARY_ID}")])
        .args(["--clear-groups", "--"]);
    command.arg(binary_for(&world)).arg(task).current_dir(world.home()).env("PATH", programs::search_path());
    alone.within(|| command.output()).expect("weft runs")
}

#[test]
fn the_demonstration_shows_one_name_reached_and_one_refused() {
    needs!["setpriv", "curl"];
    let output = weft("demo");
    let shown = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}:\n{shown}", output.status);
    let lines: Vec<&str> = shown.lines().collect();
    let refused = lines.iter().any(|line| line.contains("weft: refused") && line.contains("--allow"));
    assert!(refused, "no refusal is shown:\n{shown}");
}

#[test]
fn the_examination_finds_that_this_machine_will_do() {
    needs!["setpriv"];
    let output = weft("doctor");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}:\n{shown}", output.status);
}
