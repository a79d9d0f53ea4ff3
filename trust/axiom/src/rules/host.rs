//! What a rule is written for, and the rule that would allow it.

use super::rule::Protocol;
use crate::domain::DomainName;
use std::fmt::{self, Display};
use std::net::IpAddr;

/// The flag that would allow what was refused.
#[must_use]
pub fn hint(protocol: Protocol, host: impl Into<Host>, port: u16) -> String {
    let host = host.into();
    if protocol.has_ports() {
        format!("--allow {protocol}://{host}:{port}")
    } else {
        format!("--allow {protocol}://{host}")
    }
}

/// What a connection was opened for, as a rule writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name.
    Name(DomainName),
    /// An address.
    Address(IpAddr),
}

impl From<DomainName> for Host {
    fn from(name: DomainName) -> Self {
        Self::Name(name)
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }
}

impl Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}
