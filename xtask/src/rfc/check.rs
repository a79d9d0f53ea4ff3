//! The page against the sources.

use super::page::{Elsewhere, Page, Row, Status};
use super::{Citation, PAGE, SCRIPTS};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What the sources say, and what can show it.
#[derive(Debug, Default)]
pub struct Tree {
    /// What comments cite.
    pub citations: Vec<Citation>,
    /// Scripts, as `rfc9293/state_event_result`.
    pub scripts: BTreeSet<String>,
    /// Names of test functions.
    pub tests: BTreeSet<String>,
}

/// Something that does not hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    path: String,
    line: usize,
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

/// Everything that does not hold, the sources' first.
pub fn check(page: &Page, tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let told = |line, text| Finding { path: PAGE.to_owned(), line, text };
    for citation in &tree.citations {
        let text = check_citation(page, citation);
        findings.extend(text.map(|text| Finding { path: citation.path.clone(), line: citation.line, text }));
    }
    findings.extend(page.broken.iter().map(|(line, reason)| told(*line, reason.clone())));
    for elsewhere in &page.elsewhere {
        let Elsewhere { line, rfc, .. } = elsewhere;
        let of_row =
            |row: &Row| row.rfc == Some(*rfc) && row.sections.iter().any(|s| elsewhere.covers(*rfc, Some(s)));
        if page.rows.iter().any(of_row) {
            findings.push(told(*line, format!("RFC {rfc} has rows all the same")));
        } else if !tree
            .citations
            .iter()
            .any(|citation| elsewhere.covers(citation.rfc, citation.section.as_ref()))
        {
            findings.push(told(*line, format!("RFC {rfc} is cited nowhere")));
        }
    }
    let mut clauses = BTreeMap::new();
    for row in &page.rows {
        if let Some(first) = clauses.insert(&row.clause, row.line) {
            findings.push(told(row.line, format!("the clause stands on line {first} too")));
        }
        findings.extend(check_row(row, tree).into_iter().map(|text| told(row.line, text)));
    }
    let named: BTreeSet<&String> = page.rows.iter().flat_map(|row| &row.shown_by).collect();
    for script in tree.scripts.iter().filter(|script| !named.contains(script)) {
        let path = format!("{SCRIPTS}/{script}.pkt");
        findings.push(Finding { path, line: 1, text: format!("no row of {PAGE} names it") });
    }
    findings.dedup();
    findings
}

/// What is wrong with a citation.
fn check_citation(page: &Page, citation: &Citation) -> Option<String> {
    let rfc = citation.rfc;
    if rfc == 0 {
        return Some("DEVIATES is followed by an RFC and a section".to_owned());
    }
    if page.elsewhere.iter().any(|elsewhere| elsewhere.covers(rfc, citation.section.as_ref())) {
        return None;
    }
    let mut rows = page.rows.iter().filter(|row| row.rfc == Some(rfc)).peekable();
    if rows.peek().is_none() {
        return Some(format!("{PAGE} has no row for RFC {rfc}, and does not say that it is not TCP's"));
    }
    let section = citation.section.as_ref()?;
    let mut rows = rows.filter(|row| row.sections.iter().any(|own| own.touches(section))).peekable();
    let number = &section.0;
    if rows.peek().is_none() {
        return Some(format!("{PAGE} has no row for RFC {rfc} §{number}"));
    }
    let missing = citation.deviates && !rows.any(|row| row.status == Some(Status::Deviates));
    missing.then(|| format!("no row of {PAGE} says that RFC {rfc} §{number} is deviated from"))
}

