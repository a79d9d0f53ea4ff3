//! The connection: its two halves, its state, and what its owner asks of it (RFC 9293 §3.9.1, §3.10.1 to
//! §3.10.6). What segments and deadlines do to it stands in the modules below.

mod account;
mod arrival;
mod departure;
mod expiry;
mod fast_open;
mod handshake;
mod marking;
mod options;
mod transition;
mod user_timeout;

use crate::ecn::Marking;
use crate::event::Events;
use crate::figures::Figures;
use crate::limit::AnswerLimit;
use crate::receive::ReceiveHalf;
use crate::reset::Reset;
use crate::send::SendHalf;
use crate::state::{Handshake, Phase};
use crate::timers::Timers;
use crate::timestamps::TimestampClock;
use crate::{CloseReason, Config, Event, Path, Segment, State, Verdict, Why};
use alloc::boxed::Box;
use alloc::sync::Arc;
use fast_open::Opening;
use packet::Bytes;
use time::{Duration, Instant, SequenceNumber};
use user_timeout::Told;
use wire::Ecn;
use wire::tcp::{Flags, HEADER_LENGTH, Header};

pub(crate) use account::SendFigures;
pub use fast_open::{FastOpenOutcome, FastOpenStatus};

/// One TCP connection.
///
/// After each call that takes `now`, or after a batch of them, drain [`poll_transmit`](Self::poll_transmit) and
/// [`poll_event`](Self::poll_event), and ask [`poll_timeout`](Self::poll_timeout) anew: several segments that
/// arrive in one turn are answered by one acknowledgement.
///
/// ```
/// use packet::Bytes;
/// use std::sync::Arc;
/// use tcp::{Config, Connection, Event, Path, Verdict};
/// use time::{Instant, SequenceNumber};
///
/// let config = Arc::new(Config::linux());
/// let now = Instant::from_secs(1);
/// let path = Path { segment_bytes_max: 1_480, offload_bytes_max: 0 };
/// let mut client = Connection::connect(config.clone(), 40_000, 80, SequenceNumber(7), 0, now);
/// client.write(&mut Bytes::from_static(b"hello"), now)?;
///
/// let syn = client.poll_transmit(path, now).unwrap();
/// let mut server = Connection::accept(config, &syn.header, SequenceNumber(9), 0, now);
/// let syn_ack = server.poll_transmit(path, now).unwrap();
/// assert_eq!(client.handle_segment(syn_ack, now), Verdict::Accepted);
/// while let Some(segment) = client.poll_transmit(path, now) {
///     assert_eq!(server.handle_segment(segment, now), Verdict::Accepted);
/// }
/// assert_eq!(server.poll_event(), Some(Event::Established));
/// assert_eq!(server.read(100, now).unwrap(), b"hello"[..]);
/// # Ok::<(), tcp::NotOpen>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    local_port: u16,
    remote_port: u16,
    phase: Phase,
    send: SendHalf,
    receive: ReceiveHalf,
    timestamps: TimestampClock,
    /// Where marks of the network can be answered.
    marking: Option<Box<Marking>>,
    timers: Timers,
    events: Events,
    reset: Option<Box<Reset>>,
    answers: AnswerLimit,
    figures: Figures,
    /// When the peer was last heard, for keep-alive.
    heard_at: Instant,
    /// Keep-alive probes without an answer.
    keep_alive_probes: u8,
    /// A keep-alive probe has to leave.
    keep_alive_due: bool,
    /// The network said that the peer cannot be reached; it may yet be wrong (RFC 1122 §4.2.3.9).
    unreachable: bool,
    /// What was told of user timeouts.
    told: Told,
    /// How Fast Open went, and what is known of it while the handshake lasts.
    fast_open: FastOpenStatus,
    opening: Option<Box<Opening>>,
}

/// How long TIME-WAIT lasts at least before our side opens its ports again: as long as a peer's first repetition takes.
const REOPENED_AFTER: Duration = Duration::from_secs(1);

