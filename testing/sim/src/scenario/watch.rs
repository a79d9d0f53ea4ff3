//! What the packets themselves must obey, from what the hosts send and are given, and for the congestion window from what
//! connections tell of themselves.
//!
//! - nothing leaves beyond the peer's window (RFC 9293 §3.8.6), but one byte that asks whether it has opened
//! - a window that was told is not taken back (RFC 9293 §3.8.6)
//! - nothing is acknowledged that has not arrived (RFC 9293 §3.4), and no acknowledgement goes back
//! - nothing leaves that the congestion window does not allow: [`flight`](super::flight)
//! - no more is in flight than any law lets a window grow to: the initial window and all that was acknowledged
//!   (RFC 5681 §3.1: at most a segment for each one acknowledged)
//! - acknowledgements answer something: none answers another (RFC 9293 §3.10.7.4)
//!
//! What is sent twice is summed up: over many cases it says how often a cause is seen that is none.

use super::draw::Scenario;
use super::flight::Flight;
use crate::sighting::{Seen, Sighting};
use crate::world::HostId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use time::{Duration, SequenceNumber};
use wire::tcp::{self, Flags};

/// Segments beyond the window: two by limited transmit (RFC 3042), one as a tail loss probe (RFC 8985 §7.3).
const SEGMENTS_BEYOND: u64 = 3;

/// The connections between two hosts, by their packets.
#[derive(Debug)]
pub(super) struct Watch {
    hosts: [HostId; 2],
    initial_segments: u64,
    /// By the sender's end and the other.
    ways: BTreeMap<(SocketAddr, SocketAddr), Way>,
    /// The last SYN that arrived for each.
    syns: BTreeMap<(SocketAddr, SocketAddr), (tcp::Header, u32)>,
    tally: Tally,
    connections: u64,
}

/// Sums over all connections and both hosts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) packets: u64,
    /// Acknowledgements without anything else.
    bare: u64,
    /// Arrived segments that ask for an answer.
    asking: u64,
    /// Bytes of payload, and those of them that had left before.
    pub(super) bytes: u64,
    pub(super) again_bytes: u64,
}

/// One direction of a connection, as its sender's host sees it.
#[derive(Debug)]
struct Way {
    initial: SequenceNumber,
    /// After the last that was sent, and the first that is not acknowledged.
    max: SequenceNumber,
    una: SequenceNumber,
    acknowledged_bytes: u64,
    /// What the peer's window allows, as far as the host has heard of it.
    edge: Option<SequenceNumber>,
    /// The shifts that both offered; none where one did not.
    own_shift: Option<u8>,
    peer_shift: Option<u8>,
    peer_mss: u64,
    /// A block or a duplicate told of a gap, or something was sent twice.
    is_troubled: bool,
    /// Bytes beyond `una` that acknowledgements have reported.
    reported_bytes: u64,
    /// After the last that has arrived from the peer; none before its SYN.
    arrived: Option<SequenceNumber>,
    /// What was acknowledged to the peer, and the edge of the window that it was told.
    told: Option<(SequenceNumber, SequenceNumber)>,
    /// What the congestion window lets leave.
    flight: Flight,
}

impl Way {
    fn new(seen: &Seen) -> Self {
        let header = &seen.header;
        Self {
            initial: header.sequence,
            max: header.sequence + 1,
            una: header.sequence,
            acknowledged_bytes: 0,
            edge: None,
            own_shift: header.options.window_scale,
            peer_shift: None,
            peer_mss: 536,
            is_troubled: false,
            reported_bytes: 0,
            arrived: None,
            told: None,
            flight: Flight::default(),
        }
    }

    /// The peer's SYN is the one that this connection begins with.
    fn begin(&mut self, syn: &tcp::Header, payload_bytes: u32) {
        self.arrived = Some(syn.sequence + 1 + payload_bytes);
        // RFC 7323 §2.2: the window of a SYN is never scaled.
        self.edge.get_or_insert(self.initial + 1 + u32::from(syn.window));
        self.peer_shift = syn.options.window_scale;
        self.peer_mss = syn.options.mss.unwrap_or(536).into();
    }

