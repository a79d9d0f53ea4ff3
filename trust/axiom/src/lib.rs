//! The authority: what may connect where, decided by a policy and written into the ledger. A value: it opens no socket,
//! reads no clock and no file.
//!
//! - [`proposal`]: what is asked
//! - [`policy`]: rules, lists and policies in Cedar as one value that answers
//! - [`Axiom`]: policy, memory of answers, and the ledger's head
//! - [`remedy`]: what would allow what an entry of the ledger refuses
//! - [`rules`]: the language of `--allow` and `--deny`
//! - [`domain`]: names in one canonical form
//! - [`addresses`]: whether a name that is allowed may lead to an address

#![forbid(unsafe_code)]

pub mod addresses;
mod axiom;
mod cache;
pub mod domain;
pub mod policy;
pub mod proposal;
mod refusals;
pub mod remedy;
pub mod rules;

pub use axiom::{Axiom, Committed, Moment, Rejected, Verdict};
pub use cache::{GENERATION_ANSWERS_MAX, GENERATION_BYTES_MAX};
pub use proposal::{Context, Kind, Proposal};
pub use refusals::{COUNTING, NEW_PER_SECOND_MAX, WAITING_MAX};
pub use remedy::Remedy;
