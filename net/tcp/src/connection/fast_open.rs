//! Fast Open (RFC 7413): data with the SYN, and an answer to it before the handshake is over. Which cookie to send, and
//! whether one holds, is the stack's to know.
//!
//! ```text
//!  client                                server
//!    | SYN, request for a cookie           |    the first time
//!    |------------------------------------>|
//!    |               SYN-ACK, cookie       |
//!    |<------------------------------------|
//!    | SYN, cookie, data                   |    every other time
//!    |------------------------------------>|  the cookie holds: data goes to the reader
//!    |               SYN-ACK of the data   |
//!    |<------------------------------------|
//!    |               data                  |  at once, up to the initial window
//!    |<------------------------------------|
//! ```

use super::Connection;
use crate::event::Event;
use crate::send::Acknowledgement;
use crate::state::Phase;
use crate::{Path, Segment, Why};
use alloc::boxed::Box;
use packet::Chain;
use time::Instant;
use wire::Ecn;
use wire::tcp::{FastOpen, Header};

/// How Fast Open went for a connection.
///
/// ```
/// # use std::sync::Arc;
/// # use tcp::{Config, Connection, Path};
/// # use time::{Instant, SequenceNumber};
/// # let (config, now) = (Arc::new(Config::linux()), Instant::from_secs(1));
/// # let path = Path { segment_bytes_max: 1_480, offload_bytes_max: 0 };
/// # let mut client = Connection::connect(config.clone(), 40_000, 80, SequenceNumber(7), 0, now);
/// use tcp::FastOpenStatus;
///
/// // A connection that was opened without.
/// assert_eq!(client.info(now).fast_open, FastOpenStatus::Unused);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FastOpenStatus {
    /// It was not used, or nothing is known yet.
    #[default]
    Unused,
    /// A cookie was asked for: there was none to send data with.
    Requested,
    /// The data in the SYN was taken.
    Taken,
    /// The data in the SYN was not acknowledged, though the SYN was.
    NotTaken,
    /// The SYN had to be repeated, without data and option.
    Repeated,
}

/// What the stack learns from a client's handshake, for its cache of cookies (RFC 7413 §4.1.3).
///
/// ```
/// # use std::sync::Arc;
/// # use tcp::{Config, Connection, Path};
/// # use time::{Instant, SequenceNumber};
/// # let (config, now) = (Arc::new(Config::linux()), Instant::from_secs(1));
/// # let path = Path { segment_bytes_max: 1_480, offload_bytes_max: 0 };
/// # let mut client = Connection::connect(config.clone(), 40_000, 80, SequenceNumber(7), 0, now);
/// // A handshake without Fast Open teaches nothing.
/// assert_eq!(client.take_fast_open_outcome(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastOpenOutcome {
    /// The cookie that the server gave.
    pub cookie: Option<FastOpen>,
    /// The MSS that it announced.
    pub mss: Option<u16>,
    /// Data left with the SYN.
    pub sent_data: bool,
    /// What became of it.
    pub status: FastOpenStatus,
    /// When that was known.
    pub at: Instant,
}

/// What a connection knows of Fast Open while its handshake lasts.
#[derive(Debug)]
pub(super) struct Opening {
    /// What our next SYN or SYN-ACK says.
    option: Option<FastOpen>,
    /// The MSS that the server announced with the cookie.
    mss: Option<u16>,
    /// Bytes that left with our SYN.
    sent: u32,
    /// Bytes of the peer's SYN that were taken; none where it may not send any.
    pub(super) taken: Option<u32>,
    /// The window and number of the peer's SYN.
    peer: Header,
    /// What the SYN-ACK said.
    given: Option<FastOpen>,
    mss_given: Option<u16>,
    /// When the state changed last.
    pub(super) changed_at: Instant,
}

impl Opening {
    fn new(option: Option<FastOpen>) -> Self {
        let peer = Header::default();
        let changed_at = Instant::ZERO;
        Self { option, mss: None, sent: 0, taken: None, peer, given: None, mss_given: None, changed_at }
    }
}

impl Connection {
    /// The SYN is to carry a cookie and what was written before it leaves, or a request for a cookie and no data (RFC 7413
    /// §4.2.1). `mss` is what the server announced when it gave the cookie.
    pub fn set_fast_open(&mut self, cookie: FastOpen, mss: Option<u16>) {
        if matches!(self.phase, Phase::SynSent(_)) {
            self.opening = Some(Box::new(Opening { mss, ..Opening::new(Some(cookie)) }));
        }
    }

    /// The SYN-ACK is to carry a cookie (RFC 7413 §4.1.2).
    pub fn give_cookie(&mut self, cookie: FastOpen) {
        if matches!(self.phase, Phase::SynReceived(_)) {
            self.opening.get_or_insert_with(|| Box::new(Opening::new(None))).option = Some(cookie);
        }
    }

