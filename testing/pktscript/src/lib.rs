//! Packet scripts against the stack, in virtual time: the language of packetdrill, unmodified scripts of the public
//! suites, and the project's own under `net/tcp/scripts/`.
//!
//! | part | module |
//! |---|---|
//! | text to events | `preprocess`, `lexer`, `parser`, `syntax` |
//! | assertions, and the names that they know | `assertion`, `tcp_values` |
//! | set-up commands, what they change, whose defaults | `setup`, `settings`, `profile` |
//! | what the stack cannot do yet | `features` |
//! | the program's system calls | `sockets` |
//! | events against the stack | `run` |
//! | what is told | `report`, `files` |
//!
//! ```
//! use pktscript::{Outcome, Profile, Run, run};
//!
//! let script = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
//!     +0...0.100 connect(3, ..., ...) = 0
//!     +0 > S 0:0(0) <...>
//!     +.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
//!     +0 > . 1:1(0) ack 1";
//! let (outcome, _, _) = run(script, &Run::new(Profile::Linux));
//! assert_eq!(outcome, Outcome::Pass);
//! ```
#![forbid(unsafe_code)]

mod assertion;
mod features;
pub mod files;
mod lexer;
mod parser;
mod preprocess;
mod profile;
pub mod report;
mod run;
mod settings;
mod setup;
mod sockets;
mod syntax;
mod tcp_values;

pub use preprocess::Defines;
pub use profile::Profile;
pub use run::{Outcome, Run, Stop, run};