    /// The shifts of the windows that are told, and that are heard of.
    fn shifts(&self) -> (u8, u8) {
        self.own_shift.zip(self.peer_shift).unwrap_or((0, 0))
    }
}

impl Watch {
    pub(super) fn new(scenario: &Scenario, hosts: [HostId; 2]) -> Self {
        let profiles = scenario.talks.iter().flat_map(|talk| &talk.sides).map(|side| &side.config);
        let initial_segments = profiles.map(|config| u64::from(config.initial_window_segments)).max();
        Self {
            hosts,
            initial_segments: initial_segments.unwrap_or(1),
            ways: BTreeMap::new(),
            syns: BTreeMap::new(),
            tally: Tally::default(),
            connections: 0,
        }
    }

    /// Looks at one packet.
    pub(super) fn look(&mut self, sighting: Sighting) {
        debug_assert!(self.hosts.contains(&sighting.host));
        let sent = sighting.sent;
        self.tally.packets += u64::from(sent);
        let Some(seen) = sighting.segment() else { return };
        if sent { self.look_at_sent(&seen) } else { self.look_at_arrived(&seen) }
    }

    fn look_at_sent(&mut self, seen: &Seen) {
        let header = &seen.header;
        let key = (seen.source, seen.destination);
        if header.flags.contains(Flags::RST) {
            return;
        }
        if header.flags.contains(Flags::SYN)
            && self.ways.get(&key).is_none_or(|way| way.initial != header.sequence)
        {
            self.ways.insert(key, Way::new(seen));
            self.connections += 1;
            // The other's SYN came first.
            if let Some((syn, payload_bytes)) =
                self.syns.get(&key).filter(|_| header.flags.contains(Flags::ACK))
            {
                self.ways.get_mut(&key).expect("just put there").begin(syn, *payload_bytes);
            }
        }
        // What belongs to a connection that is over: an answer of TIME-WAIT, or of none.
        let Some(way) = self.ways.get_mut(&key) else { return };
        let controls = count(header.flags, Flags::SYN) + count(header.flags, Flags::FIN);
        let end = header.sequence + seen.payload_bytes + controls;
        if seen.payload_bytes > 0 {
            self.tally.bytes += u64::from(seen.payload_bytes);
            // RFC 7413 §4.2: a SYN may bring data, and is in front of it.
            let start = header.sequence + count(header.flags, Flags::SYN);
            let again = if way.max.after(start) { (way.max - start).min(seen.payload_bytes) } else { 0 };
            self.tally.again_bytes += u64::from(again);
            way.is_troubled |= again > 0;
            way.max = way.max.later(end);
            way.check_flight(seen, end, self.initial_segments);
            way.flight.check(seen, again == 0);
        } else if controls == 0 {
            self.tally.bare += 1;
        }
        way.max = way.max.later(end);
        if header.flags.contains(Flags::ACK) {
            way.check_told(seen);
        }
    }

    fn look_at_arrived(&mut self, seen: &Seen) {
        let header = &seen.header;
        let controls = count(header.flags, Flags::SYN) + count(header.flags, Flags::FIN);
        if seen.payload_bytes > 0 || controls > 0 || header.flags.contains(Flags::RST) {
            self.tally.asking += 1;
        }
        if header.flags.contains(Flags::RST) {
            return;
        }
        let key = (seen.destination, seen.source);
        let is_syn = header.flags.contains(Flags::SYN);
        if is_syn {
            self.syns.insert(key, (seen.header, seen.payload_bytes));
        }
        let Some(way) = self.ways.get_mut(&key) else { return };
        let end = header.sequence + seen.payload_bytes + controls;
        // A SYN to a connection that has begun is of the next one, or an old one.
        if is_syn && way.arrived.is_none() {
            way.begin(header, seen.payload_bytes);
        }
        way.arrived = way.arrived.map(|arrived| arrived.later(end));
        if header.flags.contains(Flags::ACK) {
            way.hear(seen, is_syn);
        }
    }

