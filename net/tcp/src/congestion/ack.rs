//! What a law of congestion control is told of an acknowledgement.

use crate::delivery_rate::RateSample;
use time::{Duration, Instant, SequenceNumber};

/// One acknowledgement that moved SND.UNA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack {
    /// Bytes that it acknowledged for the first time.
    pub(crate) acked_bytes: u32,
    /// Bytes in flight before it.
    pub(crate) flight_before: u32,
    pub(crate) mss: u32,
    /// SND.UNA after it, and SND.NXT: they tell round trips apart.
    pub(crate) una: SequenceNumber,
    pub(crate) nxt: SequenceNumber,
    /// The round trip that it measured, if it measured one.
    pub(crate) rtt: Option<Duration>,
    /// SRTT (RFC 6298 §2).
    pub(crate) smoothed_rtt: Option<Duration>,
    /// The least round trip of the last minutes.
    pub(crate) min_rtt: Option<Duration>,
    /// What was acknowledged left while the writer, or the peer's window, held it back more than the congestion
    /// window did: that it arrived says nothing about a larger one (RFC 7661 §4.4).
    pub(crate) application_limited: bool,
    /// How fast the path delivers, for a law that [asks](super::Congestion::asks_for_rates).
    pub(crate) rate: Option<RateSample>,
    pub(crate) now: Instant,
}
