//! From text to [`Script`]: options, set-up, events, clean-up.
//!
//! - [`packet`]: what stands behind `<` and `>`
//! - [`call`]: system calls and their values

mod call;
mod options;
mod packet;
mod script;

pub use script::parse;
