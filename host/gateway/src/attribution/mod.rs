//! Which program opened a connection: from the connection's addresses to its socket, by the kernel's tables
//! (`NETLINK_SOCK_DIAG`, as in `sock_diag(7)`; for ping sockets `/proc/PID/net/icmp`), from the socket to the processes
//! that hold it, and from a process to its program, by `/proc`.
//!
//! A process may end, become another program, or close its socket, while it is being looked for. Then it is unknown: a
//! wrong program is never named. Everything is looked up again at the end, and must be the same. What it was when it called
//! connect, or made its socket, the guard tells: [`Callers`].

mod asker;
mod budget;
mod callers;
mod container;
mod diag;
mod digests;
mod executable;
mod family;
mod folder;
mod ping;
mod processes;
mod sockets;
#[cfg(test)]
mod tests;

pub use asker::Asker;
pub use budget::LOOKS_MAX;
pub use callers::Callers;
pub use container::find_container;
pub use diag::{DiagSocket, REQUEST_BYTES, parse_reply, request, sequence};
pub use digests::{Digesting, Digests, FILE_BYTES_MAX, QUEUE_MAX, REMEMBERED_MAX, Ticket};
pub use executable::Executable;
pub use family::PROCESSES_MAX;
pub use ping::find_identifier;
pub use processes::Processes;
