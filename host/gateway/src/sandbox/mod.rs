//! The namespaces that a command runs in, and the one link that leads out of them.
//!
//! ```text
//!  host's namespaces      | N1: user, network, mount and PID namespace     | N2: user namespace
//!                         |                                                |
//!  gateway --- control ---+- init (pid 1): owns the link, mounts, waits ---+- the command
//!     |                   |                                                |
//!  stack ---- frames -----+--------------- eth0 (TAP or veth) -------------+-- its sockets
//! ```
//!
//! The command owns nothing of N1, not even as uid 0: no capability over the interface, the mounts or the
//! processes outside its own. Init is pid 1 of its PID namespace, so that its end is everybody's; it ends with
//! the command, with the gateway (a death signal, and the control socket's end), and on request. Nothing of all
//! this has a name on the host: no interface, mount or file is left behind however the gateway ends.
//!
//! Unix sockets of the host are files, and reach around all this. Init judges who may connect to one (`guard`), and a
//! seccomp program sees to it that it is asked (`filter`).
//!
//! - [`launch`] builds it all and leaves the command waiting
//! - [`Sandbox::start`] lets it run, [`Sandbox::try_status`] tells how it ended
//! - [`AttachedDevice`] carries the frames
//! - [`plan`] is what addresses there are

mod attach;
mod command;
mod confine;
mod control;
mod device;
mod error;
mod filter;
mod groups;
mod guard;
mod handle;
mod identity;
mod inherited;
mod init;
mod launch;
mod mounts;
pub mod plan;
mod process;
mod pseudo_terminal;
mod terminal;
mod unix_rules;

pub(crate) use confine::landlock_version;
pub use control::{Deed, Listening};
pub use device::{AttachedDevice, Attachment};
pub use error::{LaunchError, Step, Warning};
pub use handle::{Answer, Call, Exit, GuardNews, Launched, Sandbox, SocketQuestion};
pub use launch::{Launch, launch};
pub(crate) use pseudo_terminal::{is_same_terminal, open_controlling, signal_foreground};
pub use unix_rules::{UnixRule, UnixRules};
