//! Sizes, names and words: what a reader of the code may rely on, held by a program.
//!
//! - [`source`]: a Rust file with its comments and strings apart from its code, and its tests apart from the rest
//! - [`sizes`], [`shape`], [`names`], [`words`], [`safety`], [`purity`], [`examples`]: the rules
//! - [`exceptions`]: what is let through all the same, a list that may only shrink

mod examples;
mod exceptions;
mod names;
mod purity;
mod safety;
mod shape;
mod sizes;
mod source;
mod words;

use crate::{Failure, expect_none, workspace};
use exceptions::Exceptions;
pub use source::Source;
use std::fmt;
use std::path::{Path, PathBuf};

/// What `cargo xtask tidy --help` prints.
pub const HELP: &str = "\
Checks sizes, names and words of everything in the repository:

  file-lines       a file has at most 600 lines without its tests (the aim is 400), a file of tests at most 1,000
  function-lines   a function has at most 70 lines (the aim is 60)
  module-docs      a file starts with //!
  contents         lib.rs and mod.rs of more than 150 lines hold no functions: they are tables of contents
  names            no module or type is called util, helper, common, manager, impl; no function get_
  words            no promise to do it later, no path of one machine, no package registry's host
  unsafe           only where hardware, the kernel or shared memory is touched, in blocks of ten lines with SAFETY:
  forbid-unsafe    every other crate says #![forbid(unsafe_code)]
  no-std           base and net say #![no_std] and use nothing of std
  ignored-test     no #[ignore]
  sleep            no test sleeps, and nothing blocks a thread by sleeping
  examples         a public type of a crate that weft gives on has an example in its documentation

Usage: cargo xtask tidy

What is let through all the same is listed in xtask/tidy-exceptions.txt, with a reason. The list may only shrink: an
entry that is no longer needed, or that allows more than is there, is a failure.
";

/// Something that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule, as in [`HELP`].
    pub rule: &'static str,
    /// In which file.
    pub path: PathBuf,
    /// On which line, from 1.
    pub line: usize,
    /// What is concerned, where a file can have several; else empty.
    pub item: String,
    /// How much there is of it, for a rule with a measure.
    pub measure: Option<usize>,
    /// What is wrong.
    pub text: String,
}

impl Finding {
    fn new(rule: &'static str, path: &Path, line: usize, text: impl Into<String>) -> Self {
        let (item, measure) = (String::new(), None);
        Self { rule, path: path.to_owned(), line, item, measure, text: text.into() }
    }

    fn of(self, item: impl Into<String>) -> Self {
        Self { item: item.into(), ..self }
    }

    fn measuring(self, measure: usize) -> Self {
        Self { measure: Some(measure), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, path, line, text, .. } = self;
        write!(f, "{}:{line}: {rule}: {text}", path.display())
    }
}

/// Checks every file.
pub fn run(words: &[String]) -> Result<(), Failure> {
    expect_none(words)?;
    let exceptions_path = Path::new("xtask/tidy-exceptions.txt");
    let text = workspace::read(exceptions_path)?.unwrap_or_default();
    let exceptions = Exceptions::parse(&text)
        .map_err(|reason| Failure::Broken(format!("{}: {reason}", exceptions_path.display())))?;
    let (mut findings, mut long) = (Vec::new(), 0);
    let files = workspace::files()?;
    for path in &files {
        findings.extend(names::check_path(path));
        let Some(text) = workspace::read(path)? else { continue };
        findings.extend(words::check(path, &text));
        if path.extension().is_some_and(|extension| extension == "rs") {
            let source = Source::read(path, &text);
            long += usize::from(sizes::is_over_the_aim(&source));
            findings.extend(check_source(&source));
        }
    }
    let (findings, stale) = exceptions.apply(findings);
    findings.iter().for_each(|finding| eprintln!("{finding}"));
    stale.iter().for_each(|reason| eprintln!("{}: {reason}", exceptions_path.display()));
    if findings.is_empty() && stale.is_empty() {
        say!(
            "tidy: {} files, {long} of them over the aim of {} lines, {} exceptions",
            files.len(),
            sizes::FILE_LINES_AIM,
            exceptions.len()
        );
        return Ok(());
    }
    eprintln!("tidy: {} findings, {} exceptions to take back", findings.len(), stale.len());
    Err(Failure::Found)
}

fn check_source(source: &Source) -> Vec<Finding> {
    let rules: [fn(&Source) -> Vec<Finding>; 6] =
        [sizes::check, shape::check, names::check, safety::check, purity::check, examples::check];
    rules.iter().flat_map(|rule| rule(source)).collect()
}
