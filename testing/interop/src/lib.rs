//! Real programs under `weft run`, against real servers, in network namespaces made for one test.
//!
//! ```text
//!   namespace "host"                                  namespace "internet"
//!   ┌──────────────────────────────┐                  ┌──────────────────────────────┐
//!   │ weft run ── its own          │                  │ nginx, sshd, postgres, ...   │
//!   │   │         namespace: curl  │ up0        down0 │ resolver with the test's zone│
//!   │   └ the host's sockets ──────┼──────────────────┤ 203.0.113.1   2001:db8::1    │
//!   │ 203.0.113.2   2001:db8::2    │                  │ also 10.99.0.1, 169.254.169… │
//!   └──────────────────────────────┘                  └──────────────────────────────┘
//! ```
//!
//! Both namespaces live only in this process and go with it. What must never be reached (private addresses, the metadata
//! address, the host's loopback) does answer here, so that a refusal is weft's doing and not an unreachable network's.
//!
//! The command under test is `$WEFT_BIN`, or `weft` in the build directory of this test. With `WEFT_INTEROP=bare` programs
//! run without weft: what should work then still does, and what should be refused is not, which is how a test is tried out.

pub mod authority;
pub mod namespace;
pub mod outcome;
pub mod peers;
pub mod programs;
pub mod resolver;
pub mod server;
pub mod terminal;
pub mod wait;
pub mod weft;
pub mod world;

pub use outcome::Outcome;
pub use peers::echo::{Echo, Witness};
pub use programs::present;
pub use resolver::Record;
pub use weft::{Attach, Run, User, Way};
pub use world::World;

/// Leaves the test where a program is missing, saying so; with CI=true that is a failure.
#[macro_export]
macro_rules! needs {
    ($($program:literal),* $(,)?) => {
        if !$crate::present(&[$($program),*]) {
            return;
        }
    };
}

/// One test for each user and attachment, named `TEST::root_tap` and so on, from `fn body(way: Way)`.
#[macro_export]
macro_rules! in_every_way {
    ($($name:ident => $body:path;)*) => {
        $(mod $name {
            use super::*;
            use $crate::{Attach, User, Way};

            #[test]
            fn root_tap() {
                $body(Way { user: User::Root, attach: Attach::Tap });
            }

            #[test]
            fn root_veth() {
                $body(Way { user: User::Root, attach: Attach::Veth });
            }

            #[test]
            fn ordinary_tap() {
                $body(Way { user: User::Ordinary, attach: Attach::Tap });
            }

            #[test]
            fn ordinary_veth() {
                $body(Way { user: User::Ordinary, attach: Attach::Veth });
            }
        })*
    };
}
