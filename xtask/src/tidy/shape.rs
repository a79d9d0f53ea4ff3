//! How files start, and what those that name the others hold.

use super::Finding;
use super::source::Source;

/// Up to this many lines without tests, a `lib.rs` or `mod.rs` may hold functions: a small crate is one file.
const CONTENTS_LINES_MAX: usize = 150;

pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let first = source.lines.iter().find(|line| !line.trim().is_empty());
    if !first.is_some_and(|line| line.starts_with("//!")) {
        let text = "the file does not start with //! and what it is";
        findings.push(Finding::new("module-docs", &source.path, 1, text));
    }
    let name = source.path.file_name().unwrap_or_default();
    let lines = (0..source.lines.len()).filter(|line| !source.is_test(*line)).count();
    if (name == "lib.rs" || name == "mod.rs") && !source.is_all_tests() && lines > CONTENTS_LINES_MAX {
        let functions = source.functions.iter().filter(|function| !source.is_test(function.lines.start));
        if functions.count() > 0 {
            let text = format!(
                "a table of contents holds no functions, unless it has at most {CONTENTS_LINES_MAX} lines and \
                 not {lines}"
            );
            findings.push(Finding::new("contents", &source.path, 1, text));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&Source::read(Path::new(path), text)).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn files_start_with_what_they_are() {
        assert_eq!(rules("a.rs", "//! A.\nfn a() {}\n"), [""; 0]);
        assert_eq!(rules("a.rs", "fn a() {}\n"), ["module-docs"]);
        assert_eq!(rules("a.rs", ""), ["module-docs"]);
    }

    #[test]
    fn tables_of_contents_hold_no_functions() {
        let long = format!("//! A.\n{}", "pub mod a;\n".repeat(CONTENTS_LINES_MAX));
        let with_function = format!("{long}fn a() {{}}\n");
        let with_test = format!("{long}#[cfg(test)]\nmod tests {{\n    fn a() {{}}\n}}\n");
        assert_eq!(rules("src/lib.rs", &long), [""; 0]);
        assert_eq!(rules("src/lib.rs", &with_test), [""; 0]);
        assert_eq!(rules("src/a/mod.rs", &with_function), ["contents"]);
        assert_eq!(rules("src/a.rs", &with_function), [""; 0]);
        assert_eq!(rules("src/lib.rs", "//! A.\nfn a() {}\n"), [""; 0]);
    }
}
