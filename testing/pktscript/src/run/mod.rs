//! A script against the stack.
//!
//! ```text
//!  events ---> driver ---calls---> sockets ---> stack
//!                |  ^                            | ^
//!     expected   |  | when, what                 v |
//!     packets    |  +------- matching <------- world: clock, frames in and out
//!                +---------- flows: numbers of the script <-> numbers on the wire
//! ```

mod arrival;
mod driver;
mod flows;
mod frames;
mod icmp;
mod matching;
mod options;
mod outcome;
mod world;

pub use driver::{Run, run};
pub use outcome::{Outcome, Stop};
pub(crate) use world::World;