/// The side that the call needs is closed.
///
/// ```
/// # use std::sync::Arc;
/// # use tcp::{Config, Connection, Path};
/// # use time::{Instant, SequenceNumber};
/// # let (config, now) = (Arc::new(Config::linux()), Instant::from_secs(1));
/// # let path = Path { segment_bytes_max: 1_480, offload_bytes_max: 0 };
/// # let mut client = Connection::connect(config.clone(), 40_000, 80, SequenceNumber(7), 0, now);
/// use packet::Bytes;
/// use tcp::NotOpen;
///
/// client.shutdown(now);
/// assert_eq!(client.write(&mut Bytes::from_static(b"more"), now), Err(NotOpen));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOpen;

impl core::fmt::Display for NotOpen {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the sending side is closed")
    }
}

impl core::error::Error for NotOpen {}

impl Connection {
    /// Opens actively: a SYN is due (RFC 9293 §3.10.1). The initial sequence number and the offset of the
    /// timestamp clock are the stack's to choose, so that nobody can guess them (RFC 6528, RFC 7323 §7.1).
    pub fn connect(
        config: Arc<Config>,
        local_port: u16,
        remote_port: u16,
        initial: SequenceNumber,
        timestamp_offset: u32,
        now: Instant,
    ) -> Self {
        let handshake = Handshake { due: true, shutdown: false, active: true, held: false };
        let phase = Phase::SynSent(handshake);
        Self::new(config, (local_port, remote_port), phase, initial, timestamp_offset, now)
    }

    /// Answers `syn`: SYN-RECEIVED, and a SYN-ACK is due (RFC 9293 §3.10.7.2). Payload of the SYN is left for
    /// the peer to send again, but for what [`accept_early`](Self::accept_early) takes.
    pub fn accept(
        config: Arc<Config>,
        syn: &Header,
        initial: SequenceNumber,
        timestamp_offset: u32,
        now: Instant,
    ) -> Self {
        let handshake = Handshake { due: true, shutdown: false, active: false, held: false };
        let phase = Phase::SynReceived(handshake);
        let ports = (syn.destination_port, syn.source_port);
        let mut connection = Self::new(config, ports, phase, initial, timestamp_offset, now);
        connection.agree(syn, Ecn::NotEct, now);
        connection
    }

    /// The SYN-ACK has left by `path` before this value was made, whose parts were kept in it (RFC 4987 §3.6): none is
    /// due, and nothing is timed by it. It leaves again as any other where the handshake is not over by then, and the
    /// attempt ends.
    pub fn handle_answered_before(&mut self, path: Path, now: Instant) {
        self.use_path_mss(path.segment_bytes_max.saturating_sub(HEADER_LENGTH as u16));
        if let Some(handshake) = self.phase.handshake() {
            handshake.due = false;
        }
        self.send.handle_syn_sent_before();
        self.start_retransmission(now);
        self.owe_timeout();
    }

    fn new(
        config: Arc<Config>,
        (local_port, remote_port): (u16, u16),
        phase: Phase,
        initial: SequenceNumber,
        timestamp_offset: u32,
        now: Instant,
    ) -> Self {
        Self {
            send: SendHalf::new(&config, initial),
            receive: ReceiveHalf::new(&config),
            timestamps: TimestampClock::new(config.timestamps, timestamp_offset),
            config,
            local_port,
            remote_port,
            phase,
            marking: None,
            timers: Timers::new(),
            events: Events::default(),
            reset: None,
            answers: AnswerLimit::default(),
            figures: Figures::default(),
            heard_at: now,
            keep_alive_probes: 0,
            keep_alive_due: false,
            unreachable: false,
            told: Told::default(),
            fast_open: FastOpenStatus::Unused,
            opening: None,
        }
    }

    /// A segment whose checksum holds and whose ports are this connection's (RFC 9293 §3.10.7).
    pub fn handle_segment(&mut self, segment: Segment, now: Instant) -> Verdict {
        self.arrive(segment, now)
    }

