//! One list of rules, made for lookup: names and paths by hash, networks by hash of the prefix at each length in use.

use super::ports::PortMap;
use super::rule::{Network, Protocol, Rule, Target, masked};
use crate::domain::DomainName;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// Rules of one list. A lookup costs one hash per label of the name, or per prefix length in use, however many
/// rules there are.
#[derive(Debug, Default)]
pub(super) struct Table {
    rules: Vec<Rule>,
    names: HashMap<DomainName, PortMap>,
    below: HashMap<DomainName, PortMap>,
    networks: HashMap<Network, PortMap>,
    /// The first rule for each path of a Unix socket.
    paths: HashMap<Arc<str>, usize>,
    /// The prefix lengths in use, the longest first: IPv4, IPv6.
    lengths_v4: Vec<u8>,
    lengths_v6: Vec<u8>,
}

impl Table {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        let mut names: HashMap<DomainName, Vec<(usize, &Rule)>> = HashMap::new();
        let mut below: HashMap<DomainName, Vec<(usize, &Rule)>> = HashMap::new();
        let mut networks: HashMap<Network, Vec<(usize, &Rule)>> = HashMap::new();
        let mut paths: HashMap<Arc<str>, usize> = HashMap::new();
        let (mut lengths_v4, mut lengths_v6) = (BTreeSet::new(), BTreeSet::new());
        for (index, rule) in rules.iter().enumerate() {
            let same_target = match rule.target() {
                Target::Name(name) => names.entry(name.clone()).or_default(),
                Target::Below(name) => below.entry(name.clone()).or_default(),
                Target::Network(network) => {
                    let lengths = if network.address.is_ipv4() { &mut lengths_v4 } else { &mut lengths_v6 };
                    lengths.insert(network.prefix_bits);
                    networks.entry(*network).or_default()
                }
                Target::Unix(path) => {
                    paths.entry(path.clone()).or_insert(index);
                    continue;
                }
            };
            same_target.push((index, rule));
        }
        Self {
            names: names.into_iter().map(|(name, rules)| (name, PortMap::new(&rules))).collect(),
            below: below.into_iter().map(|(name, rules)| (name, PortMap::new(&rules))).collect(),
            networks: networks.into_iter().map(|(network, rules)| (network, PortMap::new(&rules))).collect(),
            paths,
            lengths_v4: lengths_v4.into_iter().rev().collect(),
            lengths_v6: lengths_v6.into_iter().rev().collect(),
            rules,
        }
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What is said of a name, the most specific first.
    pub(super) fn of_name(&self, name: &DomainName) -> impl Iterator<Item = &PortMap> {
        self.names.get(name).into_iter().chain(name.ancestors().filter_map(|above| self.below.get(above)))
    }

    /// What is said of an address in canonical form, the longest prefix first.
    pub(super) fn of_address(&self, address: IpAddr) -> impl Iterator<Item = &PortMap> {
        let lengths = if address.is_ipv4() { &self.lengths_v4 } else { &self.lengths_v6 };
        lengths.iter().filter_map(move |bits| {
            self.networks.get(&Network { address: masked(address, *bits), prefix_bits: *bits })
        })
    }

    /// The index of the rule for a Unix socket: its own, else that of the nearest directory above it.
    pub(super) fn of_path(&self, path: &str) -> Option<usize> {
        let above = path.rmatch_indices('/').map(|(at, _)| &path[..=at]);
        std::iter::once(path).chain(above).find_map(|path| self.paths.get(path)).copied()
    }

    /// The index of the first of several that speaks for the port.
    pub(super) fn find<'a>(
        &'a self,
        mut maps: impl Iterator<Item = &'a PortMap>,
        protocol: Protocol,
        port: u16,
    ) -> Option<usize> {
        maps.find_map(|map| map.find(protocol, port))
    }
}
