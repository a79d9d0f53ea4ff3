//! Two connections joined by a channel that delays, loses, reorders, duplicates and cuts, in virtual time and
//! from one seed.

use super::random::Random;
use super::wire::Wire;
use crate::{Config, Connection, Drop, Event, Path, Segment, Verdict};
use alloc::sync::Arc;
use packet::{Bytes, Chain};
use std::vec::Vec;
use time::{Duration, Instant, SequenceNumber};
use wire::Ecn;
use wire::tcp::Flags;

/// What the channel does to a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    pub(super) delay: Duration,
    /// Percent of wire segments lost, duplicated, delayed for longer.
    pub(super) loss: u64,
    pub(super) duplication: u64,
    pub(super) reordering: u64,
    pub(super) path: Path,
    /// Segments larger than this, header and options included, vanish without a word.
    pub(super) carries_bytes_max: usize,
}

impl Channel {
    pub(super) const CLEAN: Self = Self {
        delay: Duration::from_millis(5),
        loss: 0,
        duplication: 0,
        reordering: 0,
        path: Path { segment_bytes_max: 1_480, offload_bytes_max: 0 },
        carries_bytes_max: usize::MAX,
    };
}

/// One end: the connection, and the bytes that went through it.
pub(super) struct End {
    pub(super) connection: Connection,
    pub(super) events: Vec<Event>,
    pub(super) received: Vec<u8>,
    /// How many segments it sent, their payload in all, and the largest of one.
    pub(super) segments: usize,
    pub(super) payload_bytes: usize,
    pub(super) payload_bytes_max: usize,
}

impl End {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            events: Vec::new(),
            received: Vec::new(),
            segments: 0,
            payload_bytes: 0,
            payload_bytes_max: 0,
        }
    }

    /// Changes the connection's own profile.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Config), now: Instant) {
        let mut config = Config::clone(self.connection.config());
        change(&mut config);
        self.connection.set_config(Arc::new(config), now).unwrap();
    }

    pub(super) fn write(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.connection.write(&mut Bytes::copy_from_slice(bytes), now).unwrap()
    }

    pub(super) fn read_all(&mut self, now: Instant) {
        while let Some(bytes) = self.connection.read(usize::MAX, now) {
            self.received.extend_from_slice(&bytes);
        }
    }

    pub(super) fn saw(&self, event: Event) -> bool {
        self.events.contains(&event)
    }
}

pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) client: End,
    /// There once a SYN has arrived.
    pub(super) server: Option<End>,
    pub(super) channel: Channel,
    /// Whether both read whatever comes as soon as it comes.
    pub(super) reading: bool,
    config: Arc<Config>,
    flying: Vec<Flying>,
    random: Random,
    wire: Wire,
    /// What the server writes at once.
    answer: Vec<u8>,
}

struct Flying {
    at: Instant,
    to_server: bool,
    segment: Segment,
}

impl Pair {
    pub(super) fn new(client: Config, server: Config, channel: Channel, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let now = Instant::from_secs(1_000);
        let initial = SequenceNumber(random.next() as u32);
        let offset = random.next() as u32;
        client.check().unwrap();
        server.check().unwrap();
        // Who writes here does so once: the buffer is as large as it may be from the first.
        let client = Config { send_start_bytes: client.send_buffer_bytes, ..client };
        let server = Config { send_start_bytes: server.send_buffer_bytes, ..server };
        Self {
            now,
            client: End::new(Connection::connect(Arc::new(client), 40_000, 80, initial, offset, now)),
            server: None,
            channel,
            reading: true,
            config: Arc::new(server),
            flying: Vec::new(),
            random,
            wire: Wire::default(),
            answer: Vec::new(),
        }
    }

    /// Two ends that both open actively, their SYNs about to cross (RFC 9293 §3.5, figure 7).
    pub(super) fn crossing(config: Config, channel: Channel, seed: u64) -> Self {
        let mut pair = Self::new(config.clone(), config.clone(), channel, seed);
        let initial = SequenceNumber(pair.random.next() as u32);
        let server = Connection::connect(Arc::new(config), 80, 40_000, initial, 5, pair.now);
        pair.server = Some(End::new(server));
        pair
    }

    /// The client sends `question` with its SYN and a cookie that holds; the server answers as soon as it is there.
    pub(super) fn fast(config: Config, channel: Channel, seed: u64, question: &[u8], answer: &[u8]) -> Self {
        let mut pair = Self::new(config.clone(), config, channel, seed);
        pair.client.connection.set_fast_open(super::script::cookie("cookie12"), Some(1_460));
        let now = pair.now;
        pair.client.write(question, now);
        pair.answer = answer.to_vec();
        pair
    }

    /// Two ends whose handshake is over.
    pub(super) fn established(config: Config, channel: Channel, seed: u64) -> Self {
        let mut pair = Self::new(config.clone(), config, channel, seed);
        pair.run_until(|pair| {
            pair.client.saw(Event::Established)
                && pair.server.as_ref().is_some_and(|s| s.saw(Event::Established))
        });
        pair
    }

    pub(super) fn server(&mut self) -> &mut End {
        self.server.as_mut().unwrap()
    }

