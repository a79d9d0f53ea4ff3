//! A Rust file, cut into what the rules look at: code without comments and strings, functions, tests.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// A file, read.
#[derive(Debug)]
pub struct Source {
    /// From the workspace's root.
    pub path: PathBuf,
    /// The lines as they are.
    pub lines: Vec<String>,
    /// The same lines with comments, and what stands in strings and characters, as blanks.
    pub code: Vec<String>,
    /// Its functions in order.
    pub functions: Vec<Function>,
    /// Which lines belong to tests.
    tests: Vec<bool>,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its lines from `fn` to the closing brace, counted from 0.
    pub lines: Range<usize>,
}

impl Source {
    /// Reads a file.
    pub fn read(path: &Path, text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let code: Vec<String> = blank(text).lines().map(str::to_owned).collect();
        let tests = if is_test_path(path) { vec![true; lines.len()] } else { test_lines(&code) };
        let functions = functions(&code);
        Self { path: path.to_owned(), lines, code, functions, tests }
    }

    /// Whether a line, counted from 0, belongs to tests.
    pub fn is_test(&self, line: usize) -> bool {
        self.tests.get(line).copied().unwrap_or(false)
    }

    /// Whether the whole file is tests.
    pub fn is_all_tests(&self) -> bool {
        is_test_path(&self.path)
    }

    /// The lines of code with their numbers from 0.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.iter().map(String::as_str).enumerate()
    }
}

/// Whether a file by its place holds nothing but tests.
fn is_test_path(path: &Path) -> bool {
    let is_folder =
        path.parent().into_iter().flat_map(Path::components).any(|part| part.as_os_str() == "tests");
    is_folder || path.file_name().is_some_and(|name| name == "tests.rs")
}

/// Whether `word` stands in `line` with no letter, digit or `_` beside it.
pub fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// Text with comments and the insides of strings and characters as blanks; every line stays where it is.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match skipped(bytes, at) {
            Some(end) => end,
            None => {
                out.push(bytes[at]);
                at += 1;
                continue;
            }
        };
        out.extend(bytes[at..end].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
        at = end;
    }
    String::from_utf8(out).expect("whole characters were replaced")
}

/// Where the comment, string or character that starts at `at` ends; `None` where none does.
fn skipped(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let is_in_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => Some(at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())),
        [b'/', b'*', ..] => Some(at + block_comment(rest)),
        [b'"', ..] => Some(at + quoted(rest, 1)),
        [b'b' | b'c', b'"', ..] if !is_in_word => Some(at + quoted(rest, 2)),
        [b'r', b'"' | b'#', ..] if !is_in_word => raw(rest, 1).map(|length| at + length),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !is_in_word => raw(rest, 2).map(|length| at + length),
        [b'\'', ..] => character(rest).map(|length| at + length),
        _ => None,
    }
}

/// Block comments nest.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[u8], start: usize) -> usize {
    let mut at = start;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r"..."`, `r#"..."#`; an identifier such as `r#type` is none.
fn raw(rest: &[u8], start: usize) -> Option<usize> {
    let hashes = rest[start..].iter().take_while(|byte| **byte == b'#').count();
    let open = start + hashes;
    if rest.get(open) != Some(&b'"') {
        return None;
    }
    let mut end = vec![b'"'];
    end.resize(1 + hashes, b'#');
    let found = rest[open + 1..].windows(end.len()).position(|window| window == end);
    Some(found.map_or(rest.len(), |at| open + 1 + at + end.len()))
}

/// `'x'`, `'\n'`; a lifetime is none.
fn character(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        let close = rest[3.min(rest.len())..].iter().position(|byte| *byte == b'\'')?;
        return Some(3 + close + 1);
    }
    let text = std::str::from_utf8(&rest[1..rest.len().min(6)]);
    let text = match text {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&rest[1..1 + error.valid_up_to()]).unwrap_or_default(),
    };
    let length = text.chars().next()?.len_utf8();
    (rest.get(1 + length) == Some(&b'\'')).then_some(length + 2)
}

