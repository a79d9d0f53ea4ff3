//! For which name a connection really is: its TLS ClientHello, by TCP or by QUIC, must name the host that the
//! connection was opened for.
//!
//! Names that share one real address are told apart by their own addresses inside; a program that opens a connection
//! for one name and then asks the server for another would undo that. Only the client's first bytes are looked at, and
//! nothing waits for bytes that need not come: a stream that cannot be TLS is let go at its first byte.
//!
//! An encrypted ClientHello (RFC 9849) hides the inner name. Its keys are taken out of DNS answers
//! ([`resolver`](crate::resolver)); the outer name is what is judged here.

mod client_hello;
mod crypto_stream;
mod opened;
mod quic;
mod reader;
mod tls;

pub use client_hello::HELLO_BYTES_MAX;
pub use opened::{OPENED_MAX, OpenedConnections, REMEMBERED};
pub use quic::{CONNECTIONS_MAX, QuicInspector, QuicOutcome};
pub use tls::{RECORDS_BYTES_MAX, TlsInspector, TlsOutcome};

use axiom::domain::DomainName;
use std::fmt;

/// What a ClientHello says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The host that it names; `None` where it names none.
    pub server_name: Option<DomainName>,
}

/// Why a connection's first bytes do not fit the name that it was opened for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// They name another host.
    OtherName(DomainName),
    /// They name none, and `--tls-opaque` is not given.
    NoName,
    /// They begin as TLS or QUIC does and cannot be read; what was wrong.
    Malformed(&'static str),
    /// A packet as it opens a QUIC connection, that does not; what was wrong.
    Unprocessable(&'static str),
    /// QUIC of a version whose first packets cannot be read.
    UnknownQuicVersion(u32),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherName(name) => write!(f, "its TLS names {name}"),
            Self::NoName => f.write_str("its TLS names no host; allow with --tls-opaque"),
            Self::Malformed(what) => write!(f, "its TLS cannot be read: {what}"),
            Self::Unprocessable(what) => f.write_str(what),
            Self::UnknownQuicVersion(version) => write!(f, "QUIC version {version:#010x} cannot be read"),
        }
    }
}

/// Whether a connection opened for a name may go on with this ClientHello.
///
/// # Errors
///
/// Where it names another host, or none and `tls_opaque` is false.
pub fn judge(hello: &Hello, opened_for: &DomainName, tls_opaque: bool) -> Result<(), Refusal> {
    match &hello.server_name {
        Some(name) if name == opened_for => Ok(()),
        Some(name) => Err(Refusal::OtherName(name.clone())),
        None if tls_opaque => Ok(()),
        None => Err(Refusal::NoName),
    }
}

#[cfg(test)]
mod tests;
