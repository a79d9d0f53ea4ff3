//! How a script ends.

/// How a script ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything happened as it says.
    Pass,
    /// Something did not.
    Fail(Stop),
    /// It needs what cannot be expressed here.
    Unsupported(Stop),
}

/// Where a script ended early, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The line of the event, from 1.
    pub line: u32,
    /// The first field that differs, or the construct.
    pub text: String,
}

impl Outcome {
    /// A failure on `line`.
    pub fn fail(line: u32, text: impl Into<String>) -> Self {
        Self::Fail(Stop { line, text: text.into() })
    }

    /// A construct on `line` that cannot be had.
    pub fn unsupported(line: u32, text: impl Into<String>) -> Self {
        Self::Unsupported(Stop { line, text: text.into() })
    }
}
