//! What a connection tells of itself: Linux's `struct tcp_info`, in bytes, durations and our own names.

use crate::{FastOpenStatus, State};
use time::Duration;

/// How a connection fares. The name in brackets is Linux's, without its `tcpi_`.
///
/// ```
/// # use std::sync::Arc;
/// # use tcp::{Config, Connection, Path};
/// # use time::{Instant, SequenceNumber};
/// # let (config, now) = (Arc::new(Config::linux()), Instant::from_secs(1));
/// # let path = Path { segment_bytes_max: 1_480, offload_bytes_max: 0 };
/// # let mut client = Connection::connect(config.clone(), 40_000, 80, SequenceNumber(7), 0, now);
/// use packet::Bytes;
/// use tcp::State;
///
/// client.write(&mut Bytes::from(vec![7; 4_000]), now)?;
/// assert_eq!(client.info(now).state, State::SynSent);
/// # let syn = client.poll_transmit(path, now).expect("a SYN is due");
/// # let mut server = Connection::accept(config, &syn.header, SequenceNumber(9), 0, now);
/// # let answer = server.poll_transmit(path, now).expect("an answer is due");
/// # let _ = client.handle_segment(answer, now);
/// # while client.poll_transmit(path, now).is_some() {}
/// // The handshake is over, and all has left.
/// let info = client.info(now);
/// assert_eq!((info.state, info.unsent_bytes, info.unacknowledged_bytes), (State::Established, 0, 4_000));
/// assert_eq!((info.mss_bytes, info.segments(info.unacknowledged_bytes)), (1_448, 3));
/// assert_eq!(info.delivered_segments(), 0);
/// # Ok::<(), tcp::NotOpen>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The state (`state`).
    pub state: State,
    /// What is being done about losses (`ca_state`).
    pub repair: Repair,
    /// Timeouts since there was progress (`retransmits`).
    pub timeouts: u8,
    /// Probes of a closed window, or of an idle peer, without an answer (`probes`).
    pub probes: u8,
    /// How often the timeout was doubled (`backoff`).
    pub backoff: u8,
    /// Timestamps were agreed on (`options`, TCPI_OPT_TIMESTAMPS).
    pub timestamps: bool,
    /// SACK was agreed on (`options`, TCPI_OPT_SACK).
    pub sack: bool,
    /// Window scaling was agreed on (`options`, TCPI_OPT_WSCALE).
    pub window_scaling: bool,
    /// ECN was agreed on (`options`, TCPI_OPT_ECN).
    pub ecn: bool,
    /// How Fast Open went (`options`, TCPI_OPT_SYN_DATA; `fastopen_client_fail`).
    pub fast_open: FastOpenStatus,
    /// The shift of the peer's windows (`snd_wscale`).
    pub window_scale_peer: u8,
    /// The shift of ours (`rcv_wscale`).
    pub window_scale: u8,
    /// The retransmission timeout, doubled as it is now (`rto`).
    pub rto: Duration,
    /// How long an acknowledgement may wait (`ato`).
    pub delayed_ack: Duration,
    /// The largest payload of a segment that leaves (`snd_mss`).
    pub mss_bytes: u32,
    /// The largest payload that the peer has sent in a segment (`rcv_mss`).
    pub mss_received_bytes: u32,
    /// The largest payload of a segment that we have announced to take (`advmss`).
    pub mss_announced_bytes: u32,
    /// Sent and not acknowledged (`unacked`, in segments).
    pub unacknowledged_bytes: u32,
    /// Of these, held by the peer beyond a gap (`sacked`, in segments).
    pub sacked_bytes: u32,
    /// Of these, deemed lost, whether they have left again or not (`lost`, in segments).
    pub lost_bytes: u32,
    /// Of these, left again and in flight (`retrans`, in segments).
    pub repeated_in_flight_bytes: u32,
    /// Written and not acknowledged, sent or not (SIOCOUTQ).
    pub queued_bytes: u32,
    /// Arrived and not read (SIOCINQ).
    pub readable_bytes: u32,
    /// Written and not sent yet (`notsent_bytes`).
    pub unsent_bytes: u32,
    /// Since data, or a SYN, last left (`last_data_sent`).
    pub data_sent_ago: Duration,
    /// Since data last arrived (`last_data_recv`).
    pub data_received_ago: Duration,
    /// Since anything acceptable last arrived (`last_ack_recv`).
    pub heard_ago: Duration,
    /// The largest IP packet that the path is known to carry; the stack knows it, a connection by itself does not
    /// (`pmtu`).
    pub path_mtu: u16,
    /// The smoothed round-trip time, once one was measured (`rtt`).
    pub rtt: Option<Duration>,
    /// Its variation (`rttvar`).
    pub rtt_variation: Duration,
    /// The least round trip of the last minutes (`min_rtt`).
    pub rtt_min: Option<Duration>,
    /// The congestion window (`snd_cwnd`, in segments).
    pub congestion_window_bytes: u32,
    /// The slow start threshold; none before the first loss (`snd_ssthresh`, in segments).
    pub threshold_bytes: Option<u32>,
    /// The peer's window (`snd_wnd`).
    pub window_peer_bytes: u32,
    /// Ours (`rcv_wnd`).
    pub window_bytes: u32,
    /// Bytes that may wait to be read (`rcv_ssthresh`).
    pub receive_buffer_bytes: u32,
    /// The round trip that the receiver estimates (`rcv_rtt`).
    pub receive_rtt: Option<Duration>,
    /// Bytes that the reader takes in a round trip (`rcv_space`).
    pub read_bytes_per_rtt: u32,
    /// Bytes a second at which data leaves; none where it is not paced (`pacing_rate`).
    pub pacing_rate: Option<u64>,
    /// Bytes a second that the path delivered last; none where the law of congestion control does not ask for it
    /// (`delivery_rate`).
    pub delivery_rate: Option<u64>,
    /// Whether the writer, not the path, decided that rate (`delivery_rate_app_limited`).
    pub delivery_rate_limited_by_writer: bool,
    /// Bytes of data that the peer has acknowledged (`bytes_acked`).
    pub bytes_acked: u64,
    /// Bytes of data that have arrived in order (`bytes_received`).
    pub bytes_received: u64,
    /// Bytes of data that have left, those that left again included (`bytes_sent`).
    pub bytes_sent: u64,
    /// Bytes of data that have left again (`bytes_retrans`).
    pub bytes_repeated: u64,
    /// Segments that have left (`segs_out`).
    pub segments_out: u32,
    /// Segments that have arrived (`segs_in`).
    pub segments_in: u32,
    /// Segments with data that have left (`data_segs_out`).
    pub data_segments_out: u32,
    /// Segments with data that have arrived (`data_segs_in`).
    pub data_segments_in: u32,
    /// Segments that have left again (`total_retrans`).
    pub segments_repeated: u32,
    /// Segments that came beyond a gap (`rcv_ooopack`).
    pub segments_out_of_order: u32,
    /// Segments of which the peer has told that they came twice (`dsack_dups`).
    pub segments_duplicated: u32,
    /// Segments that the peer has told to have arrived marked; with classic ECN, those that it acknowledged while it told of
    /// a mark (`delivered_ce`).
    pub segments_marked: u32,
    /// Segments that have arrived marked (`received_ce`).
    pub segments_marked_received: u32,
    /// Retransmission timeouts, those of the handshake included (`total_rto`).
    pub timeouts_total: u32,
    /// Of these, the first ones since there was progress (`total_rto_recoveries`).
    pub standstills: u32,
    /// How long it took from those until there was progress again (`total_rto_time`).
    pub standstill_time: Duration,
    /// Whether the path was ever seen to reorder (`reord_seen`, as a number).
    pub reordering_seen: bool,
    /// How long there was something to send or unacknowledged (`busy_time`).
    pub busy_time: Duration,
    /// Of that, how long the peer's window was all that held it back (`rwnd_limited`).
    pub window_limited_time: Duration,
    /// Of that, how long the send buffer was (`sndbuf_limited`).
    pub buffer_limited_time: Duration,
}

