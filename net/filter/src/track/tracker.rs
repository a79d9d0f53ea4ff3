//! The table of connections: looked up before the rules are asked, written when they have accepted.

use super::flow::{FlowKey, Kind, Sender};
use super::tcp::TcpState;
use crate::config::Timeouts;
use crate::packet::Packet;
use crate::rules::State;
use crate::table::Table;
use hash::Key;
use time::{Duration, Instant};
use wire::Protocol;
use wire::tcp::Flags;

const TCP_TRANSITORY: usize = 0;
const UDP_UNANSWERED: usize = 1;
const ICMP: usize = 2;
const TCP_ESTABLISHED: usize = 3;
const UDP_ANSWERED: usize = 4;
const LISTS: usize = 5;

/// The lists that give way first when the table is full, and then the others.
const EVICTED: [&[usize]; 2] = [&[TCP_TRANSITORY, UDP_UNANSWERED, ICMP], &[TCP_ESTABLISHED, UDP_ANSWERED]];

/// Connections that are forgotten for each packet at most, where more have expired: twice as fast as they can come.
const EXPIRED_MAX: usize = 2;

/// What is known of a connection.
#[derive(Clone, Copy, Debug)]
struct Connection {
    opener: Sender,
    /// The other side has been heard.
    answered: bool,
    /// Meaningful for TCP alone.
    tcp: TcpState,
}

/// A packet that was looked up. Told to [`Tracker::accept`] when the rules have let it pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub state: State,
    flow: Option<Flow>,
}

#[derive(Clone, Copy, Debug)]
struct Flow {
    key: FlowKey,
    sender: Sender,
    /// Where its connection stands, unless it opens one.
    place: Option<u32>,
}

impl Seen {
    /// Of a packet that was not looked up.
    pub(crate) const UNTRACKED: Self = Self { state: State::Untracked, flow: None };
}

#[cfg(test)]
pub(crate) const CONNECTION_SLOT_BYTES: usize = crate::table::slot_bytes::<FlowKey, Connection>();

/// Connections, by their ends.
#[derive(Debug)]
pub(crate) struct Tracker {
    table: Table<FlowKey, Connection, LISTS>,
    timeouts: [Duration; LISTS],
    connections_max: usize,
    evicted: u64,
    /// Time as far as it was told: it never goes back.
    latest: Instant,
}

impl Tracker {
    pub(crate) fn new(key: Key, connections_max: usize, timeouts: &Timeouts) -> Self {
        let Timeouts { tcp_established, tcp_transitory, udp_answered, udp_unanswered, icmp } = *timeouts;
        let timeouts = [tcp_transitory, udp_unanswered, icmp, tcp_established, udp_answered];
        Self { table: Table::new(key), timeouts, connections_max, evicted: 0, latest: Instant::ZERO }
    }

    /// Connections that are remembered; some of them may have expired already.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Connections that were forgotten before their time for lack of room.
    pub(crate) const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// What a packet is to the connections that are known.
    pub(crate) fn look(&mut self, packet: &Packet<'_>, now: Instant) -> Seen {
        self.latest = self.latest.max(now);
        self.expire(EXPIRED_MAX);
        let (key, sender, opens) = match Kind::of(packet) {
            Kind::Tracked { key, sender, opens } => (key, sender, opens),
            Kind::Error => return Seen { state: self.look_at_quoted(packet), flow: None },
            Kind::Broken => return Seen { state: State::Invalid, flow: None },
            Kind::Other => return Seen::UNTRACKED,
        };
        let flags = match packet.protocol {
            Protocol::TCP => match packet.flags() {
                Some(flags) if !TcpState::is_senseless(flags) => flags,
                _ => return Seen { state: State::Invalid, flow: None },
            },
            _ => Flags::default(),
        };
        let is_tcp = packet.protocol == Protocol::TCP;
        let opens = if is_tcp { TcpState::opens(flags) } else { opens };
        let place = self.find(&key);
        // The same ends may be used for another connection once both sides have ended the last (RFC 9293 §3.6.1).
        let reopens = |place: u32| is_tcp && opens && self.table.at(place).tcp == TcpState::Closed;
        match place.filter(|place| !reopens(*place)) {
            Some(place) => {
                let Connection { opener, answered, .. } = *self.table.at(place);
                let state = if answered || opener != sender { State::Established } else { State::New };
                Seen { state, flow: Some(Flow { key, sender, place: Some(place) }) }
            }
            None if opens => Seen { state: State::New, flow: Some(Flow { key, sender, place: None }) },
            None => Seen { state: State::Invalid, flow: None },
        }
    }

