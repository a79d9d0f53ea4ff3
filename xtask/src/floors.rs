//! Which crate may import which: the floors of the house.
//!
//! A folder at the top is a floor, and a crate stands on it as `floor/crate`. [`table`] is the whole of what may
//! import what; [`manifest`] reads what does.

mod check;
mod manifest;
mod table;

use crate::{Failure, expect_none, workspace};
use manifest::Tree;

/// What `cargo xtask floors --help` prints.
pub const HELP: &str = "\
Checks that no crate imports one that its floor may not import, that nothing imports in a circle, and that every crate
stands on a floor. Reads every dependency with a path of every Cargo.toml, those of other workspaces here included.

Usage: cargo xtask floors

The table is xtask/src/floors/table.rs; ARCHITECTURE.md gives the reasons.
";

/// Checks all manifests.
pub fn run(words: &[String]) -> Result<(), Failure> {
    expect_none(words)?;
    let mut texts = Vec::new();
    for path in workspace::files()? {
        if path.file_name().is_some_and(|name| name == "Cargo.toml") {
            let text = workspace::read(&path)?
                .ok_or_else(|| Failure::Broken(format!("{} is not text", path.display())))?;
            texts.push((path.to_string_lossy().into_owned(), text));
        }
    }
    let tree = Tree::parse(&texts).map_err(Failure::Broken)?;
    let wrongs = check::check(&tree);
    for wrong in &wrongs {
        eprintln!("{wrong}");
    }
    if wrongs.is_empty() {
        say!("floors: {} crates, {} arrows, all allowed", tree.crates.len(), tree.arrows());
        return Ok(());
    }
    eprintln!("floors: {} not allowed", wrongs.len());
    Err(Failure::Found)
}