/// What is being done about losses (Linux: `enum tcp_ca_state`).
///
/// ```
/// # use std::sync::Arc;
/// # use tcp::{Config, Connection, Path};
/// # use time::{Instant, SequenceNumber};
/// # let (config, now) = (Arc::new(Config::linux()), Instant::from_secs(1));
/// # let path = Path { segment_bytes_max: 1_480, offload_bytes_max: 0 };
/// # let mut client = Connection::connect(config.clone(), 40_000, 80, SequenceNumber(7), 0, now);
/// use tcp::Repair;
///
/// assert_eq!(client.info(now).repair, Repair::Open);
/// # client.poll_transmit(path, now).expect("a SYN is due");
/// // The SYN is lost.
/// let (later, _why) = client.poll_timeout().expect("it waits for an answer");
/// client.handle_timeout(later);
/// assert_eq!(client.info(later).timeouts, 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repair {
    /// Nothing hints at a loss.
    Open,
    /// Something is missing, or late.
    Disorder,
    /// The network has marked what was in flight, and the window is being reduced (TCP_CA_CWR).
    Reduced,
    /// Lost segments are sent again (fast recovery).
    Recovery,
    /// After a timeout.
    Loss,
}

impl Info {
    /// Bytes of data in segments, the last of which may not be full.
    ///
    /// An example is at [`Info`].
    pub fn segments(&self, bytes: u32) -> u32 {
        bytes.div_ceil(self.mss_bytes.max(1))
    }

    /// Segments that the peer has told to have arrived, the SYN not counted (`delivered`). An example is at [`Info`].
    pub fn delivered_segments(&self) -> u32 {
        let first = self.data_segments_out.saturating_sub(self.segments_repeated);
        (first + self.segments(self.sacked_bytes)).saturating_sub(self.segments(self.unacknowledged_bytes))
    }
}