    /// An error belongs to a connection where it quotes a packet of it, and goes to who sent that. Who has no connection of
    /// that kind gets an error about nothing (RFC 5508 §4, REQ-4).
    fn look_at_quoted(&self, packet: &Packet<'_>) -> State {
        let Some(quoted) = packet.quoted().filter(|quoted| quoted.source == packet.destination) else {
            return State::Invalid;
        };
        match Kind::of(&quoted) {
            Kind::Tracked { key, .. } if self.find(&key).is_some() => State::Related,
            _ => State::Invalid,
        }
    }

    /// A packet that was looked up passes: its connection is known from now on, and was used.
    pub(crate) fn accept(&mut self, seen: Seen, packet: &Packet<'_>) {
        let Some(Flow { key, sender, place }) = seen.flow else { return };
        let flags = packet.flags().unwrap_or_default();
        let Some(place) = place else {
            self.open(key, sender, packet.protocol);
            return;
        };
        let connection = self.table.at_mut(place);
        let from_opener = connection.opener == sender;
        connection.answered |= !from_opener;
        if packet.protocol == Protocol::TCP {
            connection.tcp = connection.tcp.after(flags, from_opener);
        }
        let list = list_of(packet.protocol, connection);
        self.table.touch(place, list, self.latest);
    }

    fn open(&mut self, key: FlowKey, opener: Sender, protocol: Protocol) {
        if let Some(closed) = self.table.find(&key) {
            self.table.remove(closed);
        }
        if self.table.len() >= self.connections_max {
            self.evict();
        }
        let connection = Connection { opener, answered: false, tcp: TcpState::Opening };
        self.table.insert(key, connection, list_of(protocol, &connection), self.latest);
    }

    /// Forgets the one idle longest, of the lists that give way first where there is one.
    fn evict(&mut self) {
        for lists in EVICTED {
            let oldest = lists.iter().filter_map(|list| self.table.oldest(*list));
            if let Some((place, _)) = oldest.min_by_key(|(_, used)| *used) {
                self.table.remove(place);
                self.evicted += 1;
                return;
            }
        }
    }

    /// The place of a connection that has not expired.
    fn find(&self, key: &FlowKey) -> Option<u32> {
        let place = self.table.find(key)?;
        let (list, used) = self.table.age(place);
        (used + self.timeouts[list] > self.latest).then_some(place)
    }

    /// Forgets connections that have expired, up to so many.
    fn expire(&mut self, most: usize) {
        for _ in 0..most {
            let expired = (0..LISTS).find_map(|list| {
                let (place, used) = self.table.oldest(list)?;
                (used + self.timeouts[list] <= self.latest).then_some(place)
            });
            match expired {
                Some(place) => self.table.remove(place),
                None => return,
            }
        }
    }

    /// Forgets every connection that has expired, and tells when the next will.
    pub(crate) fn expire_all(&mut self, now: Instant) -> Option<Instant> {
        self.latest = self.latest.max(now);
        self.expire(usize::MAX);
        if self.table.len() == 0 {
            self.table.clear();
        }
        let ends =
            (0..LISTS).filter_map(|list| self.table.oldest(list).map(|(_, used)| used + self.timeouts[list]));
        ends.min()
    }
}

const fn list_of(protocol: Protocol, connection: &Connection) -> usize {
    match protocol {
        Protocol::TCP if connection.tcp.is_established() => TCP_ESTABLISHED,
        Protocol::TCP => TCP_TRANSITORY,
        Protocol::UDP if connection.answered => UDP_ANSWERED,
        Protocol::UDP => UDP_UNANSWERED,
        _ => ICMP,
    }
}
