//! What a connection, a flow or an echo request was opened for, and in which words it is refused.

use crate::inspect;
use crate::names::{Names, is_synthetic};
use crate::sandbox::plan;
use axiom::addresses::{NotAdmitted, Pins};
use axiom::domain::DomainName;
use axiom::rules::{self, Protocol};
use axiom::{Proposal, Rejected};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// What a verdict depends on besides the policy.
#[derive(Debug)]
pub(crate) struct Gate {
    pub pins: Arc<Pins>,
    /// The host's own addresses.
    pub own: HashSet<IpAddr>,
    /// Whether TLS without a server name passes.
    pub tls_opaque: bool,
}

/// Where an allowed connection goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To this address.
    Address(SocketAddr),
    /// To the host's own loopback, asked for by this address of the gateway's.
    Host(SocketAddr),
    /// To wherever this name leads, on this port.
    Name(DomainName, u16),
}

/// Why something may not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denial {
    /// What was asked for: a name where the connection was opened for one, else an address.
    pub host: String,
    /// The port; 0 where the protocol has none.
    pub port: u16,
    /// Why, in words; they name the rule that decided, where one did.
    pub reason: String,
    /// The flag that would allow it, where one would.
    pub hint: Option<String>,
    /// The address to which the name leads, where only a rule for the address is missing.
    pub leads_to: Option<IpAddr>,
    /// The entry that tells of it, once it is written down.
    pub entry: Entry,
}

/// Whether the ledger has a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Not yet.
    Unwritten,
    /// It has, by this number where it has one of its own.
    Written(Option<u64>),
}

impl Way {
    /// What it is called in a report: the name where there is one.
    pub fn host(&self) -> String {
        match self {
            Self::Address(address) => address.ip().to_string(),
            Self::Host(_) => axiom::domain::HOST_NAME.to_owned(),
            Self::Name(name, _) => name.as_str().to_owned(),
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Address(address) | Self::Host(address) => address.port(),
            Self::Name(_, port) => *port,
        }
    }

    /// What is proposed, as far as the way tells it.
    pub fn proposal(&self, protocol: Protocol) -> Proposal {
        let port = self.port();
        match self {
            Self::Address(address) => Proposal::connect(protocol, address.ip(), port),
            Self::Name(name, _) => Proposal::connect(protocol, name.clone(), port),
            Self::Host(asked) => {
                let name = DomainName::parse(axiom::domain::HOST_NAME).ok();
                Proposal { name, ..Proposal::connect(protocol, asked.ip(), port) }
            }
        }
    }

    /// The name that it was opened for.
    pub fn name(&self) -> Option<&DomainName> {
        match self {
            Self::Name(name, _) => Some(name),
            Self::Address(_) | Self::Host(_) => None,
        }
    }
}

impl Gate {
    /// Where a connection to `wanted` would go.
    ///
    /// # Errors
    ///
    /// The denial, where the address stands for nothing.
    pub(super) fn way(&self, names: &Names, wanted: SocketAddr) -> Result<Way, Denial> {
        let (address, port) = (wanted.ip().to_canonical(), wanted.port());
        if is_gateway(address) {
            return Ok(Way::Host(wanted));
        }
        if is_synthetic(address) {
            let name = names.name_of(address).ok_or_else(|| Denial::stale(address, port))?;
            return Ok(Way::Name(name.clone(), port));
        }
        Ok(Way::Address(SocketAddr::new(address, port)))
    }
}

/// Where connections to the host's loopback are tried, in order.
pub(super) fn host_addresses() -> [IpAddr; 2] {
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
}

fn is_gateway(address: IpAddr) -> bool {
    address == IpAddr::V4(plan::GATEWAY_V4) || address == IpAddr::V6(plan::GATEWAY_V6)
}

/// Whether an address exists only inside, so that the host's network has nothing to do with it.
pub(super) fn is_ours(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => [plan::RESOLVER_V4, plan::ADDRESS_V4].contains(&v4),
        IpAddr::V6(v6) => [plan::RESOLVER_V6, plan::ADDRESS_V6].contains(&v6),
    }
}

impl Denial {
    /// The policy, or the ledger, says no.
    pub fn of_rejected(protocol: Protocol, way: &Way, rejected: Rejected, is_unruled: bool) -> Self {
        let (host, port) = (way.host(), way.port());
        // No flag allows what a rule denies: denials win.
        let hint = is_unruled.then(|| match way {
            Way::Address(address) => rules::hint(protocol, address.ip(), port),
            Way::Name(name, _) => rules::hint(protocol, name.clone(), port),
            Way::Host(asked) => match DomainName::parse(&host) {
                Ok(name) => rules::hint(protocol, name, port),
                Err(_) => rules::hint(protocol, asked.ip(), port),
            },
        });
        let entry = Entry::Written(rejected.sequence);
        Self { host, port, reason: rejected.reason, hint, leads_to: None, entry }
    }

    /// The ledger could not be written after the policy had said yes.
    pub fn unwritten(way: &Way, why: &str) -> Self {
        let reason = format!("the ledger cannot be written: {why}");
        Self { entry: Entry::Written(None), ..Self::because(way, reason) }
    }

    /// The first bytes were for something else.
    pub fn by_inspection(way: &Way, refusal: &inspect::Refusal) -> Self {
        let hint = matches!(refusal, inspect::Refusal::NoName).then(|| "--tls-opaque".to_owned());
        Self { hint, ..Self::because(way, refusal.to_string()) }
    }

    pub fn not_admitted(way: &Way, address: IpAddr, why: NotAdmitted) -> Self {
        let reason = why.reason(address);
        let (hint, leads_to) = match why {
            NotAdmitted::Class { hint, .. } => (Some(hint), Some(address)),
            NotAdmitted::Denied { .. } => (None, None),
        };
        Self { hint, leads_to, ..Self::because(way, reason) }
    }

    fn stale(address: IpAddr, port: u16) -> Self {
        let reason = "the address stands for no name: resolve the name again".to_owned();
        Self::because(&Way::Address(SocketAddr::new(address, port)), reason)
    }

    /// A limit of the run says no.
    pub fn limited(way: &Way, reason: String) -> Self {
        Self::because(way, reason)
    }

    pub fn unreachable(way: &Way) -> Self {
        let reason = "nothing listens there: the address exists only inside".to_owned();
        Self::because(way, reason)
    }

    /// Of what no rule would change, and nothing was written of.
    fn because(way: &Way, reason: String) -> Self {
        let (host, port) = (way.host(), way.port());
        Self { host, port, reason, hint: None, leads_to: None, entry: Entry::Unwritten }
    }
}
