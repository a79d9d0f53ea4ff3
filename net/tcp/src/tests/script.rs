//! One connection, and segments written by hand in the manner of packet scripts:
//!
//! ```text
//! FLAGS SEQ[+LENGTH] [ack N] [win N] [mss N] [wscale N] [ts VALUE:ECHO] [sackok yes] [sack L:R,...] [size N] [joined N]
//!     [fo COOKIE] [uto SECONDS] [ecn N]
//! ```
//!
//! A Fast Open cookie is a text of 4 to 16 letters, `?` the request for one, `none` no option.
//!
//! Flags are S F R P U E W A, or `.` for none; ACK is what `ack` says. Numbers count from the initial ones: the SYNs are 0,
//! the first bytes 1. The n-th byte of either stream is `n % 251`. Windows are as on the wire.

use crate::{Config, CongestionAlgorithm, Connection, Drop, Event, Path, Segment, State, Verdict};
use alloc::sync::Arc;
use packet::{Bytes, Chain};
use std::string::String;
use std::vec::Vec;
use std::{format, println};
use time::{Duration, Instant, SequenceNumber};
use wire::Ecn;
use wire::tcp::{FastOpen, Flags, Header, Timestamps, UserTimeout};

/// Near the wrap, so that every script crosses it.
const OUR_INITIAL: SequenceNumber = SequenceNumber(u32::MAX - 700);
const PEER_INITIAL: SequenceNumber = SequenceNumber(u32::MAX - 300);
const LETTERS: [(char, Flags); 8] = [
    ('S', Flags::SYN),
    ('F', Flags::FIN),
    ('R', Flags::RST),
    ('P', Flags::PSH),
    ('U', Flags::URG),
    ('E', Flags::ECE),
    ('W', Flags::CWR),
    ('A', Flags::AE),
];

pub(super) struct Script {
    pub(super) connection: Connection,
    pub(super) now: Instant,
    pub(super) path: Path,
}

/// The profile of most scripts: no timestamps, no scaling, no quick acknowledgements, windows that are halved and
/// doubled, PSH only at the end of a write; segments carry 1,000 bytes.
pub(super) fn plain() -> Config {
    Config {
        timestamps: false,
        window_scaling: false,
        quick_acks: 0,
        push_bursts: false,
        congestion: CongestionAlgorithm::NewReno,
        hystart: false,
        pacing: false,
        receive_buffer_bytes: 60_000,
        receive_start_bytes: 1 << 20,
        send_start_bytes: 4 << 20,
        ..Config::linux()
    }
}

/// The bytes of a stream from its `start`-th on.
pub(super) fn stream(start: u32, length: usize) -> Bytes {
    (start..).take(length).map(|n| (n % 251) as u8).collect::<Vec<u8>>().into()
}

impl Script {
    pub(super) fn connect(config: Config) -> Self {
        let now = Instant::from_secs(1_000);
        config.check().unwrap();
        Self::new(Connection::connect(Arc::new(config), 1_000, 80, OUR_INITIAL, 0, now), now)
    }

    pub(super) fn accept(config: Config, syn: &str) -> Self {
        let now = Instant::from_secs(1_000);
        config.check().unwrap();
        let syn = parse(syn).header;
        Self::new(Connection::accept(Arc::new(config), &syn, OUR_INITIAL, 0, now), now)
    }

    fn new(connection: Connection, now: Instant) -> Self {
        Self { connection, now, path: Path { segment_bytes_max: 1_020, offload_bytes_max: 0 } }
    }

    /// Accepted, with the handshake over.
    pub(super) fn established(config: Config) -> Self {
        let mut it = Self::accept(config, "S 0 win 65535 mss 1000 wscale 0");
        let syn_ack = it.poll().expect("a SYN-ACK");
        assert!(syn_ack.header.flags.contains(Flags::SYN | Flags::ACK));
        it.arrives(". 1 ack 1 win 65535");
        assert_eq!(it.events(), [Event::Established]);
        it
    }

    /// In ESTABLISHED, with the congestion window out of the way.
    pub(super) fn roomy(config: Config) -> Self {
        Self::established(Config { initial_window_segments: 100, ..config })
    }

