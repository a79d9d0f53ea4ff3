//! Keys: a secret one signs, the public one of the same name checks.
//!
//! A key has a name, an algorithm and an id, and is written as one line, in the forms of C2SP signed-note and
//! tlog-cosignature, so that the tools of others take it. Random bytes come in from whoever makes a key.

#![forbid(unsafe_code)]

pub mod algorithm;
pub mod file;
pub mod public;
pub mod secret;

pub use algorithm::Algorithm;
pub use file::{CreateError, ReadError};
pub use public::{KeyError, PublicKey};
pub use secret::SecretKey;
