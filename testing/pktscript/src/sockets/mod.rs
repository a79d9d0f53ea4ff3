//! The system's sockets over the stack: descriptors, and the calls of a script on them.
//!
//! | part | module |
//! |---|---|
//! | descriptors, and what the stack told of connections | [`table`] |
//! | which call is which, and its arguments | [`call`], [`value`] |
//! | opening and closing; bytes | [`open`], [`transfer`] |
//! | data in SYNs | [`fast_open`] |
//! | datagrams | [`datagram`] |
//! | options | [`option`] |
//! | poll and epoll | [`poll`] |

mod call;
mod datagram;
mod fast_open;
mod open;
mod option;
mod poll;
mod table;
mod transfer;
mod value;

pub use table::{Answer, Progress, Sockets};
pub use value::figure;
