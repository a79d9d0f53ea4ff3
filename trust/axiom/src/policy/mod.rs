//! What may be, as one value: rules of flags, files in the short format and policies in Cedar together. Immutable.
//!
//! `docs/policy.md` tells of all of it. A policy is built by a [`PolicyBuilder`], which says of everything that is wrong
//! where it stands; there is no half of a policy that is used. [`Policy::decide`] answers a [`Proposal`](crate::Proposal).
//!
//! ```text
//!   --allow, --deny, --publish ─┐
//!   FILE in the short format ───┼─> own rules ──> which groups is the endpoint in? ─┐
//!   --list NAME=FILE ───────────┘                (tables of ours, by hash)          ├─> Cedar ─> Decision
//!   FILE.cedar ──────────────────────────────────> policies ────────────────────────┘
//! ```

mod ask;
mod builder;
mod cedar;
mod complaint;
mod decision;
mod depth;
mod expect;
mod explain;
mod format;
mod layer;
mod list;
mod query;
mod set;
mod sets;
mod source;
#[cfg(test)]
mod tests;

pub use builder::{LISTS_MAX, PolicyBuilder};
pub use cedar::{CEDAR_POLICIES_MAX, SCHEMA};
pub use complaint::{COMPLAINTS_MAX, Complaint, Place, PolicyError};
pub(crate) use decision::{DENIED_BY, NO_RULE, OF_AN_OUTER_RUN};
pub use decision::{DecidingRule, Decision, UNANSWERED};
pub use depth::{CEDAR_DEPTH_MAX, CEDAR_TOKENS_MAX};
pub use expect::{EXPECTATIONS_MAX, Expectations, Report, Unmet};
pub use explain::{Explanation, Near};
pub use format::{Language, format};
pub use query::{QUESTION_BYTES_MAX, Question, QuestionError};
pub use set::{LAYERS_MAX, Policy, TooDeep};
pub use source::{FILES_MAX, INCLUDE_DEPTH_MAX, Load, POLICY_BYTES_MAX, RULES_MAX};
