//! Everything tunable about a connection, as data.

use crate::{CongestionAlgorithm, EcnFeedback, EcnOption, MtuProbing};
use time::Duration;
use wire::tcp::OptionOrder;

/// How long a connection may wait for anything, so that the wheel's owner can size it.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(32_767);

/// The largest buffer whose window can be told: 65,535 scaled by 14 (RFC 7323 §2.3).
const BUFFER_BYTES_MAX: u32 = 65_535 << 14;

/// Steps of the window that a buffer is no smaller than, where windows are scaled.
const STEPS_MIN: u32 = 16;

/// A TCP profile, shared by connections. [`Config::linux`] is the default; [`Config::check`] holds the ranges.
///
/// ```
/// use tcp::{Config, ConfigError, CongestionAlgorithm};
///
/// let config = Config { congestion: CongestionAlgorithm::Bbr, mss_max: 1_200, ..Config::linux() };
/// assert_eq!(config.check(), Ok(()));
/// let breach = Config { mss_max: 10, ..Config::linux() };
/// assert_eq!(breach.check(), Err(ConfigError { field: "mss_max" }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes that may wait to be sent or acknowledged; 4 MiB, 1 to 1 GiB.
    pub send_buffer_bytes: u32,
    /// How many of these at first, and more as the congestion window grows; no less than `send_buffer_bytes` is that
    /// from the first (SO_SNDBUF); 128 KiB, 1 to 1 GiB.
    pub send_start_bytes: u32,
    /// Bytes that may wait to be read, and so the largest window; 6 MiB, 256 to 1 GiB.
    pub receive_buffer_bytes: u32,
    /// How many of these at first, and more as the reader takes more in a round trip; no less than
    /// `receive_buffer_bytes` is that from the first (SO_RCVBUF); 64 KiB, 256 to 1 GiB.
    pub receive_start_bytes: u32,
    /// Whether, as FreeBSD does, these are rounded up to whole segments when the connection opens, and each segment that
    /// leaves tells all the room there is, rather than what has grown by a segment (RFC 9293 §3.8.6.2.2); off.
    pub receive_whole_segments: bool,
    /// Whether window scaling is offered (RFC 7323 §2); on.
    pub window_scaling: bool,
    /// The least shift that is offered, though the buffer would need less; 8, 0 to 14.
    pub window_scale_min: u8,
    /// Whether timestamps are offered (RFC 7323 §3); on.
    pub timestamps: bool,
    /// Whether a segment without one is dropped where they were agreed on (RFC 7323 §3.2, SHOULD), rather than taken
    /// without PAWS, as Linux does; on.
    pub timestamps_required: bool,
    /// Whether selective acknowledgements are permitted (RFC 2018 §2), and with them the loss detection of RFC 8985; on.
    pub sack: bool,
    /// The order of a SYN's options; Linux's.
    pub option_order: OptionOrder,
    /// What our SYNs ask the peer to tell of marks (RFC 3168 §6.1.1, RFC 9768 §3.1.1); nothing.
    pub ecn_request: EcnFeedback,
    /// The most that is agreed to where a peer's SYN asks for it; classic.
    pub ecn_accept: EcnFeedback,
    /// When accurate feedback is told by bytes, too (RFC 9768 §3.2.3); always.
    pub ecn_option: EcnOption,
    /// The largest MSS that is announced, and the largest payload of a segment that leaves, in bytes (TCP_MAXSEG);
    /// 65,495, 88 to 65,495.
    pub mss_max: u16,
    /// The least MSS that a peer's announcement is taken for, in bytes, so that it cannot ask for tiny segments;
    /// 88, 48 to 536.
    pub mss_min: u16,
    /// The law of congestion control to start with; CUBIC.
    pub congestion: CongestionAlgorithm,
    /// Whether the initial slow start ends where the round trip grows (RFC 9406), rather than by losses; on.
    pub hystart: bool,
    /// Whether what the window allows leaves spread over the round trip, where that is 1 ms or more; on. BBR is paced
    /// all the same. Linux leaves that to the queueing discipline `fq`.
    pub pacing: bool,
    /// The initial window in segments (RFC 6928 §2); 10, 1 to 100.
    pub initial_window_segments: u8,
    /// Whether the window falls back to the initial one after an idle time (RFC 5681 §4.1); on.
    pub slow_start_after_idle: bool,
    /// Whether packets may be fragmented on their way, and whether routers are believed (IP_MTU_DISCOVER); they may not, and
    /// are.
    pub path_discovery: PathDiscovery,
    /// When sizes larger than those that are known to pass are tried (RFC 4821); after a black hole was found. Linux has
    /// it off.
    pub mtu_probing: MtuProbing,
    /// The payload of segments from which the search begins (RFC 8899 §5.1.2, BASE_PLPMTU), in bytes; 1,024,
    /// `probe_floor_mss` to 65,495.
    pub probe_base_mss: u16,
    /// The least payload to which a black hole can make segments fall (RFC 8899 §5.1.2, MIN_PLPMTU), in bytes; 536, 48 to
    /// 65,495.
    ///
    /// DEVIATES RFC 8899 §5.1.2 (packets of 68 bytes with IPv4): every path in use carries this much, and a host that is
    /// silent for a minute has not become one that takes segments of 28 bytes. Linux goes down to 48.
    pub probe_floor_mss: u16,
    /// How long after a search the next one begins (RFC 8899 §5.1.1, PMTU_RAISE_TIMER); 600 s, 1 s to
    /// 7,200 s.
    pub probe_interval: Duration,
    /// Whether small segments wait while one is unacknowledged (RFC 9293 §3.7.4; TCP_NODELAY is its opposite); on.
    pub nagle: bool,
    /// Whether PSH is set not only at the end of what was written but also where several segments leave at once and a
    /// window takes no more (RFC 9293 §3.9.1.2); on.
    pub push_bursts: bool,
    /// Whether small segments wait for more to be written, for a retransmission timeout at most (TCP_CORK); off.
    pub cork: bool,
    /// Bytes that have not left yet beyond which no more is taken from a writer, who is called again when half of it
    /// is left (TCP_NOTSENT_LOWAT); no bound but the send buffer's, 1 to 2^32 - 1.
    pub unsent_bytes_max: u32,
    /// The differentiated services code point of what leaves (RFC 2474; IP_TOS and IPV6_TCLASS are four times that);
    /// 0, 0 to 63.
    pub dscp: u8,
    /// How long an acknowledgement may wait for company (RFC 9293 §3.8.6.3); 40 ms, 0 to 500 ms.
    pub delayed_ack: Duration,
    /// How long the peer may let an acknowledgement wait (RFC 8985 §7.2, TLP.max_ack_delay); 200 ms, 0 to 1 s.
    pub ack_delay_max: Duration,
    /// How many acknowledgements leave at once at the start, while the peer's window grows, and where it begins anew after
    /// a timeout; 16, 0 to 255.
    pub quick_acks: u8,
    /// The retransmission timeout before anything was measured (RFC 6298 §2.1); 1 s, 1 ms to `rto_max`.
    pub rto_initial: Duration,
    /// By how much the retransmission timeout is longer than the smoothed round trip, at least; 200 ms, 1 ms to `rto_max`.
    ///
    /// DEVIATES RFC 6298 §2.4 (1 s at least): as Linux.
    pub rto_min: Duration,
    /// The largest retransmission timeout and probe interval; 120 s, 60 s (RFC 6298 §2.5) to 32,767 s.
    pub rto_max: Duration,
    /// Retransmissions of a SYN (TCP_SYNCNT); 6, 1 to 127.
    ///
    /// DEVIATES RFC 9293 §3.8.3 (at least 3 minutes; these are 127 s): as Linux.
    pub syn_retries: u8,
    /// Retransmissions of a SYN-ACK; 5, 1 to 30.
    pub syn_ack_retries: u8,
    /// Retransmissions of a SYN-ACK before an acknowledgement without data completes the handshake
    /// (TCP_DEFER_ACCEPT): the owner is not told of a peer that says nothing; 0, 0 to 127.
    pub accept_defer_retries: u8,
    /// Retransmissions of anything else without progress, and probes of a closed window without an answer
    /// (RFC 9293 §3.8.3, R2), where there is no user timeout; 15, 3 to 30.
    ///
    /// DEVIATES RFC 9293 §3.8.3 (R1, an earlier number at which the network layer is advised): neighbours are
    /// probed by themselves when they grow stale.
    pub retries: u8,
    /// How long data may stay unacknowledged whatever the number of retransmissions (RFC 9293 §3.10.1, RFC 5482
    /// §3.1; TCP_USER_TIMEOUT); none, 1 ms to 32,767 s.
    pub user_timeout: Option<Duration>,
    /// Whether both sides tell each other of it (RFC 5482); off, as with everybody.
    pub user_timeout_exchange: UserTimeoutExchange,
    /// Probes of an idle peer (RFC 9293 §3.8.4: off unless asked for; SO_KEEPALIVE); none.
    pub keep_alive: Option<KeepAlive>,
    /// How long a connection that nobody holds waits for the peer's FIN (TCP_LINGER2); 60 s, up to 32,767 s.
    pub fin_wait_2: Duration,
    /// TIME-WAIT, twice the segment lifetime; 60 s, up to 32,767 s.
    ///
    /// DEVIATES RFC 9293 §3.4.2 (4 minutes): as Linux.
    pub time_wait: Duration,
}

