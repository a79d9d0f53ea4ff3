//! `unsafe`: where it may stand, how long a block may be, and that each says why it is sound.

use super::Finding;
use super::source::{Source, has_word};

/// The crates that touch hardware, the kernel or shared memory, or make namespaces for tests.
const CRATES: [&str; 9] = [
    "base/packet/",
    "host/link/",
    "host/runtime/",
    "host/gateway/",
    "testing/bench/",
    "testing/interop/",
    "testing/nostd/",
    "testing/packetdrill/",
    "metal/",
];

/// How long an unsafe block may be.
const BLOCK_LINES_MAX: usize = 10;
/// How far above an unsafe block its SAFETY comment may start.
const COMMENT_LINES_MAX: usize = 8;

pub fn check(source: &Source) -> Vec<Finding> {
    let path = source.path.to_string_lossy();
    let is_allowed = CRATES.iter().any(|place| path.starts_with(place));
    let mut findings = Vec::new();
    let is_root = path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
    if is_root && !is_allowed && !source.code.iter().any(|line| line.contains("#![forbid(unsafe_code)]")) {
        let text = "this crate touches no hardware: it says #![forbid(unsafe_code)]";
        findings.push(Finding::new("forbid-unsafe", &source.path, 1, text));
    }
    for (line, code) in source.code_lines().filter(|(_, code)| has_word(code, "unsafe")) {
        let mut find = |text: &str| findings.push(Finding::new("unsafe", &source.path, line + 1, text));
        // An attribute such as #[unsafe(no_mangle)] is no block.
        let is_block = code.contains("unsafe {");
        if !is_allowed {
            find("this crate touches no hardware, kernel or shared memory");
        }
        if (is_block || code.contains("unsafe impl")) && !is_explained(source, line) {
            find("it does not say SAFETY: and why it is sound");
        }
        if is_block && block_lines(source, line) > BLOCK_LINES_MAX {
            find("the block has more than ten lines");
        }
    }
    findings
}

fn is_explained(source: &Source, line: usize) -> bool {
    source.lines[line.saturating_sub(COMMENT_LINES_MAX)..=line].iter().any(|text| text.contains("SAFETY:"))
}

/// From the line of `unsafe {` to that of its closing brace.
fn block_lines(source: &Source, start: usize) -> usize {
    let mut depth = 0usize;
    for (line, code) in source.code_lines().skip(start) {
        let code = if line == start { &code[code.find("unsafe {").unwrap_or(0)..] } else { code };
        for c in code.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth <= 1 => return line + 1 - start,
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    source.code.len() - start
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&Source::read(Path::new(path), text)).iter().map(|finding| finding.rule).collect()
    }

    const SOUND: &str = "fn f() {\n    // SAFETY: it is.\n    unsafe { g() };\n}\n";

    #[test]
    fn unsafe_stands_only_where_it_may_and_says_why() {
        assert_eq!(rules("host/link/src/a.rs", SOUND), [""; 0]);
        assert_eq!(rules("net/tcp/src/a.rs", SOUND), ["unsafe"]);
        assert_eq!(rules("host/link/src/a.rs", "fn f() {\n    unsafe { g() };\n}\n"), ["unsafe"]);
        let long = format!("// SAFETY: it is.\nunsafe {{\n{}}}\n", "    g();\n".repeat(BLOCK_LINES_MAX));
        assert_eq!(rules("host/link/src/a.rs", &long), ["unsafe"]);
        assert_eq!(rules("host/link/src/a.rs", "// unsafe\nlet a = \"unsafe {\";\n"), [""; 0]);
    }

    #[test]
    fn other_crates_forbid_it() {
        assert_eq!(rules("net/tcp/src/lib.rs", "#![forbid(unsafe_code)]\n"), [""; 0]);
        assert_eq!(rules("net/tcp/src/lib.rs", "//! #![forbid(unsafe_code)]\n"), ["forbid-unsafe"]);
        assert_eq!(rules("host/link/src/lib.rs", "//! A.\n"), [""; 0]);
    }
}
