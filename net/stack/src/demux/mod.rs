//! TCP's place in the stack: which connection a segment belongs to, who listens, which SYNs wait for a verdict, which
//! connections have something to send. What a connection does with a segment is in the crate `tcp`.
//!
//! | part | module |
//! |---|---|
//! | connections by addresses and ports | [`table`], [`flow`] |
//! | listeners, SYNs that wait, opening | [`listen`], [`request`], [`connect`] |
//! | connections that nobody has taken yet | [`accept`] |
//! | SYNs of which nothing is kept | [`cookie`] |
//! | SYNs with data | [`fast_open`] |
//! | SYNs that ask in vain | [`unanswered`] |
//! | segments in and out | [`receive`], [`transmit`] |
//! | what follows from either: events, timers, the end | [`settle`] |
//! | what the owner calls | [`owner`] |
//! | what all hold together | [`memory`] |

mod accept;
mod connect;
mod cookie;
mod fast_open;
mod flow;
mod listen;
mod memory;
mod owner;
mod path;
mod receive;
mod request;
mod settle;
mod table;
mod transmit;
mod unanswered;

pub(crate) use flow::{Flow, Owner, Tuple};
pub(crate) use table::Tcp;

use request::Opening;
use table::{Listener, PORT_COUNTERS};
