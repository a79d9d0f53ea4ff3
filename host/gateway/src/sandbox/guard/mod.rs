//! Who judges the calls that the [`filter`](super::filter) holds: threads of init, who do what was asked for in the
//! caller's place, or refuse it.
//!
//! ```text
//!  caller: connect(socket, address) ── held by the kernel ──> worker: copies the address, once
//!                                                             ├─ IPv4, IPv6: has the gateway look who calls, and
//!                                                             │  connects the caller's socket
//!                                                             └─ Unix: a thread that takes on the caller's identity,
//!                                                                finds the file, judges *it*, and connects to *it*
//! ```
//!
//! listen(2) goes the same way: the address is the socket's own, and the gateway may say no.
//!
//! No call that names an address or a socket is given back to the kernel to go on with: the caller could have changed the address by then,
//! or the descriptor. What is judged is what is connected to: a file that is held open, by no name.
//!
//! A path leads to a socket that was made inside, which is open ([`origin`]); to one that a rule names ([`judgement`]);
//! or nowhere.
//!
//! - [`listener`]: the kernel's side
//! - [`caller`]: who called
//! - [`pool`]: the workers
//! - [`judgement`], [`opened`], [`origin`]: what is open
//! - [`listening`]: which sockets take connections, and where
//! - [`inside`]: which connections never leave
//! - [`voice`]: what the gateway is asked and told, before anything leaves or is opened

mod caller;
mod inside;
mod judgement;
mod listener;
mod listening;
mod opened;
mod origin;
mod pool;
mod voice;

pub(super) use caller::obstacle;
pub(super) use judgement::Base;
pub(super) use listener::Listener;
pub(super) use opened::Opened;
pub(super) use pool::{Setting, capabilities, start};
pub(super) use voice::Voice;