/// What is wrong with a row.
fn check_row(row: &Row, tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in &row.shown_by {
        let known = if name.contains('/') { tree.scripts.contains(name) } else { tree.tests.contains(name) };
        if !known {
            wrong.push(format!("there is no script or test {name}"));
        }
    }
    let cites = |deviates: bool| {
        let of_row = |citation: &&Citation| row.rfc == Some(citation.rfc) && citation.deviates == deviates;
        tree.citations.iter().filter(of_row).filter_map(|citation| citation.section.as_ref()).any(|section| {
            row.sections.iter().any(|own| own.holds(section) || (deviates && own.touches(section)))
        })
    };
    match row.status {
        None => wrong.push("a status is `obeyed`, `deviates: reason` or `open: what is missing`".to_owned()),
        Some(Status::Obeyed) => {
            if row.shown_by.is_empty() {
                wrong.push("no script or test shows that it is obeyed".to_owned());
            }
            if row.rfc.is_some() && !cites(false) && !cites(true) {
                wrong.push("no comment cites the section".to_owned());
            }
        }
        Some(Status::Deviates) if row.rfc.is_some() && !cites(true) => {
            wrong.push("no comment says DEVIATES of the section".to_owned());
        }
        Some(Status::Deviates | Status::Open) => {}
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::super::{Section, citations};
    use super::*;
    use crate::tidy::Source;
    use std::path::Path;

    fn findings(page: &str, source: &str) -> Vec<String> {
        let source = Source::read(Path::new("net/tcp/src/a.rs"), source);
        let tree = Tree {
            citations: citations::read(&source),
            scripts: ["rfc1/a_b_c".to_owned()].into(),
            tests: ["proves".to_owned()].into(),
        };
        check(&Page::parse(page), &tree).iter().map(ToString::to_string).collect()
    }

    const GOOD: &str = "Not TCP's: RFC 7\n\n| 1 | §1 a | obeyed | `rfc1/a_b_c`, `proves` |\n\
                        | 1 | §2 b | deviates: why | |\n| 1 | §3 c | open: all of it | |\n| draft-x | §1 d | obeyed | `proves` |";

    #[test]
    fn what_fits_is_silent() {
        let source = "// RFC 1 §1.4: so. RFC 7 §9.\nfn a() {}\n// DEVIATES RFC 1 §2: why.\n";
        assert_eq!(findings(GOOD, source), Vec::<String>::new());
        assert!(Section::read("§1").is_some());
    }

    #[test]
    fn each_breach_is_told_at_its_place() {
        let one = |page: &str, source: &str, expected: &str| {
            let found = findings(page, source);
            assert!(found.iter().any(|line| line.starts_with(expected)), "{expected}: {found:?}");
        };
        let source = "// RFC 1 §1, RFC 7.\nfn a() {}\n// DEVIATES RFC 1 §2: why.\n";
        let with = |row: &str| format!("{GOOD}\n{row}");
        one(GOOD, "// RFC 2 §1\n", "net/tcp/src/a.rs:1: docs/tcp-rfcs.md has no row for RFC 2,");
        one(GOOD, "//\n// RFC 1 §4\n", "net/tcp/src/a.rs:2: docs/tcp-rfcs.md has no row for RFC 1 §4");
        one(GOOD, "// DEVIATES RFC 1 §1: x\n", "net/tcp/src/a.rs:1: no row of");
        one(GOOD, "// DEVIATES here\n", "net/tcp/src/a.rs:1: DEVIATES is followed by");
        one(GOOD, "// RFC 1 §1\n", "docs/tcp-rfcs.md:4: no comment says DEVIATES");
        one(GOOD, "// RFC 1 §2\n", "docs/tcp-rfcs.md:3: no comment cites");
        one(GOOD, "// RFC 1 §1\n", "docs/tcp-rfcs.md:1: RFC 7 is cited nowhere");
        one(&with("| 1 | §1 e | obeyed | |"), source, "docs/tcp-rfcs.md:7: no script or test shows");
        one(
            &with("| 1 | §1 e | obeyed | `rfc1/x` |"),
            source,
            "docs/tcp-rfcs.md:7: there is no script or test rfc1/x",
        );
        one(&with("| 1 | §1 e | yes | |"), source, "docs/tcp-rfcs.md:7: a status is");
        one(
            &with("| 1 | §1 a | obeyed | `proves` |"),
            source,
            "docs/tcp-rfcs.md:7: the clause stands on line 3",
        );
        one(&with("| 1 | §1 e | obeyed |"), source, "docs/tcp-rfcs.md:7: a row has four cells");
        one("| 1 | §1 a | obeyed | `proves` |", source, "net/tcp/scripts/rfc1/a_b_c.pkt:1: no row of");
    }
}
