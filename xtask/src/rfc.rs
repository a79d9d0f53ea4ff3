//! Whether docs/tcp-rfcs.md says what the sources do: every clause that is cited has its row, and every row its proof.
//!
//! - [`page`]: the page, row by row
//! - [`citations`]: what the sources say of RFCs, and which tests there are
//! - [`check`]: the one against the other

mod check;
mod citations;
mod page;

use crate::tidy::Source;
use crate::{Failure, expect_none, workspace};
use check::Tree;
use citations::Citation;
use page::{Page, Status};
use std::path::Path;

/// What `cargo xtask rfc --help` prints.
pub const HELP: &str = "\
Checks docs/tcp-rfcs.md against the sources of net/ and base/wire/ and the scripts below net/tcp/scripts/:

- every RFC section that a comment outside of tests cites has a row of its section, of one that holds it, or of one in it;
  but for RFCs that the page lists as not being TCP's
- every row that says `obeyed` is cited by a comment of its section or of one in it, and names what shows it: a script as
  `rfc9293/state_event_result`, or a test by the name of its function
- every `DEVIATES RFC nnnn §x` has a row that says `deviates`, and every such row has a DEVIATES
- every script is named by a row

Usage: cargo xtask rfc

Prints a line for each breach, as FILE:LINE: what is wrong. Exit status: 0 where all holds, 1 where something does not or
a file cannot be read, 2 where the command line is wrong.
";

/// The page, from the workspace's root.
const PAGE: &str = "docs/tcp-rfcs.md";
/// Where scripts are.
const SCRIPTS: &str = "net/tcp/scripts";

/// Checks the page.
pub fn run(words: &[String]) -> Result<(), Failure> {
    expect_none(words)?;
    let text = workspace::read(Path::new(PAGE))?.unwrap_or_default();
    let page = Page::parse(&text);
    let tree = read_tree()?;
    let findings = check::check(&page, &tree);
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        eprintln!("rfc: {} findings", findings.len());
        return Err(Failure::Found);
    }
    let count = |status| page.rows.iter().filter(|row| row.status == Some(status)).count();
    say!(
        "rfc: {} clauses, {} obeyed, {} deviate, {} open; {} citations, {} scripts",
        page.rows.len(),
        count(Status::Obeyed),
        count(Status::Deviates),
        count(Status::Open),
        tree.citations.len(),
        tree.scripts.len()
    );
    Ok(())
}

/// What the sources say, and what shows it.
fn read_tree() -> Result<Tree, Failure> {
    let mut tree = Tree::default();
    for path in workspace::files()? {
        let name = path.to_string_lossy().into_owned();
        if let Some(script) = name.strip_prefix(SCRIPTS).and_then(|rest| rest.strip_suffix(".pkt")) {
            tree.scripts.insert(script.trim_start_matches('/').to_owned());
        }
        let is_cited = name.starts_with("net/") || name.starts_with("base/wire/");
        if !name.ends_with(".rs") || !(is_cited || name.starts_with("testing/")) {
            continue;
        }
        let Some(text) = workspace::read(&path)? else { continue };
        let source = Source::read(&path, &text);
        tree.tests.extend(citations::tests(&source));
        if is_cited {
            tree.citations.extend(citations::read(&source));
        }
    }
    Ok(tree)
}

/// A section of an RFC, as `3.10.7.4`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Section(String);

impl Section {
    /// The section of a word like `§3.1,`.
    fn read(word: &str) -> Option<Self> {
        let number = word.trim_start_matches('(').strip_prefix('§')?;
        let end = number.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(number.len());
        let number = number[..end].trim_end_matches('.');
        (!number.is_empty()).then(|| Self(number.to_owned()))
    }

    /// Whether `other` is this section or one in it.
    fn holds(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// Whether one holds the other.
    fn touches(&self, other: &Self) -> bool {
        self.holds(other) || other.holds(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_hold_those_in_them() {
        let section = |text| Section::read(text).unwrap();
        assert_eq!(section("(§3.10.7.4:"), Section("3.10.7.4".to_owned()));
        assert_eq!(section("§4."), Section("4".to_owned()));
        assert_eq!((Section::read("§"), Section::read("4.1")), (None, None));
        assert!(section("§3.1").holds(&section("§3.1.2")) && section("§3.1.2").touches(&section("§3.1")));
        assert!(!section("§3.1").touches(&section("§3.10")));
    }
}
