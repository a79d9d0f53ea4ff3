//! Which connections are allowed: rules by name and by address. Deny wins, and what no rule names is denied.
//!
//! ```text
//! RULE   = [tcp://|udp://|icmp://] TARGET [:PORT[-PORT]]
//! TARGET = name | *.name | IPv4 | [IPv6] | IPv4/BITS | [IPv6]/BITS | [IPv6/BITS]
//! ```
//!
//! - Without a scheme a rule speaks of TCP, UDP and ICMP alike. With a port it does not speak of ICMP, which has none.
//! - Without a port it speaks of every port.
//! - A name is that name alone; `*.name` is every name below it at any depth, and not the name itself.
//! - A name rule says nothing about connections opened by address, an address rule nothing about names. An address rule
//!   does let a name that is allowed lead to an inner address ([`addresses`](crate::addresses)), and an address that is
//!   denied stays so by whichever name it is reached.
//! - IPv4-mapped IPv6 addresses are IPv4 here. A deny rule for an IPv4 address also holds for the IPv6 forms that carry
//!   it (NAT64, 6to4, Teredo); an allow rule does not.
//! - An IPv6 address without brackets is understood where it can mean one thing only, and never with a port.

mod parse;
mod ports;
mod rule;
mod table;

pub use parse::{RULE_BYTES_MAX, RuleError};
pub use rule::{Network, Ports, Protocol, Rule, Target};

use crate::addresses::embedded;
use crate::domain::DomainName;
use ports::PortMap;
use std::fmt::{self, Display};
use std::net::IpAddr;
use std::sync::Arc;
use table::Table;

/// What was decided, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be.
    pub allowed: bool,
    /// The rule that decided, as it was written: one that allows where it is allowed, else one that denies. `None`
    /// where no rule speaks of it, which denies it.
    pub by: Option<Arc<str>>,
}

impl Decision {
    fn from_rules(allow: Option<&Rule>, deny: Option<&Rule>) -> Self {
        Self {
            allowed: allow.is_some() && deny.is_none(),
            by: deny.or(allow).map(|rule| rule.text().clone()),
        }
    }
}

impl Display for Decision {
    /// Why, as a refusal's line tells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.by, self.allowed) {
            (Some(rule), true) => write!(f, "allowed by --allow {rule}"),
            (Some(rule), false) => write!(f, "denied by --deny {rule}"),
            (None, _) => f.write_str("no rule allows it"),
        }
    }
}

/// All rules of one run. Immutable; the cost of a decision does not grow with the number of rules.
#[derive(Debug, Default)]
pub struct Rules {
    allow: Table,
    deny: Table,
}

impl Rules {
    /// Of rules that allow and rules that deny.
    #[must_use]
    pub fn new(allow: Vec<Rule>, deny: Vec<Rule>) -> Self {
        Self { allow: Table::new(allow), deny: Table::new(deny) }
    }

    /// Of their texts.
    ///
    /// # Errors
    ///
    /// The first rule that cannot be understood.
    pub fn parse(allow: &[String], deny: &[String]) -> Result<Self, RuleError> {
        let parse_all =
            |texts: &[String]| texts.iter().map(|text| text.parse()).collect::<Result<Vec<Rule>, _>>();
        Ok(Self::new(parse_all(allow)?, parse_all(deny)?))
    }

    /// The rules that allow, as written.
    #[must_use]
    pub fn allow(&self) -> &[Rule] {
        self.allow.rules()
    }

    /// The rules that deny, as written.
    #[must_use]
    pub fn deny(&self) -> &[Rule] {
        self.deny.rules()
    }

    /// Whether a connection may be opened for this name. The port of ICMP is 0.
    #[must_use]
    pub fn decide_name(&self, protocol: Protocol, name: &DomainName, port: u16) -> Decision {
        Decision::from_rules(
            self.allow.find(self.allow.of_name(name), protocol, port),
            self.deny.find(self.deny.of_name(name), protocol, port),
        )
    }

    /// Whether a connection may be opened to this address. The port of ICMP is 0.
    #[must_use]
    pub fn decide_address(&self, protocol: Protocol, address: IpAddr, port: u16) -> Decision {
        let address = address.to_canonical();
        Decision::from_rules(
            self.allow.find(self.allow.of_address(address), protocol, port),
            self.deny.find(self.denied_forms(address), protocol, port),
        )
    }

    /// Whether a connection may be opened to the host's own loopback by the gateway's address, which is the same as by
    /// the name `host.weft.internal`: either kind of rule allows it, either kind denies it.
    #[must_use]
    pub fn decide_host(&self, protocol: Protocol, gateway: IpAddr, port: u16) -> Decision {
        let by_address = self.decide_address(protocol, gateway, port);
        let Ok(host) = DomainName::parse(crate::domain::HOST_NAME) else { return by_address };
        let by_name = self.decide_name(protocol, &host, port);
        let denied = |decision: &Decision| !decision.allowed && decision.by.is_some();
        match (by_address.allowed, by_name.allowed) {
            _ if denied(&by_name) => by_name,
            _ if denied(&by_address) || by_address.allowed => by_address,
            _ => by_name,
        }
    }

    /// Whether the name may be asked of a resolver: some protocol and port of it is allowed and not denied.
    #[must_use]
    pub fn may_resolve(&self, name: &DomainName) -> Decision {
        let allow: Vec<_> = self.allow.of_name(name).collect();
        let deny: Vec<_> = self.deny.of_name(name).collect();
        self.decide_any(&allow, &deny)
    }

    /// Whether some protocol and port of this address is allowed and not denied.
    #[must_use]
    pub fn may_reach(&self, address: IpAddr) -> Decision {
        let address = address.to_canonical();
        let allow: Vec<_> = self.allow.of_address(address).collect();
        let deny: Vec<_> = self.denied_forms(address).collect();
        self.decide_any(&allow, &deny)
    }

    /// What deny rules say of an address or of the IPv4 addresses that it carries.
    fn denied_forms(&self, address: IpAddr) -> impl Iterator<Item = &PortMap> {
        let carried = embedded(address).into_iter().flatten().map(IpAddr::V4);
        std::iter::once(address).chain(carried).flat_map(|form| self.deny.of_address(form))
    }

    fn decide_any(&self, allow: &[&PortMap], deny: &[&PortMap]) -> Decision {
        let mut denied_by = None;
        for protocol in Protocol::ALL {
            for allowed in allow.iter().flat_map(|map| map.intervals(protocol)) {
                let mut port = allowed.first;
                // Jump from one deny interval behind the next until a port is left, or none is.
                while let Some(denied) = deny.iter().find_map(|map| map.containing(protocol, port)) {
                    denied_by = denied_by.or(self.deny.rules().get(denied.rule));
                    if denied.last >= allowed.last {
                        break;
                    }
                    port = denied.last + 1;
                }
                if deny.iter().all(|map| map.containing(protocol, port).is_none()) {
                    return Decision::from_rules(self.allow.rules().get(allowed.rule), None);
                }
            }
        }
        Decision::from_rules(None, denied_by)
    }
}

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

#[cfg(test)]
mod tests;
