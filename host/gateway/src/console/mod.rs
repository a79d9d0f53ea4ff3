//! The terminal of the person who runs weft, where a person is asked.
//!
//! ```text
//!    person's terminal ── keys ──> [console] ── keys ──> command's own terminal
//!                      <── shown ──    │     <── shown ──
//!                                      └─ a question: both wait, and the terminal is the question's
//! ```
//!
//! - [`Console`] carries what is typed and shown, and puts one question at a time
//! - [`Prompt`] is a question in words, [`Answer`] what can be said to it
//! - [`Person`] is the terminal itself: its modes
//! - [`Lines`] are weft's own, which wait while something is asked

mod lines;
mod person;
mod prompt;
mod relay;

pub(crate) use lines::Lines;
pub(crate) use person::Person;
pub(crate) use prompt::{Answer, Prompt};
pub(crate) use relay::{Console, Heard};
