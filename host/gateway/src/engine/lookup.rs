//! Names that flows wait for.

use super::Sources;
use crate::resolver::{Addresses, Family, Resolution, Resolved};
use axiom::domain::DomainName;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// Who waits for which name: at most one for each place that a flow can have, however many flows come and go while
/// the resolver is silent.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    by_name: HashMap<DomainName, BTreeMap<(Sources, usize), Waiter>>,
}

/// Which families are not known yet.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    v4: bool,
    v6: bool,
}

impl Waiters {
    /// The flow at `index` waits for what `resolution` does not know yet. An earlier flow at that index has ended.
    pub fn insert(&mut self, name: &DomainName, source: Sources, index: usize, resolution: &Resolution) {
        let (v4, v6) = (resolution.v4.is_none(), resolution.v6.is_none());
        if v4 || v6 {
            self.by_name.entry(name.clone()).or_default().insert((source, index), Waiter { v4, v6 });
        }
    }

    /// One family of a name is known: the flows that waited for it. A flow may have ended meanwhile, and another
    /// may have its index: whoever gets it checks the name.
    pub fn take(&mut self, resolved: &Resolved) -> Vec<(Sources, usize)> {
        let Some(waiters) = self.by_name.get_mut(&resolved.name) else { return Vec::new() };
        let mut told = Vec::new();
        waiters.retain(|flow, waiter| {
            let wanted = match resolved.family {
                Family::V4 => std::mem::take(&mut waiter.v4),
                Family::V6 => std::mem::take(&mut waiter.v6),
            };
            if wanted {
                told.push(*flow);
            }
            waiter.v4 || waiter.v6
        });
        if waiters.is_empty() {
            self.by_name.remove(&resolved.name);
        }
        told
    }
}

/// What is known so far of a name's addresses, for who needs them all at once.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    v4: Option<Vec<IpAddr>>,
    v6: Option<Vec<IpAddr>>,
}

impl Lookup {
    /// Takes what is known in. All addresses, once both families are; a family that cannot be resolved has none.
    pub fn take(&mut self, resolution: Resolution) -> Option<Vec<IpAddr>> {
        self.v4 = self.v4.take().or(resolution.v4.map(Addresses::unwrap_or_default));
        self.v6 = self.v6.take().or(resolution.v6.map(Addresses::unwrap_or_default));
        let (Some(v4), Some(v6)) = (&self.v4, &self.v6) else { return None };
        Some(v6.iter().chain(v4).copied().collect())
    }
}

/// One family's addresses as a resolution that knows nothing else.
pub(super) fn partial(resolved: Resolved) -> Resolution {
    match resolved.family {
        Family::V4 => Resolution { v4: Some(resolved.addresses), v6: None },
        Family::V6 => Resolution { v4: None, v6: Some(resolved.addresses) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_told_of_each_family_that_it_waits_for_and_then_no_more() {
        let name = DomainName::parse("a.example").expect("name");
        let mut waiters = Waiters::default();
        let known_v6 = Resolution { v4: None, v6: Some(Ok(Vec::new())) };
        waiters.insert(&name, Sources::Tcp, 1, &known_v6);
        waiters.insert(&name, Sources::Udp, 2, &Resolution { v4: None, v6: None });
        let resolved = |family| Resolved { name: name.clone(), family, addresses: Ok(Vec::new()) };
        assert_eq!(waiters.take(&resolved(Family::V4)), [(Sources::Tcp, 1), (Sources::Udp, 2)]);
        assert_eq!(waiters.take(&resolved(Family::V4)), []);
        assert_eq!(waiters.take(&resolved(Family::V6)), [(Sources::Udp, 2)]);
        assert!(waiters.by_name.is_empty());
    }

    #[test]
    fn flows_that_follow_each_other_at_one_index_wait_once() {
        let name = DomainName::parse("a.example").expect("name");
        let mut waiters = Waiters::default();
        for _ in 0..1_000 {
            waiters.insert(&name, Sources::Udp, 7, &Resolution { v4: None, v6: None });
        }
        let resolved = Resolved { name, family: Family::V4, addresses: Ok(Vec::new()) };
        assert_eq!(waiters.take(&resolved), [(Sources::Udp, 7)]);
    }
}
