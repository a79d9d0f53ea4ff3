//! The naive filter: every rule asked of every packet in order, connections and rates in lists that are walked. It shares
//! what a rules file says with the real one, and nothing of how packets are judged.

use filter::{
    Action, DefaultVerdict, Hook, Match, Packet, Per, RateLimit, Ruleset, State, Target, Unit, Verdict,
};
use std::net::IpAddr;
use time::Instant;
use wire::Protocol;

/// A packet's place: who sends, whom to, and what stands for ports.
type Way = ((IpAddr, u32), (IpAddr, u32), Protocol);

#[derive(Debug)]
struct Known {
    way: Way,
    answered: bool,
    /// Bits: a SYN has come back, an acknowledgement after it, an end from who opened it, an end from the other, a reset.
    tcp: [bool; 5],
    used: u64,
}

/// Of which hook's which rule, whether by its `limit`, and for whom.
type Counted = (Hook, usize, bool, String);

/// The naive filter.
#[derive(Debug)]
pub struct Model {
    rules: Ruleset,
    known: Vec<Known>,
    /// Whether a rule asks for states.
    tracks: bool,
    /// What is left, in units times the period's nanoseconds, and since when.
    buckets: Vec<(Counted, i128, u64)>,
}

impl Model {
    pub fn new(rules: &Ruleset) -> Self {
        let all = rules.chains.iter().flat_map(|chain| &chain.rules);
        let tracks = all.into_iter().any(|rule| !rule.matches.states.is_any());
        Self { rules: rules.clone(), known: Vec::new(), tracks, buckets: Vec::new() }
    }

    /// What becomes of the packet, by which rule, and what it is.
    pub fn judge(
        &mut self,
        hook: Hook,
        interface: &str,
        packet: &Packet<'_>,
        now: Instant,
    ) -> (Verdict, Option<usize>, State) {
        let now = now.as_nanos();
        let state = if self.tracks { self.state(packet, now) } else { State::Untracked };
        let (verdict, rule) = self.decide(hook, interface, packet, state, now);
        if verdict == Verdict::Accepted && self.tracks {
            self.remember(packet, now);
        }
        (verdict, rule, state)
    }

    fn decide(
        &mut self,
        hook: Hook,
        interface: &str,
        packet: &Packet<'_>,
        state: State,
        now: u64,
    ) -> (Verdict, Option<usize>) {
        let chain = self.rules.chain(hook).clone();
        for (number, rule) in chain.rules.iter().enumerate() {
            if !self.matches(&rule.matches, interface, packet, state) {
                continue;
            }
            if let Some(rate) = rule.matches.rate
                && self.within((hook, number, false), &rate.limit, packet, now) == rate.over
            {
                continue;
            }
            match &rule.action {
                Action::Accept => return (Verdict::Accepted, Some(number)),
                Action::Drop => return (Verdict::Dropped, Some(number)),
                Action::Reject(answer) => return (Verdict::Rejected(*answer), Some(number)),
                Action::Count(_) => {}
                Action::Limit(limit) => {
                    if !self.within((hook, number, true), limit, packet, now) {
                        return (Verdict::Limited, Some(number));
                    }
                }
            }
        }
        let verdict = match chain.default {
            DefaultVerdict::Accept => Verdict::Accepted,
            DefaultVerdict::Drop => Verdict::Dropped,
            DefaultVerdict::Reject => Verdict::Rejected(filter::Answer::Fitting),
        };
        (verdict, None)
    }

    fn matches(&self, wanted: &Match, interface: &str, packet: &Packet<'_>, state: State) -> bool {
        let list = |is_any: bool, negated: bool, is: bool| is_any || is != negated;
        let address = |list: &filter::List<Target>, address: IpAddr| {
            let mut found = false;
            for target in &list.items {
                found |= match target {
                    Target::Network(network) => network.contains(address),
                    Target::Set(number) => {
                        self.rules.sets[*number].networks.iter().any(|network| network.contains(address))
                    }
                };
            }
            list.items.is_empty() || found != list.negated
        };
        let ports = packet.ports();
        let port = |ranges: &filter::List<filter::PortRange>, port: Option<u16>| {
            ranges.items.is_empty()
                || port.is_some_and(|port| {
                    ranges.items.iter().any(|range| range.first <= port && port <= range.last)
                        != ranges.negated
                })
        };
        let on = wanted.interfaces.items.iter().any(|name| name == interface);
        let protocol = wanted.protocols.items.contains(&packet.protocol);
        let kind = packet.icmp();
        let types = wanted.types.items.is_empty()
            || kind.is_some_and(|(kind, code)| {
                let is = |wanted: &filter::IcmpType| {
                    wanted.kind == kind && (wanted.code.is_none() || wanted.code == Some(code))
                };
                wanted.types.items.iter().any(is) != wanted.types.negated
            });
        list(wanted.interfaces.items.is_empty(), wanted.interfaces.negated, on)
            && list(wanted.protocols.items.is_empty(), wanted.protocols.negated, protocol)
            && address(&wanted.sources, packet.source)
            && address(&wanted.destinations, packet.destination)
            && port(&wanted.source_ports, ports.map(|ports| ports.source))
            && port(&wanted.destination_ports, ports.map(|ports| ports.destination))
            && wanted
                .flags
                .is_none_or(|flags| packet.flags().is_some_and(|bits| bits.0 & flags.of.0 == flags.set.0))
            && types
            && (wanted.states.is_any() || wanted.states.holds(state))
    }