    /// Runs until `done`, and fails where nothing is left to happen before that.
    pub(super) fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..200_000 {
            self.drain();
            if done(self) {
                return;
            }
            assert!(
                self.step(),
                "nothing is left to happen: {:?} {:?}",
                self.client.connection,
                self.server.as_ref().map(|s| &s.connection)
            );
        }
        panic!("no end after 200,000 steps");
    }

    /// Runs until nothing is left to happen, or `span` is over.
    pub(super) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            self.drain();
            if self.next().is_none_or(|at| at > end) {
                self.now = end;
                return;
            }
            self.step();
        }
    }

    /// Goes to the next moment and lets it happen. Returns whether there was one.
    pub(super) fn step(&mut self) -> bool {
        let Some(at) = self.next() else { return false };
        self.now = self.now.max(at);
        let now = self.now;
        for end in [Some(&mut self.client), self.server.as_mut()].into_iter().flatten() {
            if end.connection.poll_timeout().is_some_and(|(at, _)| at <= now) {
                end.connection.handle_timeout(now);
            }
        }
        let (arrived, flying) = core::mem::take(&mut self.flying).into_iter().partition(|f| f.at <= now);
        self.flying = flying;
        let mut arrived: Vec<Flying> = arrived;
        arrived.sort_by_key(|f| f.at);
        for flying in arrived {
            self.deliver(flying);
        }
        true
    }

    fn next(&self) -> Option<Instant> {
        let ends = [Some(&self.client), self.server.as_ref()].into_iter().flatten();
        let timeouts = ends.filter_map(|end| end.connection.poll_timeout()).map(|(at, _)| at);
        timeouts.chain(self.flying.iter().map(|f| f.at)).min()
    }

    fn deliver(&mut self, flying: Flying) {
        let Flying { to_server, segment, .. } = flying;
        let header = segment.header;
        let end = match (to_server, &mut self.server) {
            (false, _) => &mut self.client,
            (true, Some(server)) => server,
            (true, server @ None) => {
                if header.flags == Flags::SYN {
                    let initial = SequenceNumber(self.random.next() as u32);
                    let offset = self.random.next() as u32;
                    let config = self.config.clone();
                    let mut end = End::new(Connection::accept(config, &header, initial, offset, self.now));
                    if header.options.fast_open.is_some() {
                        end.connection.accept_early(&header, segment.payload);
                    }
                    if !self.answer.is_empty() {
                        end.write(&self.answer, self.now);
                    }
                    *server = Some(end);
                }
                return;
            }
        };
        let length = segment.payload.len();
        if end.connection.handle_segment(segment, self.now) == Verdict::Dropped(Drop::Over)
            && let Some(header) = crate::reset_for(&header, length)
        {
            // What the stack answers once the connection is gone.
            let reset =
                Segment { header, payload: Chain::new(), joined: 1, segment_size: None, ecn: Ecn::NotEct };
            self.launch(reset, !to_server);
        }
    }

    /// Drains both ends into the channel.
    pub(super) fn drain(&mut self) {
        for to_server in [true, false] {
            let end = if to_server { Some(&mut self.client) } else { self.server.as_mut() };
            let Some(end) = end else { continue };
            if self.reading {
                end.read_all(self.now);
            }
            while let Some(event) = end.connection.poll_event() {
                end.events.push(event);
            }
            let mut left = Vec::new();
            loop {
                let half = end.connection.send_half();
                let (next, usable, was_idle) = (half.nxt(), half.usable() as usize, half.flight() == 0);
                let Some(segment) = end.connection.poll_transmit(self.channel.path, self.now) else { break };
                assert!(left.len() < 10_000, "poll_transmit never ends");
                end.segments += 1;
                end.payload_bytes += segment.payload.len();
                end.payload_bytes_max = end.payload_bytes_max.max(segment.payload.len());
                if segment.header.sequence == next && !segment.payload.is_empty() {
                    // A probe, of a closed window or of a silent tail, leaves all the same.
                    let probe = was_idle || end.connection.send_half().is_probing();
                    assert!(probe || segment.payload.len() <= usable, "more in flight than allowed");
                }
                self.wire.observe(&segment, to_server);
                left.push(segment);
            }
            for segment in left {
                for piece in cut(segment) {
                    self.launch(piece, to_server);
                }
            }
        }
    }

    fn launch(&mut self, segment: Segment, to_server: bool) {
        let size = segment.header.length() + segment.payload.len();
        if self.random.chance(self.channel.loss) || size > self.channel.carries_bytes_max {
            return;
        }
        let mut at = self.now + self.channel.delay;
        if self.random.chance(self.channel.reordering) {
            at += self.channel.delay * (self.random.below(20) as u32) / 10;
        }
        if self.random.chance(self.channel.duplication) {
            let late = at + self.channel.delay / 3;
            self.flying.push(Flying { at: late, to_server, segment: segment.clone() });
        }
        self.flying.push(Flying { at, to_server, segment });
    }
}

/// What a device does with a segment that is larger than one.
pub(super) fn cut(segment: Segment) -> Vec<Segment> {
    let Some(size) = segment.segment_size else { return Vec::from([segment]) };
    let mut payload = segment.payload;
    let mut header = segment.header;
    let mut pieces = Vec::new();
    while !payload.is_empty() {
        let piece = payload.split_to(usize::from(size));
        let mut here = header;
        if !payload.is_empty() {
            here.flags.0 &= !(Flags::FIN | Flags::PSH).0;
        }
        header.sequence += piece.len() as u32;
        pieces.push(Segment {
            header: here,
            payload: piece,
            joined: 1,
            segment_size: None,
            ecn: segment.ecn,
        });
    }
    pieces
}
