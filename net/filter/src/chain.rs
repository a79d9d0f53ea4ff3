//! A hook's rules, made ready for packets.
//!
//! The rules are asked in order, but not all of them: one that names a single address, network or port is found by it,
//! and only those that a packet can match are looked at. Ten thousand rules of one network each cost what one costs.
//!
//! ```text
//!  packet --+-- by source ------> 3, 17 --+
//!           +-- by destination -> 9       +--> merged: 1, 3, 4, 9, 17 --> the first that matches and decides
//!           +-- by port --------> 4       |
//!           +-- the others -----> 1, 20 --+
//! ```

use crate::network::{Network, masked, words_of};
use crate::packet::{Packet, Ports};
use crate::rules::{Action, DefaultVerdict, List, Match, Rule, State, States, Target};
use crate::set::AddressSet;
use crate::verdict::Counter;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;
use hash::Key;
use hashbrown::HashTable;
use wire::Protocol;

/// What rules are found by: a source, a destination, or a port of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Head {
    Source(Network),
    Destination(Network),
    Port(Protocol, u16),
}

/// Prefix lengths of each version by which rules are found, of sources and of destinations: each is one look for every
/// packet. Rules of further lengths are asked one by one.
const LENGTHS_MAX: u32 = 8;

/// Lists of rules that are merged for a packet: the others, one for each length, and one for the port.
const LISTS_MAX: usize = 2 + 2 * LENGTHS_MAX as usize;

/// A hook's rules.
#[derive(Debug)]
pub(crate) struct Chain {
    pub default: DefaultVerdict,
    pub rules: Vec<Compiled>,
    /// Of each rule what most packets are told apart by, side by side in memory.
    pub gates: Vec<Gate>,
    pub counters: Vec<Counter>,
    /// What the default has met.
    pub default_counter: Counter,
    pub finder: Finder,
}

/// Which rules a packet can match.
#[derive(Debug)]
pub(crate) struct Finder {
    sources: Networks,
    destinations: Networks,
    ports: HashTable<([u64; 2], Vec<u32>)>,
    key: Key,
    /// Rules that are looked at for every packet.
    others: Vec<u32>,
}

/// A rule, with its interfaces as bits and its rates by number.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub action: Action,
    pub matches: Match,
    /// A bit for each interface that is meant.
    interfaces: u64,
    /// The number of its `rate`, and of its `limit`.
    pub rates: [u32; 2],
}

impl Chain {
    /// `interfaces` tells the bits of a rule's interfaces, `next_rate` the next number of a rate.
    pub(crate) fn new<E>(
        default: DefaultVerdict,
        rules: &[Rule],
        key: Key,
        mut interfaces: impl FnMut(&Rule) -> Result<u64, E>,
        next_rate: &mut u32,
    ) -> Result<Self, E> {
        let mut compiled = Vec::with_capacity(rules.len());
        for rule in rules {
            let rates = [*next_rate, *next_rate + 1];
            *next_rate += 2;
            let (action, matches) = (rule.action.clone(), rule.matches.clone());
            compiled.push(Compiled { interfaces: interfaces(rule)?, action, matches, rates });
        }
        let counters = alloc::vec![Counter::default(); rules.len()];
        let finder = Finder::new(&compiled, key);
        let gates = compiled.iter().map(|rule| Gate::of(&rule.matches)).collect();
        Ok(Self { default, rules: compiled, gates, counters, default_counter: Counter::default(), finder })
    }
}

impl Finder {
    /// Puts every rule under the head that it shares with the fewest others.
    fn new(rules: &[Compiled], key: Key) -> Self {
        let mut shared: BTreeMap<Head, u32> = BTreeMap::new();
        for head in rules.iter().flat_map(|rule| heads_of(&rule.matches)) {
            *shared.entry(head).or_default() += 1;
        }
        let (sources, destinations) = (Networks::new(key), Networks::new(key));
        let mut finder = Self { sources, destinations, ports: HashTable::new(), key, others: Vec::new() };
        for (number, rule) in rules.iter().enumerate() {
            let number = number as u32;
            let rarest = heads_of(&rule.matches).min_by_key(|head| shared.get(head).copied());
            let found = match rarest {
                Some(Head::Source(network)) => finder.sources.insert(network, number),
                Some(Head::Destination(network)) => finder.destinations.insert(network, number),
                Some(Head::Port(protocol, port)) => {
                    insert(&mut finder.ports, key, port_words(protocol, port), number);
                    true
                }
                None => false,
            };
            if !found {
                finder.others.push(number);
            }
        }
        finder
    }