    fn within(
        &mut self,
        (hook, number, is_limit): (Hook, usize, bool),
        limit: &RateLimit,
        packet: &Packet<'_>,
        now: u64,
    ) -> bool {
        let whom = match limit.per {
            Per::Rule => String::new(),
            Per::Source => packet.source.to_string(),
            Per::Destination => packet.destination.to_string(),
            Per::Program => format!("{:?}", packet.program),
        };
        let unit = i128::from(limit.rate.period.seconds()) * 1_000_000_000;
        let full = i128::from(limit.burst) * unit;
        let key = (hook, number, is_limit, whom);
        let place = match self.buckets.iter().position(|(known, ..)| *known == key) {
            Some(place) => place,
            None => {
                self.buckets.push((key, full, now));
                self.buckets.len() - 1
            }
        };
        let (_, level, since) = &mut self.buckets[place];
        *level = full.min(*level + i128::from(now - *since) * i128::from(limit.rate.amount));
        *since = now;
        let cost = unit * if limit.rate.unit == Unit::Bytes { i128::from(packet.length_bytes) } else { 1 };
        let passes = *level >= cost.min(full);
        if passes {
            *level -= cost;
        }
        passes
    }

    /// The packet's way, and whether it can open a connection; nothing where none is made of its kind.
    fn way(packet: &Packet<'_>) -> Result<(Way, bool), State> {
        let (source, destination) = (packet.source, packet.destination);
        match packet.protocol {
            Protocol::TCP | Protocol::UDP => {
                let ports = packet.ports().ok_or(State::Invalid)?;
                let way =
                    ((source, ports.source.into()), (destination, ports.destination.into()), packet.protocol);
                if packet.protocol == Protocol::UDP {
                    return Ok((way, true));
                }
                let bits = packet.flags().ok_or(State::Invalid)?.0;
                let [fin, syn, rst, ack] = [1, 2, 4, 16].map(|bit| bits & bit != 0);
                if syn && (fin || rst) || !(syn || rst || ack) {
                    return Err(State::Invalid);
                }
                Ok((way, syn && !ack))
            }
            Protocol::ICMP | Protocol::ICMPV6 => {
                let (kind, _) = packet.icmp().ok_or(State::Invalid)?;
                let query = match (packet.protocol, kind) {
                    (Protocol::ICMP, 8 | 0) => 8,
                    (Protocol::ICMP, 13 | 14) => 13,
                    (Protocol::ICMPV6, 128 | 129) => 128,
                    (Protocol::ICMP, 3 | 4 | 5 | 11 | 12) => return Err(State::Invalid),
                    (Protocol::ICMPV6, ..128) => return Err(State::Invalid),
                    _ => return Err(State::Untracked),
                };
                let bytes = packet.transport.get(4..6).ok_or(State::Invalid)?;
                let number = u32::from(bytes[0]) * 256 + u32::from(bytes[1]);
                match kind == query {
                    true => Ok((
                        ((source, number), (destination, 1_000_000 + query as u32), packet.protocol),
                        true,
                    )),
                    false => Ok((
                        ((source, 1_000_000 + query as u32), (destination, number), packet.protocol),
                        false,
                    )),
                }
            }
            _ => Err(State::Untracked),
        }
    }

    fn state(&mut self, packet: &Packet<'_>, now: u64) -> State {
        self.known.retain(|known| now < known.used + known.lifetime_secs() * 1_000_000_000);
        let (way, opens) = match Self::way(packet) {
            Ok(way) => way,
            Err(state) => return state,
        };
        let is_tcp = packet.protocol == Protocol::TCP;
        match self.known.iter().find(|known| known.way == way || known.way == reversed(way)) {
            Some(known) if is_tcp && opens && known.is_closed() => State::New,
            Some(known) if known.answered || known.way != way => State::Established,
            Some(_) => State::New,
            None if opens => State::New,
            None => State::Invalid,
        }
    }

    fn remember(&mut self, packet: &Packet<'_>, now: u64) {
        let Ok((way, opens)) = Self::way(packet) else { return };
        let is_tcp = packet.protocol == Protocol::TCP;
        if is_tcp && opens {
            self.known
                .retain(|known| !(known.is_closed() && (known.way == way || known.way == reversed(way))));
        }
        let Some(known) = self.known.iter_mut().find(|known| known.way == way || known.way == reversed(way))
        else {
            if opens {
                self.known.push(Known { way, answered: false, tcp: [false; 5], used: now });
            }
            return;
        };
        known.used = now;
        let from_opener = known.way == way;
        known.answered |= !from_opener;
        if is_tcp {
            known.pass(packet.flags().map_or(0, |flags| flags.0), from_opener);
        }
    }
}

impl Known {
    fn pass(&mut self, bits: u16, from_opener: bool) {
        let [fin, syn, rst, ack] = [1, 2, 4, 16].map(|bit| bits & bit != 0);
        let [came_back, acknowledged, end, end_back, reset] = &mut self.tcp;
        if rst {
            *reset = true;
        } else if !*came_back {
            *came_back = syn && !from_opener;
        } else if fin {
            *(if from_opener { end } else { end_back }) = true;
        } else if ack && !syn {
            *acknowledged = true;
        }
    }

    fn is_closed(&self) -> bool {
        let [_, _, end, end_back, reset] = self.tcp;
        reset || end && end_back
    }

    fn lifetime_secs(&self) -> u64 {
        let [_, acknowledged, end, end_back, reset] = self.tcp;
        match self.way.2 {
            Protocol::TCP if acknowledged && !end && !end_back && !reset => 7_440,
            Protocol::TCP => 240,
            Protocol::UDP if self.answered => 300,
            Protocol::UDP => 120,
            _ => 60,
        }
    }
}

fn reversed((from, to, protocol): Way) -> Way {
    (to, from, protocol)
}