/// Probes of an idle peer (RFC 9293 §3.8.4).
///
/// ```
/// use tcp::{Config, KeepAlive};
/// use time::Duration;
///
/// let often = KeepAlive { idle: Duration::from_secs(30), probes: 3, ..KeepAlive::default() };
/// assert_eq!(often.interval, Duration::from_secs(75));
/// assert_eq!(Config { keep_alive: Some(often), ..Config::linux() }.check(), Ok(()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence before the first probe (TCP_KEEPIDLE); 7,200 s, 1 s to 32,767 s.
    pub idle: Duration,
    /// Time between probes (TCP_KEEPINTVL); 75 s, 1 s to 32,767 s.
    pub interval: Duration,
    /// Probes without an answer before the connection is given up (TCP_KEEPCNT); 9, 1 to 127.
    pub probes: u8,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(7_200), interval: Duration::from_secs(75), probes: 9 }
    }
}

/// How the stack learns what the path carries (Linux: IP_MTU_DISCOVER): of a connection; for datagrams see
/// `udp_set_path_discovery` of the stack.
///
/// ```
/// use tcp::{Config, PathDiscovery};
/// let config = Config { path_discovery: PathDiscovery::Probe, ..Config::linux() };
/// assert_eq!(config.check(), Ok(()));
/// assert_eq!(Config::linux().path_discovery, PathDiscovery::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathDiscovery {
    /// Packets may not be fragmented, and routers that say how much they take are believed (RFC 1191 §3, RFC 8201 §4). Only
    /// where that is next to nothing may they fragment.
    #[default]
    Want,
    /// As [`Want`](Self::Want), however little they take.
    Do,
    /// Packets may be fragmented, and routers are not listened to.
    Dont,
    /// Packets may not be fragmented, and routers are not listened to: the program, or the search with segments of data,
    /// finds out.
    Probe,
}