    /// The rules that a packet may match, in order.
    #[inline]
    pub(crate) fn candidates(&self, packet: &Packet<'_>, ports: Option<Ports>) -> Candidates<'_> {
        let mut candidates = Candidates { lists: [&[]; LISTS_MAX], count: 0 };
        candidates.add(&self.others);
        self.sources.find(packet.source, &mut candidates);
        self.destinations.find(packet.destination, &mut candidates);
        if let Some(ports) = ports
            && !self.ports.is_empty()
        {
            let words = port_words(packet.protocol, ports.destination);
            if let Some((_, list)) = self.ports.find(self.key.quick(&words), |known| known.0 == words) {
                candidates.add(list);
            }
        }
        candidates
    }
}

/// Rules under the networks that they are found by.
#[derive(Debug)]
struct Networks {
    key: Key,
    table: HashTable<([u64; 3], Vec<u32>)>,
    /// A bit for each prefix length that occurs, for each version.
    lengths: [[u64; 3]; 2],
}

impl Networks {
    const fn new(key: Key) -> Self {
        Self { key, table: HashTable::new(), lengths: [[0; 3]; 2] }
    }

    /// Adds a rule; not where that would be one length too many.
    fn insert(&mut self, network: Network, number: u32) -> bool {
        let lengths = &mut self.lengths[usize::from(network.address().is_ipv6())];
        let (word, bit) = (usize::from(network.bits() / 64), 1 << (network.bits() % 64));
        let is_new = lengths[word] & bit == 0;
        if is_new && lengths.iter().map(|word| word.count_ones()).sum::<u32>() >= LENGTHS_MAX {
            return false;
        }
        lengths[word] |= bit;
        insert(&mut self.table, self.key, network_words(network.address(), network.bits()), number);
        true
    }

    /// Adds the rules of all networks that an address is in.
    #[inline]
    fn find<'a>(&'a self, address: IpAddr, candidates: &mut Candidates<'a>) {
        for (word, &lengths) in self.lengths[usize::from(address.is_ipv6())].iter().enumerate() {
            let mut left = lengths;
            while left != 0 {
                let bits = (word as u32 * 64 + left.trailing_zeros()) as u8;
                left &= left - 1;
                let words = network_words(masked(address, bits), bits);
                if let Some((_, list)) = self.table.find(self.key.quick(&words), |known| known.0 == words) {
                    candidates.add(list);
                }
            }
        }
    }
}

fn insert<const WORDS: usize>(
    table: &mut HashTable<([u64; WORDS], Vec<u32>)>,
    key: Key,
    words: [u64; WORDS],
    number: u32,
) {
    let entry = table.entry(key.quick(&words), |known| known.0 == words, |known| key.quick(&known.0));
    entry.or_insert_with(|| (words, Vec::new())).into_mut().1.push(number);
}

/// Numbers of rules from ordered lists, merged.
#[derive(Debug)]
pub(crate) struct Candidates<'a> {
    lists: [&'a [u32]; LISTS_MAX],
    count: usize,
}

impl<'a> Candidates<'a> {
    #[inline]
    fn add(&mut self, list: &'a [u32]) {
        if !list.is_empty() {
            self.lists[self.count] = list;
            self.count += 1;
        }
    }
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let nearest = match self.count {
            // Nothing is to be merged: long lists are such.
            1 => &mut self.lists[0],
            count => {
                let lists = self.lists[..count].iter_mut();
                lists.filter(|list| !list.is_empty()).min_by_key(|list| list[0])?
            }
        };
        let (first, rest) = nearest.split_first()?;
        *nearest = rest;
        Some(*first as usize)
    }
}