    /// A deadline of [`poll_timeout`](Self::poll_timeout) has come; too early, and nothing happens.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.expire(now);
    }

    /// The network reported that the peer cannot be reached, by an ICMP error whose quoted segment
    /// [`is_outstanding`](Self::is_outstanding). `hard` errors end a connection that is not synchronised yet;
    /// all others are only remembered (RFC 1122 §4.2.3.9, RFC 5927 §5.2).
    pub fn handle_unreachable(&mut self, hard: bool, now: Instant) {
        self.unreachable = true;
        if hard && self.phase.handshake().is_some() {
            self.finish(CloseReason::Unreachable, now);
        }
    }

    /// The path carries less than what is in flight: it is sent again in smaller segments, as the next
    /// [`Path`] tells, and no congestion is concluded from it (RFC 1191 §6.4, RFC 8201 §5.4).
    ///
    /// `segment_bytes_max` is what one packet has room for now. Where segments are smaller anyway, and only a probe was
    /// larger, nothing is sent again.
    pub fn handle_path_shrunk(&mut self, segment_bytes_max: u16, now: Instant) {
        let mss = segment_bytes_max.saturating_sub(HEADER_LENGTH as u16);
        if self.phase.is_synchronised() {
            self.send.handle_path_shrunk(mss, now);
        }
    }

    /// Whether the peer has acknowledged a segment of more than `segment_bytes`, since the path last shrank.
    pub fn has_delivered(&self, segment_bytes: u16) -> bool {
        self.send.has_delivered(segment_bytes.saturating_sub(HEADER_LENGTH as u16))
    }

    /// SND.UNA: the first number that is not acknowledged.
    pub fn first_outstanding(&self) -> SequenceNumber {
        self.send.una()
    }

    /// Timeouts in a row since the peer last acknowledged anything.
    pub fn timeouts(&self) -> u8 {
        self.send.retries()
    }

    /// Whether `sequence`, quoted by an ICMP error, is that of a segment in flight (RFC 5927 §4.1).
    pub fn is_outstanding(&self, sequence: SequenceNumber) -> bool {
        self.send.una().at_or_before(sequence) && sequence.before(self.send.max())
    }

    /// The next segment to send; drained until `None`.
    pub fn poll_transmit(&mut self, path: Path, now: Instant) -> Option<Segment> {
        let segment = self.depart(path, now);
        match &segment {
            Some(segment) => self.figures.handle_departure(segment.payload.len(), segment.segment_size),
            None => self.note_limit(now),
        }
        segment
    }

    /// Whether [`poll_acknowledgement`](Self::poll_acknowledgement) has one.
    pub fn acknowledges_apart(&self) -> bool {
        let due = self.receive.acks().is_apart() && self.send.queued() == 0;
        due && self.phase.is_synchronised() && self.reset.is_none()
    }

    /// An acknowledgement that leaves before the next segment of the same turn is looked at, for owners who take in several
    /// and send then: there is one where segments were lost a short while ago (RFC 5681 §4.2), and nothing of ours
    /// is unacknowledged. Where nothing is lost, one for the turn does.
    ///
    /// [`acknowledges_apart`](Self::acknowledges_apart) says whether there is one.
    pub fn poll_acknowledgement(&mut self, now: Instant) -> Option<Segment> {
        let segment = self.depart_apart(now)?;
        self.figures.handle_departure(0, None);
        Some(segment)
    }

    /// The next event; drained until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Why)> {
        let of_state = match self.phase {
            Phase::TimeWait { until } | Phase::FinWait2 { until } if until != Instant::MAX => {
                Some((until, Why::TimeWait))
            }
            _ => None,
        };
        [of_state, self.timers.next()].into_iter().flatten().min_by_key(|&(at, _)| at)
    }

    /// Appends to the send buffer as much of `data` as there is room for; what did not fit stays in `data`, and
    /// [`Event::Writable`] tells when to come back (RFC 9293 §3.10.2).
    ///
    /// # Errors
    ///
    /// Where the sending side is closed or the connection over.
    pub fn write(&mut self, data: &mut Bytes, _now: Instant) -> Result<usize, NotOpen> {
        if !self.may_write() {
            return Err(NotOpen);
        }
        Ok(self.send.write(data, &self.config))
    }

    /// Room in the send buffer, in bytes; 0 where the sending side is closed.
    pub fn writable(&self) -> usize {
        if self.may_write() { self.send.room(&self.config) } else { 0 }
    }

    /// A writer waits for room in the send buffer, though no write was refused: [`Event::Writable`] tells of it.
    pub fn wait_for_room(&mut self) {
        self.send.wait_for_room();
    }

    /// Whether the sending side is open, whatever room there is.
    pub fn may_write(&self) -> bool {
        match self.phase {
            Phase::SynSent(handshake) | Phase::SynReceived(handshake) => !handshake.shutdown,
            Phase::Established | Phase::CloseWait => true,
            Phase::FinWait1
            | Phase::FinWait2 { .. }
            | Phase::Closing
            | Phase::LastAck
            | Phase::TimeWait { .. }
            | Phase::Closed(_) => false,
        }
    }

    /// Bytes that wait to be sent or acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.send.queued()
    }

    /// Bytes that it holds in all: to send, to be acknowledged, to be read, or out of order.
    pub fn buffered(&self) -> usize {
        self.send.queued() + self.receive.held()
    }

    /// Bytes that can be read now.
    pub fn readable(&self) -> usize {
        self.receive.readable()
    }

    /// Takes the next chunk of received bytes, at most `bytes_max` of it; the window opens accordingly (RFC
    /// 9293 §3.10.3).
    pub fn read(&mut self, bytes_max: usize, now: Instant) -> Option<Bytes> {
        let bytes = self.receive.read(bytes_max)?;
        self.receive.tune(bytes.len(), self.config.receive_buffer_bytes, now);
        self.tell_window();
        Some(bytes)
    }

    /// Copies the next bytes, as many as have arrived in order and fit, and leaves them to be read (MSG_PEEK).
    pub fn peek(&self, into: &mut [u8]) -> usize {
        self.receive.peek(into)
    }

    /// Whether the peer's FIN has arrived and every byte before it has been read.
    pub fn is_at_end(&self) -> bool {
        self.receive.is_finished() && self.receive.readable() == 0
    }

    /// Bounds what is advertised to the peer beyond the bytes that wait to be read: what the reader can take now.
    /// The window never shrinks below what was advertised already: the handshake offers up to 65,535 bytes.
    pub fn set_receive_limit(&mut self, bytes: usize, _now: Instant) {
        self.receive.set_limit(bytes);
        self.tell_window();
    }

    /// Whether the stack is short of memory. As long as it is, no buffer grows, and no more than a few segments are
    /// offered to the peer beyond what waits; what was offered before still stands.
    pub fn set_pressed(&mut self, pressed: bool) {
        if self.receive.set_pressed(pressed) && !pressed {
            self.tell_window();
        }
    }

    /// Lets go of what came out of order; the peer sends it again (RFC 2018 §8). Returns how many bytes.
    pub fn prune(&mut self) -> usize {
        self.receive.prune()
    }

    /// There is no memory for what `segment` carries. Its header is left: an acknowledgement or a reset counts, and the peer
    /// is answered as one that probes a window that is closed (RFC 9293 §3.8.6.1).
    pub fn refuse_payload(&mut self, segment: &mut Segment) {
        segment.payload = packet::Chain::new();
        segment.header.flags.0 &= !Flags::FIN.0;
        (segment.joined, segment.segment_size) = (1, None);
        if self.phase.is_synchronised() {
            self.receive.acks_mut().set_now();
        }
    }

    fn tell_window(&mut self) {
        if self.phase.is_synchronised() && self.receive.is_update_due(self.send.mss()) {
            self.receive.acks_mut().set_now();
        }
    }

    /// No more will be written: FIN follows the last byte (RFC 9293 §3.10.4).
    pub fn shutdown(&mut self, now: Instant) {
        match &mut self.phase {
            // RFC 9293 §3.10.4: FIN waits for the handshake. DEVIATES RFC 9293 §3.10.4 (CLOSE in SYN-SENT deletes what
            // was to be sent): what was written before is still delivered.
            Phase::SynSent(handshake) | Phase::SynReceived(handshake) => handshake.shutdown = true,
            Phase::Established => {
                self.send.close();
                self.enter(Phase::FinWait1, now);
            }
            Phase::CloseWait => {
                self.send.close();
                self.enter(Phase::LastAck, now);
            }
            Phase::FinWait1
            | Phase::FinWait2 { .. }
            | Phase::Closing
            | Phase::LastAck
            | Phase::TimeWait { .. }
            | Phase::Closed(_) => {}
        }
    }

    /// Nobody will read any more: what is unread and what still comes is answered by a reset
    /// (RFC 9293 §3.6.1, §3.10.4, RFC 2525 §2.17).
    pub fn close_receive(&mut self, now: Instant) {
        // RFC 9293 §3.10.4: CLOSE in SYN-SENT deletes the connection, here where nothing was written.
        let is_unused = matches!(&self.phase, Phase::SynSent(handshake) if handshake.shutdown);
        if self.receive.close() || (is_unused && self.send.queued() == 0) {
            self.abort(now);
        } else if let Phase::FinWait2 { until } = &mut self.phase {
            *until = now + self.config.fin_wait_2;
        }
    }

    /// Ends it at once; a RST is due where the state has a peer (RFC 9293 §3.10.5).
    pub fn abort(&mut self, now: Instant) {
        match self.phase {
            Phase::SynReceived(_)
            | Phase::Established
            | Phase::FinWait1
            | Phase::FinWait2 { .. }
            | Phase::CloseWait => {
                self.reset_peer();
                self.finish(CloseReason::Aborted, now);
            }
            Phase::SynSent(_) | Phase::Closing | Phase::LastAck | Phase::TimeWait { .. } => {
                // The state is entered when the owner closes, which may be long before FIN leaves: until then
                // the peer waits for more, as in CLOSE-WAIT.
                if self.phase.state() == State::LastAck && self.send.is_fin_unsent() {
                    self.reset_peer();
                }
                self.finish(CloseReason::Aborted, now);
            }
            Phase::Closed(_) => {}
        }
    }

    /// Memory that its queues own beside the value itself, in chunks' places.
    #[cfg(test)]
    pub(crate) fn buffers_held(&self) -> usize {
        self.send.capacity() + self.receive.capacity()
    }

    /// Whether what only a handshake with Fast Open needs is still held.
    #[cfg(test)]
    pub(crate) fn is_opening_kept(&self) -> bool {
        self.opening.is_some()
    }

    /// The send half, for tests that check it from outside.
    #[cfg(test)]
    pub(crate) fn send_half(&self) -> &SendHalf {
        &self.send
    }

    /// The state's name.
    pub fn state(&self) -> State {
        self.phase.state()
    }

    /// Whether nothing more will come of it: it can be dropped, once its last bytes are read.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Closed(_)) && self.reset.is_none()
    }

    /// In TIME-WAIT: whether `syn` may open a new connection between the same ports (RFC 6191 §2, RFC 9293
    /// §3.10.7.4, fourth). If so, the first sequence number that is safe for our side of it; the stack then
    /// drops this value.
    pub fn may_reuse(&self, syn: &Header) -> Option<SequenceNumber> {
        if !matches!(self.phase, Phase::TimeWait { .. })
            || !syn.flags.contains(Flags::SYN)
            || syn.flags.intersects(Flags::RST | Flags::ACK)
        {
            return None;
        }
        let later = syn.sequence.after(self.receive.next());
        let allowed = match syn.options.timestamps.and_then(|peer| self.timestamps.is_later(peer.value)) {
            Some(true) => true,
            // The peer's clock stood still: its numbers must have moved (RFC 6191 §2).
            Some(false) => {
                later && syn.options.timestamps.is_some_and(|peer| self.timestamps.is_same(peer.value))
            }
            None => later,
        };
        allowed.then(|| self.first_unused())
    }

    /// In TIME-WAIT: whether our side may open a new connection between the same ports, one that offers timestamps. What
    /// is left of this one has older ones, by which both sides know it (RFC 7323 §5.3), once our clock has moved on and a
    /// peer that missed our last acknowledgement has had time to say so. If so, the first sequence number that is safe.
    ///
    /// DEVIATES RFC 9293 §3.4.2 (TIME-WAIT lasts two segment lifetimes): as Linux, else a client would run out of ports
    /// after a few hundred connections a second to one server.
    pub fn may_reopen(&self, now: Instant) -> Option<SequenceNumber> {
        let Phase::TimeWait { until } = self.phase else { return None };
        let waited = self.config.time_wait.saturating_sub(until.since(now));
        (self.timestamps.is_enabled() && waited >= REOPENED_AFTER).then(|| self.first_unused())
    }

    /// RFC 9293 §3.4.2: new numbers begin beyond all that were used.
    fn first_unused(&self) -> SequenceNumber {
        self.send.max() + 1 + self.send.window_max()
    }
}