    /// Changes the connection's own profile.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Config)) {
        let mut config = Config::clone(self.connection.config());
        change(&mut config);
        self.connection.set_config(Arc::new(config), self.now).unwrap();
    }

    pub(super) fn arrives(&mut self, text: &str) {
        assert_eq!(self.handle(text), Verdict::Accepted, "{text}");
    }

    pub(super) fn is_dropped(&mut self, text: &str, reason: Drop) {
        assert_eq!(self.handle(text), Verdict::Dropped(reason), "{text}");
    }

    pub(super) fn handle(&mut self, text: &str) -> Verdict {
        println!("{} < {text}", self.now);
        self.connection.handle_segment(parse(text), self.now)
    }

    fn poll(&mut self) -> Option<Segment> {
        self.connection.poll_transmit(self.path, self.now)
    }

    /// Whether anything leaves, whatever it is.
    pub(super) fn poll_any(&mut self) -> bool {
        self.poll().is_some()
    }

    /// The next segment is this one; fields that are not named are not compared, payload always is.
    pub(super) fn leaves(&mut self, text: &str) {
        let segment = self.poll();
        let seen = segment.as_ref().map(|segment| render(segment, text));
        println!("{} > {seen:?}", self.now);
        assert_eq!(seen.as_deref(), Some(text), "at {}", self.now);
        let segment = segment.unwrap();
        let first =
            segment.header.sequence - OUR_INITIAL + u32::from(segment.header.flags.contains(Flags::SYN));
        assert_eq!(segment.payload.to_vec(), stream(first, segment.payload.len()), "payload of {text}");
    }

    /// Nothing more leaves now.
    pub(super) fn is_quiet(&mut self) {
        let segment = self.poll().map(|segment| render(&segment, ""));
        assert_eq!(segment, None, "at {}", self.now);
    }

    /// Nothing leaves for `ms`; then what is due happens.
    pub(super) fn after(&mut self, ms: u64) {
        self.is_quiet();
        let end = self.now + Duration::from_millis(ms);
        while let Some((at, why)) = self.connection.poll_timeout().filter(|&(at, _)| at <= end) {
            self.now = at.max(self.now);
            println!("{} ! {why:?}", self.now);
            self.connection.handle_timeout(self.now);
            if self.now < end {
                self.is_quiet();
            }
        }
        self.now = end;
    }

    /// Writes the next `length` bytes of our stream, which begin with the `start`-th.
    pub(super) fn write(&mut self, start: u32, length: usize) {
        assert_eq!(self.connection.write(&mut stream(start, length), self.now), Ok(length));
    }

    /// Reads all there is, and it is the peer's stream from its `start`-th byte on.
    pub(super) fn reads(&mut self, start: u32, length: usize) {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.connection.read(usize::MAX, self.now) {
            bytes.extend_from_slice(&chunk);
        }
        assert_eq!(bytes, stream(start, length));
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.connection.poll_event()).collect()
    }

    pub(super) fn is_in(&self, state: State) {
        assert_eq!(self.connection.state(), state);
    }
}

