//! Which process opened a connection: from the connection's addresses to its socket, by the kernel's tables
//! (`NETLINK_SOCK_DIAG`, as in `sock_diag(7)`; for ping sockets `/proc/PID/net/icmp`), and from the socket to a process
//! that holds it, by `/proc`.
//!
//! A process may end, or close its socket, while it is being looked for. Then it is unknown: a wrong program is never
//! named. The socket is looked up again at the end, and must be the same one.

mod diag;
mod ping;
mod processes;

pub use diag::{DiagSocket, REQUEST_BYTES, parse_reply, request, sequence};
pub use ping::find_identifier;
pub use processes::{LINKS_MAX, PROCESSES_MAX, Processes};