/// By what a rule can be found.
fn heads_of(matches: &Match) -> impl Iterator<Item = Head> {
    let source = only_network(&matches.sources).map(Head::Source);
    let destination = only_network(&matches.destinations).map(Head::Destination);
    let port = match (&matches.protocols.items[..], &matches.destination_ports.items[..]) {
        ([protocol], [ports])
            if !matches.protocols.negated
                && !matches.destination_ports.negated
                && ports.first == ports.last =>
        {
            Some(Head::Port(*protocol, ports.first))
        }
        _ => None,
    };
    source.into_iter().chain(destination).chain(port)
}

fn only_network(targets: &List<Target>) -> Option<Network> {
    match targets.items[..] {
        [Target::Network(network)] if !targets.negated => Some(network),
        _ => None,
    }
}

#[inline]
fn network_words(address: IpAddr, bits: u8) -> [u64; 3] {
    let [high, low, version] = words_of(address);
    [high, low, version << 8 | u64::from(bits)]
}

const fn port_words(protocol: Protocol, port: u16) -> [u64; 2] {
    [protocol.0 as u64, port as u64]
}

/// Which packets a rule may match, in eight bytes: one that is asked in vain costs no look at the rule itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    protocol: Class,
    states: States,
    /// Destination ports, from the lowest to the highest that is meant.
    first_port: u16,
    last_port: u16,
}

/// The protocols that most packets have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Any,
    Tcp,
    Udp,
}

impl Gate {
    fn of(matches: &Match) -> Self {
        let protocol = match matches.protocols.items[..] {
            [Protocol::TCP] if !matches.protocols.negated => Class::Tcp,
            [Protocol::UDP] if !matches.protocols.negated => Class::Udp,
            _ => Class::Any,
        };
        let ranges = matches.destination_ports.items.iter().filter(|_| !matches.destination_ports.negated);
        let first_port = ranges.clone().map(|range| range.first).min().unwrap_or(0);
        let last_port = ranges.map(|range| range.last).max().unwrap_or(u16::MAX);
        Self { protocol, states: matches.states, first_port, last_port }
    }

    #[inline]
    pub(crate) fn lets_pass(&self, facts: &Facts<'_>) -> bool {
        let is_of_class = match self.protocol {
            Class::Any => true,
            Class::Tcp => facts.packet.protocol == Protocol::TCP,
            Class::Udp => facts.packet.protocol == Protocol::UDP,
        };
        let port = facts.ports.map_or(self.first_port, |ports| ports.destination);
        is_of_class && (self.first_port..=self.last_port).contains(&port) && self.states.holds(facts.state)
    }
}

/// What is asked of a packet, read once.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub packet: &'a Packet<'a>,
    pub interface: u16,
    pub ports: Option<Ports>,
    pub state: State,
}

impl Compiled {
    /// Whether a packet is what the rule says, but for its rate.
    #[inline]
    pub(crate) fn matches(&self, facts: &Facts<'_>, sets: &[AddressSet]) -> bool {
        let Match {
            interfaces,
            protocols,
            sources,
            source_ports,
            destinations,
            destination_ports,
            flags,
            types,
            states,
            rate: _,
        } = &self.matches;
        let packet = facts.packet;
        let is = |address: IpAddr| {
            move |target: &Target| match target {
                Target::Network(network) => Network::contains(network, address),
                Target::Set(number) => sets[*number].contains(address),
            }
        };
        let on_interface = || {
            (self.interfaces.checked_shr(facts.interface.into()).unwrap_or(0) & 1 != 0) != interfaces.negated
        };
        states.holds(facts.state)
            && protocols.holds(|protocol| *protocol == packet.protocol)
            && (source_ports.is_any() && destination_ports.is_any()
                || facts.ports.is_some_and(|ports| {
                    source_ports.holds(|range| range.contains(ports.source))
                        && destination_ports.holds(|range| range.contains(ports.destination))
                }))
            && (interfaces.is_any() || on_interface())
            && sources.holds(is(packet.source))
            && destinations.holds(is(packet.destination))
            && flags.is_none_or(|wanted| packet.flags().is_some_and(|flags| wanted.matches(flags)))
            && (types.is_any()
                || packet.icmp().is_some_and(|(kind, code)| types.holds(|wanted| wanted.matches(kind, code))))
    }
}
