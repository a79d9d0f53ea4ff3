//! `weft run`: a program in namespaces of its own, whose only link ends in our stack; the stack ends each
//! connection, asks for a verdict, and carries it on by the host's sockets.

pub mod addresses;
pub mod attribution;
pub mod dial;
pub mod doctor;
pub mod domain;
mod engine;
#[doc(hidden)]
pub mod fuzzing;
pub mod host_names;
pub mod inspect;
pub mod names;
pub mod options;
pub mod report;
pub mod resolver;
pub mod rules;
mod run;
pub mod sandbox;
pub mod uplink;

pub use engine::{EngineError, SetupError};
pub use options::Options;
pub use run::{EXIT_FAILURE, EXIT_REFUSED, EXIT_TIMEOUT, RunError, run};
