//! The project's own scripts, one for each clause, under `net/tcp/scripts/`.

use pktscript::{Outcome, Profile, Run, files, run};
use std::fs;
use std::path::{Path, PathBuf};

fn scripts() -> Vec<PathBuf> {
    files::find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../net/tcp/scripts")).unwrap()
}

#[test]
fn every_clause_is_obeyed() {
    let how = Run { strict_end: true, ..Run::new(Profile::Linux) };
    let mut wrong = Vec::new();
    let scripts = scripts();
    assert!(scripts.len() >= 420, "scripts are missing: {}", scripts.len());
    for path in &scripts {
        let (outcome, ..) = run(&fs::read_to_string(path).unwrap(), &how);
        if outcome != Outcome::Pass {
            wrong.push(format!("{}: {outcome:?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_clause_is_obeyed_over_ipv6() {
    let how = Run { strict_end: true, ipv6: true, ..Run::new(Profile::Linux) };
    let outcomes = scripts().into_iter().map(|path| (run(&fs::read_to_string(&path).unwrap(), &how).0, path));
    let wrong: Vec<_> = outcomes.filter(|(outcome, _)| *outcome != Outcome::Pass).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_same_script_runs_the_same() {
    let how = Run { trace: true, ..Run::new(Profile::Linux) };
    for path in scripts().iter().take(20) {
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(run(&text, &how).1, run(&text, &how).1, "{}", path.display());
    }
}

#[test]
fn every_script_names_its_clause_and_its_state() {
    for path in scripts() {
        let first = fs::read_to_string(&path).unwrap().lines().next().unwrap_or_default().to_owned();
        let cites = first.starts_with("// RFC ") || first.starts_with("// draft-");
        assert!(cites && first.contains('§'), "{}: {first}", path.display());
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(name.split('_').count() >= 3, "{name} is not state_event_result");
    }
}
