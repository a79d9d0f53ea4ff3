//! A line as words, each with the letter that it starts at.

use alloc::string::String;
use core::fmt::Display;

/// What stops the reading of a line: where, as a byte of it, and what was expected there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    pub offset: usize,
    pub message: String,
}

/// Reads one line from left to right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

/// What ends a word besides a space; each is a word of its own.
const MARKS: [char; 4] = [',', '{', '}', '"'];

impl<'a> Cursor<'a> {
    /// At the start of a line, whose comment has been taken off.
    pub(crate) const fn new(line: &'a str) -> Self {
        Self { line, at: 0 }
    }

    /// The whole line.
    pub(crate) const fn line(&self) -> &'a str {
        self.line
    }

    /// The next word; an empty one at the end.
    pub(crate) fn peek(&self) -> &'a str {
        let rest = self.rest();
        match rest.chars().next() {
            Some(mark) if MARKS.contains(&mark) => &rest[..1],
            _ => {
                let is_end = |letter: char| letter.is_whitespace() || MARKS.contains(&letter);
                &rest[..rest.find(is_end).unwrap_or(rest.len())]
            }
        }
    }

    /// Takes the next word.
    pub(crate) fn next(&mut self) -> &'a str {
        let word = self.peek();
        self.at = self.offset() + word.len();
        word
    }

    /// Takes the next word if it is this one.
    pub(crate) fn take(&mut self, word: &str) -> bool {
        let is = self.peek() == word;
        if is {
            self.next();
        }
        is
    }

    /// Whether nothing is left.
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    /// A text between quotes, which cannot hold one.
    pub(crate) fn quoted(&mut self) -> Result<&'a str, Stop> {
        if !self.take("\"") {
            return self.expected("a text in quotes");
        }
        let start = self.at;
        let Some(length) = self.line[start..].find('"') else {
            self.at = self.line.len();
            return self.expected("a quote that ends the text");
        };
        self.at = start + length + 1;
        Ok(&self.line[start..start + length])
    }

    /// The byte of the line at which the next word starts.
    pub(crate) fn offset(&self) -> usize {
        self.line.len() - self.rest().len()
    }

    /// Says that something else was expected here.
    pub(crate) fn expected<T>(&self, what: impl Display) -> Result<T, Stop> {
        self.stop(alloc::format!("expected {what}"))
    }

    /// Says what is wrong here.
    pub(crate) fn stop<T>(&self, message: impl Into<String>) -> Result<T, Stop> {
        Err(Stop { offset: self.offset(), message: message.into() })
    }

    fn rest(&self) -> &'a str {
        self.line[self.at..].trim_start()
    }
}

/// A line apart from its comment: what stands in front of the first `#` that is not in quotes, and what behind it.
pub(crate) fn split_comment(line: &str) -> (&str, Option<&str>) {
    let mut is_quoted = false;
    for (at, letter) in line.char_indices() {
        match letter {
            '"' => is_quoted = !is_quoted,
            '#' if !is_quoted => return (&line[..at], Some(&line[at + 1..])),
            _ => {}
        }
    }
    (line, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_line_is_cut_into_words_and_marks() {
        let mut cursor = Cursor::new("  set a {192.0.2.1,::1 }");
        let mut words = Vec::new();
        while !cursor.is_at_end() {
            words.push((cursor.offset(), cursor.next()));
        }
        let expected = [(2, "set"), (6, "a"), (8, "{"), (9, "192.0.2.1"), (18, ","), (19, "::1"), (23, "}")];
        assert_eq!(words, expected);
        assert_eq!((cursor.peek(), cursor.next()), ("", ""));
    }

    #[test]
    fn texts_stand_in_quotes_and_comments_behind_a_hash() {
        let (line, comment) = split_comment("count \"a # b\" udp # why");
        assert_eq!((line, comment), ("count \"a # b\" udp ", Some(" why")));
        let mut cursor = Cursor::new(line);
        assert!(cursor.take("count"));
        assert_eq!(cursor.quoted(), Ok("a # b"));
        assert_eq!(cursor.next(), "udp");
        let mut open = Cursor::new("\"open");
        assert_eq!(open.quoted().unwrap_err().offset, 5);
    }
}
