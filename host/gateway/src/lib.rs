//! `weft run`: a program in namespaces of its own, whose only link ends in our stack; the stack ends each
//! connection, asks for a verdict, and carries it on by the host's sockets.

pub mod attribution;
mod authority;
mod console;
pub mod dial;
pub mod doctor;
mod engine;
pub mod filtering;
#[doc(hidden)]
pub mod fuzzing;
pub mod host_names;
pub mod inspect;
pub mod limits;
pub mod names;
pub mod options;
pub mod report;
pub mod resolver;
mod run;
pub mod sandbox;
pub mod uplink;

pub use authority::{LESSONS_MAX, LearnError, LedgerError, is_covered, ledger_files, load_policy};
pub use engine::{EngineError, SetupError};
pub use options::Options;
pub use run::{EXIT_FAILURE, EXIT_REFUSED, EXIT_TIMEOUT, RunError, run};
