//! The verdict: what a connection, a flow or an echo request was opened for, and whether that may be.

use crate::addresses::{Admission, NotAdmitted, Pins};
use crate::domain::DomainName;
use crate::inspect;
use crate::names::{Names, is_synthetic};
use crate::rules::{self, Decision, Protocol, Rules};
use crate::sandbox::plan;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Rules, pins, and what they are about.
#[derive(Debug)]
pub(crate) struct Gate {
    pub rules: Arc<Rules>,
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
    /// To the host's own loopback, on this port.
    Host(u16),
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
}

impl Way {
    /// What it is called in a report: the name where there is one.
    pub fn host(&self) -> String {
        match self {
            Self::Address(address) => address.ip().to_string(),
            Self::Host(_) => crate::domain::HOST_NAME.to_owned(),
            Self::Name(name, _) => name.as_str().to_owned(),
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Host(port) | Self::Name(_, port) => *port,
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
    /// Where a connection to `wanted` goes, or why it goes nowhere.
    ///
    /// # Errors
    ///
    /// The denial, to be answered and reported.
    pub(super) fn judge(&self, names: &Names, protocol: Protocol, wanted: SocketAddr) -> Result<Way, Denial> {
        let address = wanted.ip().to_canonical();
        let port = wanted.port();
        if is_gateway(address) {
            let decision = self.rules.decide_host(protocol, address, port);
            let way = Way::Host(port);
            return if decision.allowed {
                Ok(way)
            } else {
                Err(Denial::by_rules(protocol, &way, decision.by))
            };
        }
        if is_synthetic(address) {
            let Some(name) = names.name_of(address) else {
                return Err(Denial::stale(address, port));
            };
            let decision = self.rules.decide_name(protocol, name, port);
            let way = Way::Name(name.clone(), port);
            return if decision.allowed {
                Ok(way)
            } else {
                Err(Denial::by_rules(protocol, &way, decision.by))
            };
        }
        let way = Way::Address(SocketAddr::new(address, port));
        let decision = self.rules.decide_address(protocol, address, port);
        if !decision.allowed {
            return Err(Denial::by_rules(protocol, &way, decision.by));
        }
        if is_ours(address) {
            return Err(Denial::unreachable(&way));
        }
        Ok(way)
    }

    /// The rule that allows an allowed way.
    pub(super) fn rule_for(&self, protocol: Protocol, way: &Way) -> Option<Arc<str>> {
        match way {
            Way::Address(address) => self.rules.decide_address(protocol, address.ip(), address.port()).by,
            Way::Host(port) => self.rules.decide_host(protocol, IpAddr::V4(plan::GATEWAY_V4), *port).by,
            Way::Name(name, port) => self.rules.decide_name(protocol, name, *port).by,
        }
    }

    /// The addresses that an allowed way may use, each with the way's port; or why none may be.
    ///
    /// # Errors
    ///
    /// The denial of the last address, where all of them are refused.
    pub(super) fn admit(
        &self,
        protocol: Protocol,
        name: &DomainName,
        port: u16,
        found: &[IpAddr],
    ) -> Result<Vec<IpAddr>, Denial> {
        let admission = Admission { rules: &self.rules, pins: &self.pins, own: &self.own };
        let mut denial = None;
        let mut admitted = Vec::new();
        for address in found {
            match admission.admit(name, protocol, *address, port) {
                Ok(()) => admitted.push(*address),
                Err(why) => denial = Some(Denial::not_admitted(name, port, *address, why)),
            }
        }
        match denial {
            Some(denial) if admitted.is_empty() => Err(denial),
            _ => Ok(admitted),
        }
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
fn is_ours(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => [plan::RESOLVER_V4, plan::ADDRESS_V4].contains(&v4),
        IpAddr::V6(v6) => [plan::RESOLVER_V6, plan::ADDRESS_V6].contains(&v6),
    }
}

impl Denial {
    /// The rules say no, or say nothing.
    pub fn by_rules(protocol: Protocol, way: &Way, rule: Option<Arc<str>>) -> Self {
        let (host, port) = (way.host(), way.port());
        // No flag allows what a rule denies: denials win.
        let hint = rule.is_none().then(|| match way {
            Way::Address(address) => rules::hint(protocol, address.ip(), port),
            Way::Name(name, _) => rules::hint(protocol, name.clone(), port),
            Way::Host(_) => match DomainName::parse(&host) {
                Ok(name) => rules::hint(protocol, name, port),
                Err(_) => rules::hint(protocol, IpAddr::V4(plan::GATEWAY_V4), port),
            },
        });
        let reason = Decision { allowed: false, by: rule }.to_string();
        Self { host, port, reason, hint }
    }

    /// The first bytes were for something else.
    pub fn by_inspection(way: &Way, refusal: &inspect::Refusal) -> Self {
        let hint = matches!(refusal, inspect::Refusal::NoName).then(|| "--tls-opaque".to_owned());
        Self { host: way.host(), port: way.port(), reason: refusal.to_string(), hint }
    }

    fn not_admitted(name: &DomainName, port: u16, address: IpAddr, why: NotAdmitted) -> Self {
        let (why, hint) = match why {
            NotAdmitted::Class { class, hint } => (class.to_string(), Some(hint)),
            NotAdmitted::Denied { .. } => (why.to_string(), None),
        };
        let reason = format!("it resolves to {address}, {why}");
        Self { host: name.as_str().to_owned(), port, reason, hint }
    }

    fn stale(address: IpAddr, port: u16) -> Self {
        let reason = "the address stands for no name: resolve the name again".to_owned();
        Self { host: address.to_string(), port, reason, hint: None }
    }

    fn unreachable(way: &Way) -> Self {
        let reason = "nothing listens there: the address exists only inside".to_owned();
        Self { host: way.host(), port: way.port(), reason, hint: None }
    }
}
