//! The text as the parser reads it: words, numbers, times, quoted pieces; blanks and comments are between them.

use std::time::Duration;

/// The latest time that a script can name, in seconds: ten years.
const SECONDS_MAX: u64 = 10 * 366 * 24 * 3_600;

/// What stops the parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// On which line, from 1.
    pub line: u32,
    /// What was expected, and what stands there.
    pub text: String,
}

/// A place in the text.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// What is still to be read, blanks and comments skipped.
    pub fn rest(&mut self) -> &'a str {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            let comment = if trimmed.starts_with("//") {
                trimmed.find('\n').unwrap_or(trimmed.len())
            } else if trimmed.starts_with("/*") {
                trimmed.find("*/").map_or(trimmed.len(), |end| end + 2)
            } else {
                return trimmed;
            };
            self.at += comment;
        }
    }

    /// What is still to be read on this line, nothing skipped.
    pub fn raw(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Goes on by so many bytes.
    pub fn advance(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// The line, from 1.
    pub fn line(&mut self) -> u32 {
        self.rest();
        self.text[..self.at].bytes().filter(|byte| *byte == b'\n').count() as u32 + 1
    }

    /// Whether nothing is left.
    pub fn is_at_end(&mut self) -> bool {
        self.rest().is_empty()
    }

    /// Whether `token` stands next.
    pub fn is_at(&mut self, token: &str) -> bool {
        self.rest().starts_with(token)
    }

    /// Takes `token` if it stands next.
    pub fn eat(&mut self, token: &str) -> bool {
        let found = self.is_at(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Takes `token`, which has to stand next.
    pub fn expect(&mut self, token: &str) -> Result<(), SyntaxError> {
        if self.eat(token) { Ok(()) } else { Err(self.error(&format!("expected {token}"))) }
    }

    /// Takes `word` if the next word is this one.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek_word() == word;
        if found {
            self.at += word.len();
        }
        found
    }

    /// The next word, empty where none stands next.
    pub fn peek_word(&mut self) -> &'a str {
        let rest = self.rest();
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            return "";
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    }

    /// Takes the next word.
    pub fn word(&mut self) -> Result<&'a str, SyntaxError> {
        let word = self.peek_word();
        if word.is_empty() {
            return Err(self.error("expected a word"));
        }
        self.at += word.len();
        Ok(word)
    }

    /// Takes what stands up to a blank or one of `ends`.
    pub fn take_until(&mut self, ends: &[char]) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || ends.contains(&c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Takes a whole number, decimal or hexadecimal, with its sign.
    pub fn integer(&mut self) -> Result<i64, SyntaxError> {
        let rest = self.rest();
        let digits = rest.strip_prefix('-').unwrap_or(rest);
        let sign = rest.len() - digits.len();
        let (prefix, radix) =
            if digits.starts_with("0x") || digits.starts_with("0X") { (2, 16) } else { (0, 10) };
        let digits = &digits[prefix..];
        let length = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
        let value =
            u64::from_str_radix(&digits[..length], radix).map_err(|_| self.error("expected a number"))?;
        self.at += sign + prefix + length;
        let value = value as i64;
        Ok(if sign == 1 { value.wrapping_neg() } else { value })
    }

    /// Takes a whole number that fits.
    pub fn number<T: TryFrom<i64>>(&mut self) -> Result<T, SyntaxError> {
        let before = self.clone();
        let value = self.integer()?;
        T::try_from(value).map_err(|_| before.clone().error("a number out of range:"))
    }

    /// Takes a time in seconds.
    pub fn seconds(&mut self) -> Result<Duration, SyntaxError> {
        let rest = self.rest();
        let whole = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let mut end = whole;
        let mut nanos = 0_u64;
        // `0...0.1` is a time, an ellipsis and a time.
        if let Some(fraction) = rest[whole..].strip_prefix('.').filter(|rest| !rest.starts_with('.')) {
            let length = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            nanos = format!("{:0<9.9}", &fraction[..length]).parse().unwrap_or(0);
            end += 1 + length;
        }
        if end == 0 || &rest[..end] == "." {
            return Err(self.error("expected a time"));
        }
        let seconds: u64 = match &rest[..whole] {
            "" => 0,
            digits => digits.parse().unwrap_or(u64::MAX),
        };
        if seconds > SECONDS_MAX {
            return Err(self.error("a time out of range:"));
        }
        self.at += end;
        Ok(Duration::from_secs(seconds) + Duration::from_nanos(nanos))
    }

    /// Takes what stands between `open` and `close`.
    pub fn enclosed(&mut self, open: &str, close: &str) -> Result<&'a str, SyntaxError> {
        self.expect(open)?;
        let rest = self.raw();
        let Some(end) = rest.find(close) else { return Err(self.error(&format!("{open} without {close}"))) };
        self.at += end + close.len();
        Ok(&rest[..end])
    }

    /// An error here.
    pub fn error(&mut self, what: &str) -> SyntaxError {
        let line = self.line();
        let near: String = self
            .rest()
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(30)
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        SyntaxError { line, text: format!("{what} near `{near}`") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_blanks_and_lines_are_counted() {
        let mut cursor = Cursor::new("// one\n/* two\n three */ word");
        assert_eq!((cursor.line(), cursor.word().unwrap()), (3, "word"));
        assert!(cursor.is_at_end());
    }

    #[test]
    fn a_time_ends_before_an_ellipsis() {
        let mut cursor = Cursor::new("0...0.100 .01 3");
        assert_eq!(cursor.seconds().unwrap(), Duration::ZERO);
        assert!(cursor.eat("..."));
        assert_eq!(cursor.seconds().unwrap(), Duration::from_millis(100));
        assert_eq!(cursor.seconds().unwrap(), Duration::from_millis(10));
        assert_eq!(cursor.seconds().unwrap(), Duration::from_secs(3));
        assert!(cursor.seconds().is_err());
    }

    #[test]
    fn numbers_have_signs_and_bases() {
        let mut cursor = Cursor::new("-1 0xffffffff 70000");
        assert_eq!((cursor.integer().unwrap(), cursor.integer().unwrap()), (-1, 0xffff_ffff));
        assert!(cursor.number::<u16>().is_err());
    }
}