/// Whether the user timeout is exchanged with the peer, which may adapt its own (RFC 5482 §3.1).
///
/// ```
/// use tcp::{Config, UserTimeoutExchange};
/// use time::Duration;
///
/// let user_timeout = Some(Duration::from_secs(30));
/// let user_timeout_exchange = UserTimeoutExchange::On;
/// assert_eq!(Config { user_timeout, user_timeout_exchange, ..Config::linux() }.check(), Ok(()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserTimeoutExchange {
    /// Nothing is told, and what the peer tells is not read.
    #[default]
    Off,
    /// What the program has set is told and stays. Where it has set none, the peer's counts, within bounds.
    On,
    /// As [`On`](Self::On), but what the program has set gives way to the peer's where that is longer.
    Changeable,
}

/// A field of [`Config`] that is outside its range.
///
/// ```
/// use tcp::ConfigError;
/// assert_eq!(ConfigError { field: "dscp" }.to_string(), "dscp is outside its range");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The field's name.
    pub field: &'static str,
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} is outside its range", self.field)
    }
}

impl core::error::Error for ConfigError {}

impl Default for Config {
    fn default() -> Self {
        Self::linux()
    }
}

impl Config {
    /// What Linux does, as far as it can be told from outside. An example is at [`Config`].
    pub const fn linux() -> Self {
        Self {
            send_buffer_bytes: 4 << 20,
            send_start_bytes: 128 << 10,
            receive_buffer_bytes: 6 << 20,
            receive_start_bytes: 64 << 10,
            receive_whole_segments: false,
            window_scaling: true,
            window_scale_min: 8,
            timestamps: true,
            timestamps_required: true,
            sack: true,
            option_order: OptionOrder::Linux,
            ecn_request: EcnFeedback::Off,
            ecn_accept: EcnFeedback::Classic,
            ecn_option: EcnOption::Always,
            mss_max: 65_495,
            mss_min: 88,
            congestion: CongestionAlgorithm::Cubic,
            hystart: true,
            pacing: true,
            initial_window_segments: 10,
            slow_start_after_idle: true,
            path_discovery: PathDiscovery::Want,
            mtu_probing: MtuProbing::BlackHole,
            probe_base_mss: 1_024,
            probe_floor_mss: 536,
            probe_interval: Duration::from_secs(600),
            nagle: true,
            push_bursts: true,
            cork: false,
            unsent_bytes_max: u32::MAX,
            dscp: 0,
            delayed_ack: Duration::from_millis(40),
            ack_delay_max: Duration::from_millis(200),
            quick_acks: 16,
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_millis(200),
            rto_max: Duration::from_secs(120),
            syn_retries: 6,
            syn_ack_retries: 5,
            accept_defer_retries: 0,
            retries: 15,
            user_timeout: None,
            user_timeout_exchange: UserTimeoutExchange::Off,
            keep_alive: None,
            fin_wait_2: Duration::from_secs(60),
            time_wait: Duration::from_secs(60),
        }
    }

