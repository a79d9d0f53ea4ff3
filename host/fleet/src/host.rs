//! What a host is called.

use std::fmt;
use std::str::FromStr;

/// The bound of a host's name, in bytes: RFC 1035 §2.3.4.
pub const HOST_BYTES_MAX: usize = 253;

/// A host's name: labels of small letters, digits and `-`, with dots between them. In subjects and keys, where dots
/// separate, a `_` stands for each dot, which no such name has.
///
/// ```
/// use fleet::HostName;
///
/// let host: HostName = "host7.example.com".parse()?;
/// assert_eq!(host.token(), "host7_example_com");
/// assert_eq!(HostName::of_token("host7_example_com"), Some(host));
/// assert!("host_7".parse::<HostName>().is_err());
/// # Ok::<(), fleet::host::HostNameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

/// Why text is no host's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNameError(String);

impl HostName {
    /// The name as one token of a subject or a key.
    #[must_use]
    pub fn token(&self) -> String {
        self.0.replace('.', "_")
    }

    /// The name that a token stands for; `None` where it stands for none.
    #[must_use]
    pub fn of_token(token: &str) -> Option<Self> {
        if token.contains('.') { None } else { token.replace('_', ".").parse().ok() }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_letter);
        match text.len() <= HOST_BYTES_MAX && text.split('.').all(is_label) {
            true => Ok(Self(text.to_owned())),
            false => Err(HostNameError(text.chars().take(64).collect())),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HostNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' is no host's name: small letters, digits and '-', with dots between, as host7.example.com",
            self.0
        )
    }
}

impl std::error::Error for HostNameError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(HOST_BYTES_MAX + 1);
        for text in ["", ".", "a.", ".a", "a..b", "A", "a_b", "a b", "a*", "a>", "ü", "a/b", &long] {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
        assert!(long[1..].parse::<HostName>().is_ok());
        assert_eq!(HostName::of_token("a.b"), None);
        assert_eq!(HostName::of_token("a__b"), None);
    }

    proptest! {
        #[test]
        fn a_token_stands_for_one_name(text in "[a-z0-9-]{1,5}(\\.[a-z0-9-]{1,5}){0,4}") {
            let host: HostName = text.parse().unwrap();
            prop_assert_eq!(HostName::of_token(&host.token()), Some(host.clone()));
            prop_assert!(!host.token().contains(['.', '*', '>', ' ']));
        }
    }
}