    /// `syn` had a cookie that holds: its payload is data, and what is written may leave before the handshake is over
    /// (RFC 7413 §4.2.2). A FIN in it is left for the peer to send again.
    pub fn accept_early(&mut self, syn: &Header, mut payload: Chain) {
        if !matches!(self.phase, Phase::SynReceived(_)) {
            return;
        }
        let next = self.receive.next();
        let room = self.receive.window().size(next) as usize;
        payload = payload.split_to(room);
        let length = payload.len() as u32;
        let header = Header { sequence: next, ..Header::default() };
        let taken =
            self.receive.take(Segment { header, payload, joined: 1, segment_size: None, ecn: Ecn::NotEct });
        // The SYN-ACK tells it.
        let next = self.receive.next();
        self.receive.acks_mut().handle_sent(next, false);
        if taken.readable {
            self.fast_open = FastOpenStatus::Taken;
            self.events.push(Event::Readable);
        }
        let opening = self.opening.get_or_insert_with(|| Box::new(Opening::new(None)));
        opening.taken = Some(length);
        self.figures.bytes_received += u64::from(length);
        opening.peer = *syn;
    }

    /// How Fast Open went.
    pub fn fast_open(&self) -> FastOpenStatus {
        self.fast_open
    }

    /// What a client's handshake that used Fast Open has told, once it is over or has failed; told once.
    pub fn take_fast_open_outcome(&mut self) -> Option<FastOpenOutcome> {
        if self.phase.handshake().is_some() {
            return None;
        }
        let opening = self.opening.take()?;
        Some(FastOpenOutcome {
            cookie: opening.given,
            mss: opening.mss_given,
            sent_data: opening.sent > 0,
            status: self.fast_open,
            at: opening.changed_at,
        })
    }

    /// Whether data may leave before the handshake is over.
    pub(super) fn is_early(&self) -> bool {
        self.opening.as_ref().is_some_and(|opening| opening.taken.is_some())
    }

    /// The option and the payload of our SYN or SYN-ACK that leaves.
    pub(super) fn open_fast(&mut self, acknowledges: bool) -> (Option<FastOpen>, Chain) {
        let Some(opening) = &mut self.opening else { return (None, Chain::new()) };
        let mut payload = Chain::new();
        if !acknowledges && let Some(option) = opening.option {
            if option.is_request() {
                self.fast_open = FastOpenStatus::Requested;
            } else {
                payload = self.send.syn_payload(opening.mss);
                opening.sent = payload.len() as u32;
            }
        }
        (opening.option, payload)
    }

    /// The SYN or SYN-ACK of [`open_fast`](Self::open_fast) has left.
    pub(super) fn handle_opened_fast(&mut self, acknowledges: bool, now: Instant) {
        let Some(opening) = &self.opening else { return };
        if !acknowledges {
            self.send.handle_syn_data_sent(opening.sent);
        } else if opening.taken.is_some() && !self.send.is_early() {
            let first = Acknowledgement {
                number: self.send.initial() + 1,
                ..self.acknowledgement(&opening.peer, false, now)
            };
            self.send.start_early(first, &self.config, now);
        }
    }

    /// Our SYN or SYN-ACK got no answer in time.
    ///
    /// RFC 7413 §4.2.1: what lies on the path may drop a SYN with data, or with an option that it does not know, so the
    /// next one is plain. A SYN-ACK keeps its option: it says what the SYN asked for.
    pub(super) fn fall_back(&mut self) {
        let asks = matches!(self.phase, Phase::SynSent(_));
        if let Some(opening) = self.opening.as_mut().filter(|_| asks) {
            opening.option = None;
            self.fast_open = FastOpenStatus::Repeated;
        }
    }

    /// Both sides opened at once: our cookie is the SYN's, not the SYN-ACK's that follows.
    pub(super) fn withdraw_cookie(&mut self) {
        if let Some(opening) = &mut self.opening {
            opening.option = None;
        }
    }

    /// What leaves behind our SYN-ACK while it is not acknowledged. Nothing of it is sent again before it is.
    pub(super) fn depart_early(&mut self, path: Path, now: Instant) -> Option<Segment> {
        if !self.is_early() {
            return None;
        }
        if let Some(departing) = self.send.next_departure(path, &self.config, now) {
            return Some(self.data_segment(departing, now));
        }
        if let Some(at) = self.send.paced_until(now) {
            self.timers.set(Why::Pacing, at);
        }
        None
    }

    /// The client's SYN is acknowledged by `header`, and perhaps the data in it.
    pub(super) fn finish_opening(&mut self, header: &Header) {
        let Some(opening) = &mut self.opening else { return };
        // Only the side that asked is told anything.
        opening.given = header.options.fast_open.filter(|cookie| !cookie.is_request());
        opening.mss_given = header.options.mss;
        if opening.sent == 0 {
            return;
        }
        let queued = self.send.queued();
        let whole = self.send.handle_syn_data_acknowledged(header.acknowledgement);
        self.figures.bytes_acked += (queued - self.send.queued()) as u64;
        self.fast_open = match self.fast_open {
            _ if whole => FastOpenStatus::Taken,
            FastOpenStatus::Repeated => FastOpenStatus::Repeated,
            _ => FastOpenStatus::NotTaken,
        };
        if self.may_write() && self.send.unblock(&self.config) {
            self.events.push(Event::Writable);
        }
    }

    /// The server's SYN-ACK is acknowledged, and perhaps data that followed it.
    pub(super) fn establish_early(&mut self, first: Acknowledgement, now: Instant) {
        self.opening = None;
        self.timers.stop(Why::Retransmit);
        self.timers.stop(Why::UserTimeout);
        let queued = self.send.queued();
        self.send.handle_established_early(first, now);
        self.figures.bytes_acked += (queued - self.send.queued()) as u64;
        self.handle_progress(now);
        self.schedule_probes(now);
    }
}