    /// Whether every field is in its range. An example is at [`Config`].
    ///
    /// # Errors
    ///
    /// The first field that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let second = Duration::from_secs(1);
        let tick = Duration::from_millis(1);
        let long = second..=TIMEOUT_MAX;
        let keep_alive = self.keep_alive.unwrap_or_default();
        let fields = [
            ("send_buffer_bytes", (1..=BUFFER_BYTES_MAX).contains(&self.send_buffer_bytes)),
            ("send_start_bytes", (1..=BUFFER_BYTES_MAX).contains(&self.send_start_bytes)),
            ("receive_start_bytes", (256..=BUFFER_BYTES_MAX).contains(&self.receive_start_bytes)),
            ("receive_buffer_bytes", (256..=BUFFER_BYTES_MAX).contains(&self.receive_buffer_bytes)),
            ("window_scale_min", self.window_scale_min <= 14),
            ("mss_max", (88..=65_495).contains(&self.mss_max)),
            ("mss_min", (48..=536).contains(&self.mss_min)),
            ("probe_base_mss", (self.probe_floor_mss..=65_495).contains(&self.probe_base_mss)),
            ("probe_floor_mss", self.probe_floor_mss >= 48),
            ("probe_interval", long.contains(&self.probe_interval)),
            ("initial_window_segments", (1..=100).contains(&self.initial_window_segments)),
            ("unsent_bytes_max", self.unsent_bytes_max > 0),
            ("dscp", self.dscp < 64),
            ("delayed_ack", self.delayed_ack <= Duration::from_millis(500)),
            ("ack_delay_max", self.ack_delay_max <= second),
            ("rto_max", (Duration::from_secs(60)..=TIMEOUT_MAX).contains(&self.rto_max)),
            ("rto_min", (tick..=self.rto_max).contains(&self.rto_min)),
            ("rto_initial", (tick..=self.rto_max).contains(&self.rto_initial)),
            ("syn_retries", (1..=127).contains(&self.syn_retries)),
            ("syn_ack_retries", (1..=30).contains(&self.syn_ack_retries)),
            ("accept_defer_retries", self.accept_defer_retries <= 127),
            ("retries", (3..=30).contains(&self.retries)),
            ("user_timeout", self.user_timeout.is_none_or(|t| (tick..=TIMEOUT_MAX).contains(&t))),
            ("keep_alive.idle", long.contains(&keep_alive.idle)),
            ("keep_alive.interval", long.contains(&keep_alive.interval)),
            ("keep_alive.probes", (1..=127).contains(&keep_alive.probes)),
            ("fin_wait_2", self.fin_wait_2 <= TIMEOUT_MAX),
            ("time_wait", self.time_wait <= TIMEOUT_MAX),
        ];
        match fields.iter().find(|(_, holds)| !holds) {
            Some((field, _)) => Err(ConfigError { field }),
            None => Ok(()),
        }
    }

    /// Bytes that may wait to be read at first: no less than [`STEPS_MIN`] of the window's steps, of which a buffer smaller
    /// than one could never be told.
    pub(crate) fn receive_start(&self) -> u32 {
        let steps = if self.window_scaling { STEPS_MIN << self.window_scale() } else { 0 };
        self.receive_start_bytes.max(steps).min(self.receive_buffer_bytes)
    }

    /// The shift to offer (RFC 7323 §2.3): what the buffer needs, at least `window_scale_min`, but not so much
    /// that a step of the window is more than a sixteenth of a small buffer.
    pub(crate) fn window_scale(&self) -> u8 {
        let needed = (0..14).find(|shift| self.receive_buffer_bytes >> shift <= 65_535).unwrap_or(14);
        let fine = (self.receive_buffer_bytes / STEPS_MIN).max(1).ilog2() as u8;
        needed.max(self.window_scale_min.min(fine))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_is_in_range_and_each_breach_is_named() {
        assert_eq!(Config::linux().check(), Ok(()));
        let breach = Config { rto_min: Duration::from_secs(600), ..Config::linux() };
        assert_eq!(breach.check(), Err(ConfigError { field: "rto_min" }));
        let breach = Config { receive_buffer_bytes: 2 << 30, ..Config::linux() };
        assert_eq!(breach.check(), Err(ConfigError { field: "receive_buffer_bytes" }));
    }

    #[test]
    fn a_buffer_that_starts_small_is_more_than_a_step_of_its_window() {
        let start = |scale, bytes| {
            let config = Config { window_scale_min: scale, receive_start_bytes: bytes, ..Config::linux() };
            config.receive_start()
        };
        assert_eq!((start(8, 4_000), start(8, 64 << 10), start(14, 4_000)), (4_096, 64 << 10, 256 << 10));
        let all =
            Config { receive_buffer_bytes: BUFFER_BYTES_MAX, receive_start_bytes: 256, ..Config::linux() };
        assert!(all.receive_start() >> all.window_scale() > 0);
    }

    #[test]
    fn the_scale_fits_the_buffer() {
        let scale = |bytes| {
            Config { receive_buffer_bytes: bytes, window_scale_min: 0, ..Config::linux() }.window_scale()
        };
        assert_eq!((scale(65_535), scale(65_536), scale(4 << 20), scale(BUFFER_BYTES_MAX)), (0, 1, 7, 14));
        assert_eq!(Config::linux().window_scale(), 8);
        let small = Config { receive_buffer_bytes: 512, ..Config::linux() };
        assert_eq!(small.window_scale(), 5);
    }
}