    /// Judges the sums of all that time, and returns them.
    pub(super) fn finish(self, span: Duration) -> Tally {
        let Tally { bare, asking, .. } = self.tally;
        // Windows that open are told without being asked, at most once for each read that makes room; probes of closed
        // windows and of silent peers are answered.
        let by_time = 20 * self.connections + 2 * span.as_secs() * self.connections;
        assert!(bare <= 2 * asking + by_time, "{bare} acknowledgements to {asking} segments in {span:?}");
        self.tally
    }
}

impl Way {
    /// Whether what just left was allowed to.
    fn check_flight(&self, seen: &Seen, end: SequenceNumber, initial_segments: u64) {
        let Some(edge) = self.edge else { return };
        let asks = seen.payload_bytes == 1;
        assert!(
            end.at_or_before(edge) || asks,
            "{} bytes beyond the window left: {seen:?}, {self:?}",
            end - edge
        );
        if end != self.max {
            return;
        }
        let flight = u64::from(self.max - self.una);
        let grown = initial_segments * self.peer_mss + self.acknowledged_bytes;
        let beyond = SEGMENTS_BEYOND * self.peer_mss;
        let most = if self.is_troubled { 2 * grown + self.reported_bytes } else { grown } + beyond;
        assert!(
            flight <= most,
            "{flight} bytes in flight, where no window is above {most}: {seen:?}, {self:?}"
        );
    }

    /// What was told to the peer stays true.
    fn check_told(&mut self, seen: &Seen) {
        let header = &seen.header;
        let Some(arrived) = self.arrived else { return };
        let acknowledgement = header.acknowledgement;
        assert!(
            acknowledgement.at_or_before(arrived),
            "acknowledges what has not arrived: {seen:?}, {self:?}"
        );
        let shift = if header.flags.contains(Flags::SYN) { 0 } else { self.shifts().0 };
        let edge = acknowledgement + (u32::from(header.window) << shift);
        if let Some((before, promised)) = self.told {
            assert!(before.at_or_before(acknowledgement), "an acknowledgement goes back: {seen:?}, {self:?}");
            // RFC 7323 §2.4: what the shift cannot tell is left out.
            let rounded = edge + ((1 << shift) - 1);
            // RFC 7323 §2.2: a SYN that leaves once more tells no more than 65,535.
            let is_syn = header.flags.contains(Flags::SYN);
            assert!(
                promised.at_or_before(rounded) || is_syn,
                "the window shrinks by {}: {seen:?}, {self:?}",
                promised - edge
            );
            self.told = Some((acknowledgement, edge.later(promised)));
            return;
        }
        self.told = Some((acknowledgement, edge));
    }

    /// An acknowledgement has arrived.
    fn hear(&mut self, seen: &Seen, is_syn: bool) {
        let header = &seen.header;
        let acknowledgement = header.acknowledgement;
        if !acknowledgement.at_or_before(self.max) || acknowledgement.before(self.una) {
            return;
        }
        let news_bytes = u64::from(acknowledgement - self.una);
        self.flight.hear();
        self.acknowledged_bytes += news_bytes;
        let is_duplicate = acknowledgement == self.una && seen.payload_bytes == 0 && !is_syn;
        let more_bytes = if is_duplicate { self.peer_mss } else { 0 };
        let duplicates_bytes = (self.reported_bytes + more_bytes).saturating_sub(news_bytes);
        self.una = acknowledgement;
        let blocks = header.options.sack.iter().flatten();
        let blocks_bytes = blocks.clone().map(|(left, right)| u64::from(*right - *left)).sum();
        // Without SACK, each duplicate stands for a segment that has arrived (RFC 5681 §3.2).
        self.reported_bytes = duplicates_bytes.max(blocks_bytes);
        self.is_troubled |= is_duplicate || blocks.count() > 0;
        let shift = if is_syn { 0 } else { self.shifts().1 };
        let edge = acknowledgement + (u32::from(header.window) << shift);
        self.edge = Some(self.edge.map_or(edge, |before| before.later(edge)));
    }
}

fn count(flags: Flags, flag: Flags) -> u32 {
    u32::from(flags.contains(flag))
}
