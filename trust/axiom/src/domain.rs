//! Domain names as policies compare them: one canonical form, so that equality is equality of bytes.
//!
//! RFC 1035 §2.3.4 (sizes), RFC 4343 (case), RFC 5890 (U-labels become A-labels before anything is compared).

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The most bytes that a name has, without its trailing dot (RFC 1035 §2.3.4).
pub const NAME_BYTES_MAX: usize = 253;
/// The most bytes that one label has (RFC 1035 §2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;
/// The name by which the child reaches the host's own loopback.
pub const HOST_NAME: &str = "host.weft.internal";

/// A domain name in canonical form: lower case, ASCII, no trailing dot, at least one label, every label of 1 to 63
/// letters, digits, hyphens or underscores, and a last label that is not a number. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(Arc<str>);

/// Why a text is no [`DomainName`], and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainError {
    /// Bytes before the one that is wrong.
    pub offset: usize,
    /// What was expected.
    pub expected: &'static str,
}

impl fmt::Display for DomainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset + 1, self.expected)
    }
}

impl std::error::Error for DomainError {}

impl DomainName {
    /// Reads a name. One trailing dot is dropped, letters become lower case, U-labels become A-labels (UTS 46).
    ///
    /// # Errors
    ///
    /// Where the text is no name, or could be read as an IPv4 address in one of its older forms.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        if text.is_ascii() {
            return Self::parse_ascii(text);
        }
        let offset = text.bytes().position(|byte| !byte.is_ascii()).unwrap_or(0);
        let converted = idna::uts46::Uts46::new()
            .to_ascii(
                text.as_bytes(),
                idna::AsciiDenyList::URL,
                idna::uts46::Hyphens::Allow,
                idna::uts46::DnsLength::Ignore,
            )
            .map_err(|_| DomainError {
                offset,
                expected: "a letter that IDNA allows in a name (RFC 5891)",
            })?;
        // The conversion may have dropped or moved bytes: its errors point at the first letter that it touched.
        Self::parse_ascii(&converted).map_err(|error| DomainError { offset, expected: error.expected })
    }

    fn parse_ascii(text: &str) -> Result<Self, DomainError> {
        let wrong = |offset, expected| Err(DomainError { offset, expected });
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut start = 0;
        for label in text.split('.') {
            if label.is_empty() {
                return wrong(start, "a label of at least one letter");
            }
            if let Some(at) = label.bytes().position(|byte| !is_label_byte(byte)) {
                return wrong(start + at, "a letter, digit, hyphen, underscore or dot of a name");
            }
            if label.len() > LABEL_BYTES_MAX {
                return wrong(start + LABEL_BYTES_MAX, "a label of at most 63 letters");
            }
            start += label.len() + 1;
        }
        if text.len() > NAME_BYTES_MAX {
            return wrong(NAME_BYTES_MAX, "a name of at most 253 letters");
        }
        let last = text.rsplit('.').next().unwrap_or(text);
        if is_number(last) {
            // inet_aton reads "127.1", "0x7f.1" and "2130706433" as addresses: such a name would mean two things.
            return wrong(
                text.len() - last.len(),
                "a last label that is not a number, or four decimal numbers",
            );
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names above this one, the nearest first: `b.c` and `c` for `a.b.c`.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        let text = self.as_str();
        text.match_indices('.').map(move |(at, _)| &text[at + 1..])
    }

    /// Whether this is `host.weft.internal`, by which the child means the host's own loopback.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.as_str() == HOST_NAME
    }
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Whether a label is a number to `inet_aton`: decimal, octal or hexadecimal.
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

impl Borrow<str> for DomainName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl std::str::FromStr for DomainName {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_one_canonical_form() {
        for (text, canonical) in [
            ("Example.COM.", "example.com"),
            ("_dmarc.example.com", "_dmarc.example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example.", "xn--bcher-kva.example"),
            ("r3---sn.example", "r3---sn.example"),
            ("localhost", "localhost"),
            ("1.2.3.4.nip.io", "1.2.3.4.nip.io"),
        ] {
            assert_eq!(DomainName::parse(text).expect(text).as_str(), canonical);
        }
    }

    #[test]
    fn what_is_no_name_is_refused_at_its_byte() {
        let long = "a".repeat(64);
        let longer = ["a".repeat(63).as_str(); 4].join(".");
        for (text, offset) in [
            ("", 0),
            (".", 0),
            ("a..b", 2),
            (".a", 0),
            ("a.b..", 4),
            ("a b", 1),
            ("a*.b", 1),
            ("a.\u{0}", 2),
            ("127.1", 4),
            ("2130706433", 0),
            ("0x7f.0x1", 5),
            ("1.2.3.4", 6),
            ("a/b", 1),
            (long.as_str(), 63),
            (longer.as_str(), 253),
        ] {
            assert_eq!(DomainName::parse(text).expect_err(text).offset, offset, "{text}");
        }
        assert!(DomainName::parse("a\u{ff0f}b.example").is_err(), "a full-width slash is a slash");
    }

    #[test]
    fn ancestors_come_nearest_first() {
        let name = DomainName::parse("a.b.c").expect("name");
        assert_eq!(name.ancestors().collect::<Vec<_>>(), ["b.c", "c"]);
    }
}