pub(super) fn parse(text: &str) -> Segment {
    let mut words = text.split(' ');
    let mut header = Header { source_port: 80, destination_port: 1_000, ..Header::default() };
    for letter in words.next().unwrap().chars().filter(|&letter| letter != '.') {
        let (_, flag) = LETTERS.iter().find(|&&(l, _)| l == letter).expect("a flag");
        header.flags |= *flag;
    }
    let (start, length) = words.next().map(|w| w.split_once('+').unwrap_or((w, "0"))).unwrap();
    let start: i64 = start.parse().unwrap();
    header.sequence = PEER_INITIAL + start as u32;
    let (mut joined, mut ecn) = (1, Ecn::NotEct);
    while let Some(name) = words.next() {
        let value = words.next().unwrap();
        match name {
            "ack" => {
                header.flags |= Flags::ACK;
                header.acknowledgement = OUR_INITIAL + value.parse::<i64>().unwrap() as u32;
            }
            "win" => header.window = value.parse().unwrap(),
            "mss" => header.options.mss = Some(value.parse().unwrap()),
            "wscale" => header.options.window_scale = Some(value.parse().unwrap()),
            "sackok" => header.options.sack_permitted = value == "yes",
            "sack" => {
                for (slot, block) in header.options.sack.iter_mut().zip(value.split(',')) {
                    let (left, right) = block.split_once(':').unwrap();
                    let edge = |n: &str| OUR_INITIAL + n.parse::<i64>().unwrap() as u32;
                    *slot = Some((edge(left), edge(right)));
                }
            }
            "fo" => header.options.fast_open = Some(cookie(value)),
            "uto" => {
                let timeout = Duration::from_secs(value.parse().unwrap());
                header.options.user_timeout = Some(UserTimeout::new(timeout));
            }
            "ecn" => ecn = Ecn::of(value.parse().unwrap()),
            "joined" => joined = value.parse().unwrap(),
            "ts" => {
                let (value, echo) = value.split_once(':').unwrap();
                let (value, echo) = (value.parse().unwrap(), echo.parse().unwrap());
                header.options.timestamps = Some(Timestamps { value, echo });
            }
            _ => panic!("{name} is no field"),
        }
    }
    let first = start as u32 + u32::from(header.flags.contains(Flags::SYN));
    let payload = Chain::from(stream(first, length.parse().unwrap()));
    Segment { header, payload, joined, segment_size: None, ecn }
}

/// A Fast Open cookie in the language.
pub(super) fn cookie(text: &str) -> FastOpen {
    FastOpen::new(if text == "?" { &[] } else { text.as_bytes() }).unwrap()
}

/// The segment in the language, with the optional fields that `like` names.
fn render(segment: &Segment, like: &str) -> String {
    let Header { sequence, acknowledgement, flags, window, options, .. } = segment.header;
    let mut text: String = LETTERS.iter().filter(|(_, f)| flags.contains(*f)).map(|(l, _)| l).collect();
    if text.is_empty() {
        text.push('.');
    }
    // A bare reset answers a number of the peer's choice, which may lie before our first.
    text += &format!(" {}", (sequence - OUR_INITIAL) as i32);
    if !segment.payload.is_empty() {
        text += &format!("+{}", segment.payload.len());
    }
    if flags.contains(Flags::ACK) {
        text += &format!(" ack {}", (acknowledgement - PEER_INITIAL) as i32);
    }
    for name in like.split(' ') {
        match name {
            "win" => text += &format!(" win {window}"),
            "mss" => text += &format!(" mss {}", options.mss.unwrap_or(0)),
            "wscale" => text += &format!(" wscale {}", options.window_scale.unwrap_or(99)),
            "sackok" => text += if options.sack_permitted { " sackok yes" } else { " sackok no" },
            "sack" => {
                let edge = |n: SequenceNumber| (n - PEER_INITIAL) as i32;
                let blocks = options.sack.iter().flatten();
                let blocks: Vec<_> = blocks.map(|&(l, r)| format!("{}:{}", edge(l), edge(r))).collect();
                text +=
                    &format!(" sack {}", if blocks.is_empty() { "none".into() } else { blocks.join(",") });
            }
            "fo" => {
                let told = options.fast_open.map(|cookie| match cookie.cookie() {
                    [] => "?".into(),
                    bytes => String::from_utf8_lossy(bytes).into_owned(),
                });
                text += &format!(" fo {}", told.unwrap_or_else(|| "none".into()));
            }
            "uto" => {
                let told = options.user_timeout.map(|timeout| timeout.duration().as_secs());
                text += &format!(" uto {}", told.map_or_else(|| "none".into(), |told| format!("{told}")));
            }
            "ecn" => text += &format!(" ecn {}", segment.ecn.bits()),
            "size" => text += &format!(" size {}", segment.segment_size.unwrap_or(0)),
            "ts" => {
                let ts = options.timestamps.unwrap_or_default();
                text += &format!(" ts {}:{}", ts.value, ts.echo);
            }
            _ => {}
        }
    }
    text
}
