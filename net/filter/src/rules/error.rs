//! What is wrong with a rules file, and where.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// One thing that cannot be understood.
///
/// ```
/// let errors = filter::Ruleset::parse("receive default drop\n  acept udp").unwrap_err();
/// let [error] = &errors.0[..] else { panic!("one line is wrong") };
/// assert_eq!((error.line, error.column), (2, 3));
/// assert_eq!(error.to_string(), "2:3: expected accept, drop, reject, count, limit, set, receive, forward or send");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesError {
    /// The file that a set is read from, where it is in there.
    pub file: Option<String>,
    /// The line, counted from 1.
    pub line: u32,
    /// The letter in it, counted from 1; one past the end where something is missing.
    pub column: u32,
    /// What was expected there, and what helps.
    pub message: String,
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl core::error::Error for RulesError {}

/// Everything that is wrong with a rules file, in order, up to [`ERRORS_MAX`](crate::ERRORS_MAX); never empty.
///
/// ```
/// let errors = filter::Ruleset::parse("what\nis\nthis").unwrap_err();
/// assert_eq!(errors.to_string().lines().count(), 3);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(pub Vec<RulesError>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            write!(f, "{end}{error}")?;
        }
        Ok(())
    }
}

impl core::error::Error for Errors {}
