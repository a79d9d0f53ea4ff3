//! All rules of one run or of one file, and what they decide together.

use super::host::Host;
use super::parse::RuleError;
use super::ports::PortMap;
use super::rule::{Protocol, Rule, Target};
use super::table::Table;
use crate::addresses::embedded;
use crate::domain::DomainName;
use std::fmt::{self, Display};
use std::net::IpAddr;
use std::sync::Arc;

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

    /// The rule of [`allow`](Self::allow) that speaks of a connection, as its index there. The port of ICMP is 0.
    #[must_use]
    pub fn allowing(&self, protocol: Protocol, host: &Host, port: u16) -> Option<usize> {
        match host {
            Host::Name(name) => self.allow.find(self.allow.of_name(name), protocol, port),
            Host::Address(address) => {
                self.allow.find(self.allow.of_address(address.to_canonical()), protocol, port)
            }
        }
    }

    /// The rule of [`deny`](Self::deny) that speaks of a connection, as its index there. The port of ICMP is 0.
    #[must_use]
    pub fn denying(&self, protocol: Protocol, host: &Host, port: u16) -> Option<usize> {
        match host {
            Host::Name(name) => self.deny.find(self.deny.of_name(name), protocol, port),
            Host::Address(address) => {
                self.deny.find(self.denied_forms(address.to_canonical()), protocol, port)
            }
        }
    }

    fn decide(&self, protocol: Protocol, host: &Host, port: u16) -> Decision {
        let (allow, deny) = (self.allowing(protocol, host, port), self.denying(protocol, host, port));
        self.of_indices(allow, deny)
    }

    fn of_indices(&self, allow: Option<usize>, deny: Option<usize>) -> Decision {
        Decision::from_rules(
            allow.and_then(|index| self.allow().get(index)),
            deny.and_then(|index| self.deny().get(index)),
        )
    }

    /// Whether a connection may be opened for this name. The port of ICMP is 0.
    #[must_use]
    pub fn decide_name(&self, protocol: Protocol, name: &DomainName, port: u16) -> Decision {
        self.decide(protocol, &Host::Name(name.clone()), port)
    }

    /// Whether a connection may be opened to this address. The port of ICMP is 0.
    #[must_use]
    pub fn decide_address(&self, protocol: Protocol, address: IpAddr, port: u16) -> Decision {
        self.decide(protocol, &Host::from(address), port)
    }

    /// Whether the Unix socket with this path may be reached. The path is absolute and in its shortest form.
    #[must_use]
    pub fn decide_unix(&self, path: &str) -> Decision {
        self.of_indices(self.allow.of_path(path), self.deny.of_path(path))
    }

    /// The rule, as it was written, that denies the Unix socket with this path.
    #[must_use]
    pub fn denying_unix(&self, path: &str) -> Option<&str> {
        self.deny.of_path(path).and_then(|index| self.deny().get(index)).map(|rule| &**rule.text())
    }

    /// The paths of the Unix sockets that may be reached, as they were written.
    pub fn unix_paths(&self) -> impl Iterator<Item = &str> {
        let paths = self.allow().iter().filter_map(|rule| match rule.target() {
            Target::Unix(path) => Some(&**path),
            Target::Name(_) | Target::Below(_) | Target::Network(_) => None,
        });
        paths.filter(|path| self.decide_unix(path).allowed)
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

    /// Whether some protocol and port of a name or an address is allowed and not denied.
    #[must_use]
    pub fn may_resolve_host(&self, host: &Host) -> Decision {
        match host {
            Host::Name(name) => self.may_resolve(name),
            Host::Address(address) => self.may_reach(*address),
        }
    }

    /// A rule of [`deny`](Self::deny) that speaks of a host, where together they leave no protocol and port of it; as its
    /// index there.
    #[must_use]
    pub fn denying_all(&self, host: &Host) -> Option<usize> {
        let maps: Vec<&PortMap> = match host {
            Host::Name(name) => self.deny.of_name(name).collect(),
            Host::Address(address) => self.denied_forms(address.to_canonical()).collect(),
        };
        denies_all(&maps)
    }

    /// What deny rules say of an address or of the IPv4 addresses that it carries.
    fn denied_forms(&self, address: IpAddr) -> impl Iterator<Item = &PortMap> {
        let carried = embedded(address).into_iter().flatten().map(IpAddr::V4);
        std::iter::once(address).chain(carried).flat_map(|form| self.deny.of_address(form))
    }

    fn decide_any(&self, allow: &[&PortMap], deny: &[&PortMap]) -> Decision {
        if let Some(rule) = deny.iter().find_map(|map| map.question()) {
            return Decision::from_rules(None, self.deny.rules().get(rule));
        }
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
        match allow.iter().find_map(|map| map.question()) {
            Some(rule) => Decision::from_rules(
                self.allow.rules().get(rule),
                denies_all(deny).and_then(|rule| self.deny.rules().get(rule)),
            ),
            None => Decision::from_rules(None, denied_by),
        }
    }
}

/// A rule of these, where together they leave nothing that could be connected to, or one of them says that nothing may be
/// asked for.
fn denies_all(maps: &[&PortMap]) -> Option<usize> {
    if let Some(rule) = maps.iter().find_map(|map| map.question()) {
        return Some(rule);
    }
    let mut first = None;
    for protocol in Protocol::ALL {
        let mut port = 0;
        loop {
            let denied = maps.iter().find_map(|map| map.containing(protocol, port))?;
            first = first.or(Some(denied.rule));
            match denied.last.checked_add(1) {
                Some(next) => port = next,
                None => break,
            }
        }
    }
    first
}
