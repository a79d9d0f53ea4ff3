//! Fast Open (RFC 7413): which SYN may bring data, and which may take some along. What the data does is in the crate `tcp`.
//!
//! | part | module |
//! |---|---|
//! | what the owner asks for, and what a SYN is answered with | [`answer`] |
//! | the server's cookies | [`keys`] |
//! | how many connections may be taken by one before their handshake is over | [`pending`] |
//! | the client's cookies, and where not to try | [`cache`] |

mod answer;
mod cache;
mod keys;
mod pending;

pub(super) use answer::FastOpening;
pub(crate) use pending::Pending;