/// The lines of items under `#[cfg(test)]`, and of functions under `#[test]`.
fn test_lines(code: &[String]) -> Vec<bool> {
    let mut tests = vec![false; code.len()];
    for (line, text) in code.iter().enumerate() {
        let text = text.trim_start();
        let is_test = text.starts_with("#[cfg(test)]")
            || text.starts_with("#[test]")
            || (text.starts_with("#[cfg(") && !text.contains("not(test)") && has_word(text, "test"));
        if is_test && !tests[line] {
            let end = item_end(code, line);
            tests[line..end].fill(true);
        }
    }
    tests
}

/// One past the last line of the item that starts at a line: a `;` or the brace that closes its first.
fn item_end(code: &[String], start: usize) -> usize {
    let (mut depth, mut brackets) = (0usize, 0usize);
    for (line, text) in code.iter().enumerate().skip(start) {
        for c in text.chars() {
            match c {
                '{' => depth += 1,
                '}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return line + 1;
                    }
                }
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                ';' if depth == 0 && brackets == 0 => return line + 1,
                _ => {}
            }
        }
    }
    code.len()
}

/// The functions with a body, those inside of others too.
fn functions(code: &[String]) -> Vec<Function> {
    let mut found = Vec::new();
    for (line, text) in code.iter().enumerate() {
        for (at, _) in text.match_indices("fn ") {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            if text[..at].chars().next_back().is_some_and(is_part) {
                continue;
            }
            let name: String = text[at + 3..].chars().take_while(|c| is_part(*c)).collect();
            if name.is_empty() {
                continue;
            }
            let end = function_end(code, line, at);
            if let Some(end) = end {
                found.push(Function { name, lines: line..end });
            }
        }
    }
    found
}

/// One past the line of a function's closing brace; `None` for a declaration without a body.
fn function_end(code: &[String], start: usize, column: usize) -> Option<usize> {
    let (mut depth, mut brackets) = (0usize, 0usize);
    for (line, text) in code.iter().enumerate().skip(start) {
        let text = if line == start { &text[column..] } else { text.as_str() };
        for c in text.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth <= 1 => return (depth == 1).then_some(line + 1),
                '}' => depth -= 1,
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                ';' if depth == 0 && brackets == 0 => return None,
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::read(Path::new("base/x/src/a.rs"), text)
    }

    #[test]
    fn comments_and_strings_are_blanked_and_code_stays() {
        for (text, code) in [
            ("a // unsafe", "a          "),
            ("a /* { /* } */ { */ b", "a                     b"),
            (r#"f("unsafe { \" }") + 1"#, "f(                ) + 1"),
            (r##"f(r#"{ " "#, b"}")"##, "f(          ,     )"),
            ("let c = '{'; let d: &'a str", "let c =    ; let d: &'a str"),
            (r"f('\'', '\\', b'\n')", "f(    ,     , b    )"),
            ("r#type + for_r\"x\"", "r#type + for_r   "),
            ("'é' + 'a", "     + 'a"),
        ] {
            let found = blank(text);
            assert_eq!(found.replace(' ', ""), code.replace(' ', ""), "{text}");
            assert_eq!(found.lines().count(), text.lines().count());
        }
    }

    #[test]
    fn functions_are_measured_to_their_closing_brace() {
        let text = "trait T {\n    fn declared(&self);\n    fn one() {}\n}\nconst fn two(a: [u8; 3]) -> u8\nwhere\n    u8: Copy,\n{\n    let f = |x| { x };\n    f(a[0])\n}\ntype F = fn (u8);\n";
        let found: Vec<_> = source(text).functions.into_iter().map(|f| (f.name, f.lines)).collect();
        assert_eq!(found, [("one".to_owned(), 2..3), ("two".to_owned(), 4..11)]);
    }

    #[test]
    fn tests_are_told_from_the_rest() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nuse x::{y};\nfn d() {}\n#[cfg(not(test))]\nfn e() {}\n";
        let source = source(text);
        let lines: Vec<_> = (0..source.lines.len()).filter(|line| source.is_test(*line)).collect();
        assert_eq!(lines, [1, 2, 3, 4, 6, 7]);
        for path in ["base/x/tests/a.rs", "base/x/src/tests.rs", "base/x/src/tests/a.rs"] {
            assert!(Source::read(Path::new(path), text).is_all_tests(), "{path}");
        }
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("a unsafe {", "unsafe") && has_word("unsafe", "unsafe"));
        assert!(!has_word("unsafe_code", "unsafe") && !has_word("not_unsafe", "unsafe"));
    }
}
