//! What comments say of RFCs: `RFC nnnn §x`, further sections after it in the same comment, and `DEVIATES RFC nnnn §x`. A
//! section without an RFC before it belongs to the first one that the file's own documentation names.

use super::Section;
use crate::tidy::Source;

/// An RFC that a comment names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citation {
    /// In which file.
    pub path: String,
    /// On which line, from 1.
    pub line: usize,
    /// Which RFC.
    pub rfc: u32,
    /// Where in it, if the comment says so.
    pub section: Option<Section>,
    /// Whether it is to say that we do otherwise.
    pub deviates: bool,
}

/// What the comments of a file cite, tests left out. Where DEVIATES names no RFC, that is told as RFC 0.
pub fn read(source: &Source) -> Vec<Citation> {
    let path = source.path.to_string_lossy().into_owned();
    let mut citations: Vec<Citation> = Vec::new();
    let mut own = None;
    for (index, comment) in comments(source).iter().enumerate() {
        let mut reader = Reader { path: &path, rfc: own, deviates: Deviates::No, citations: &mut citations };
        let mut words = comment.iter().peekable();
        while let Some((line, word)) = words.next() {
            let next = words.peek().map_or("", |(_, word)| word.as_str());
            reader.take(*line, word, next);
        }
        if index == 0 && source.lines.first().is_some_and(|line| line.starts_with("//!")) {
            own = citations.first().map(|first| first.rfc);
        }
    }
    citations
}

/// The names of a file's functions that are tests, or stand among tests.
pub fn tests(source: &Source) -> impl Iterator<Item = String> + '_ {
    let is_test = |line: usize| source.is_test(line) || source.is_all_tests();
    source.functions.iter().filter(move |f| is_test(f.lines.start)).map(|f| f.name.clone())
}

/// The comments as words with their lines from 1: those on lines that follow each other are one.
fn comments(source: &Source) -> Vec<Vec<(usize, String)>> {
    let mut comments: Vec<Vec<(usize, String)>> = Vec::new();
    let mut follows = false;
    for (index, (line, code)) in source.lines.iter().zip(&source.code).enumerate() {
        let start = line.find("//").filter(|at| code.get(*at..).is_some_and(|rest| rest.trim().is_empty()));
        let Some(start) = start.filter(|_| !source.is_test(index) && !source.is_all_tests()) else {
            follows = false;
            continue;
        };
        let is_alone = line[..start].trim().is_empty();
        if !(follows && is_alone) {
            comments.push(Vec::new());
        }
        follows = is_alone;
        let words = line[start..].split_whitespace().map(|word| (index + 1, word.to_owned()));
        comments.last_mut().expect("one was begun").extend(words.filter(|(_, word)| !word.starts_with("//")));
    }
    comments
}

/// Where in a comment the reader is.
struct Reader<'a> {
    path: &'a str,
    /// What sections without an RFC of their own belong to.
    rfc: Option<u32>,
    deviates: Deviates,
    citations: &'a mut Vec<Citation>,
}

/// Whether RFCs are named to say that we do otherwise.
#[derive(PartialEq)]
enum Deviates {
    No,
    /// The word was the last one.
    Begun,
    /// RFCs and sections follow it.
    Listing,
}

impl Reader<'_> {
    fn take(&mut self, line: usize, word: &str, next: &str) {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '§');
        if bare == "DEVIATES" {
            self.deviates = Deviates::Begun;
            return;
        }
        let begun = self.deviates == Deviates::Begun;
        if bare == "RFC" {
            let digits: String = next.chars().take_while(char::is_ascii_digit).collect();
            self.rfc = digits.parse().ok();
            self.deviates =
                if begun { Deviates::Listing } else { std::mem::replace(&mut self.deviates, Deviates::No) };
            if let Some(rfc) = self.rfc {
                self.cite(line, rfc, None);
            }
            return;
        }
        if begun {
            self.deviates = Deviates::No;
            self.citations.push(Citation {
                path: self.path.to_owned(),
                line,
                rfc: 0,
                section: None,
                deviates: true,
            });
        }
        if bare.starts_with("draft-") {
            self.rfc = None;
        } else if let (Some(section), Some(rfc)) = (Section::read(word), self.rfc) {
            self.cite(line, rfc, Some(section));
        } else if bare.parse::<u32>().ok() != self.rfc || self.rfc.is_none() {
            self.deviates = Deviates::No;
        }
        if word.ends_with(':') {
            self.deviates = Deviates::No;
        }
    }

    fn cite(&mut self, line: usize, rfc: u32, section: Option<Section>) {
        let deviates = self.deviates == Deviates::Listing;
        self.citations.push(Citation { path: self.path.to_owned(), line, rfc, section, deviates });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn told(text: &str) -> Vec<(usize, u32, String, bool)> {
        let source = Source::read(Path::new("net/tcp/src/a.rs"), text);
        let section = |citation: &Citation| citation.section.as_ref().map_or(String::new(), |s| s.0.clone());
        read(&source).iter().map(|c| (c.line, c.rfc, section(c), c.deviates)).collect()
    }

    fn with_section(text: &str) -> Vec<(usize, u32, String, bool)> {
        told(text).into_iter().filter(|(_, _, section, _)| !section.is_empty()).collect()
    }

    #[test]
    fn sections_belong_to_the_rfc_before_them_in_the_comment() {
        let text = "//! Both (RFC 9293 §3.8.3, §3.8.4),\n//! and RFC\n//! 6298 §5; draft-x-01 §7.\nfn a() {} // nothing\n";
        let expected = [(1, 9293, "3.8.3"), (1, 9293, "3.8.4"), (3, 6298, "5")];
        assert_eq!(with_section(text), expected.map(|(line, rfc, s)| (line, rfc, s.to_owned(), false)));
    }

    #[test]
    fn sections_alone_belong_to_the_rfc_of_the_file() {
        let text = "//! A law (RFC 9438, RFC 1).\n\n// §4.7: so.\nfn a() {}\n// draft-x §1; RFC 2 §2.\n";
        let expected = [(3, 9438, "4.7"), (5, 2, "2")];
        assert_eq!(with_section(text), expected.map(|(line, rfc, s)| (line, rfc, s.to_owned(), false)));
        assert_eq!(with_section("//! A law.\n\n// §4.7: so.\n"), []);
    }

    #[test]
    fn what_deviates_ends_with_its_reason() {
        let text = "// RFC 1 §1. DEVIATES RFC 2 §2, RFC 3\n// §3.1 (at most two, RFC 4 §4): as RFC 5 §5.\nfn a() {}\n";
        let marked: Vec<(u32, bool)> =
            with_section(text).into_iter().map(|(_, rfc, _, d)| (rfc, d)).collect();
        assert_eq!(marked, [(1, false), (2, true), (3, true), (4, false), (5, false)]);
        assert_eq!(told("// DEVIATES there: so.\n"), [(1, 0, String::new(), true)]);
    }

    #[test]
    fn code_strings_and_tests_cite_nothing() {
        let text = "const A: &str = \"RFC 1 §1 // RFC 2 §2\";\n#[cfg(test)]\nmod tests {\n    // RFC 3 §3\n    #[test]\n    fn proves() {}\n}\n";
        assert_eq!(told(text), []);
        let source = Source::read(Path::new("net/tcp/src/a.rs"), text);
        assert_eq!(tests(&source).collect::<Vec<_>>(), ["proves"]);
    }
}
