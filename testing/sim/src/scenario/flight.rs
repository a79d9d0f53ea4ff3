//! What the congestion window lets leave, by what a connection tells of itself behind each segment that it sends. More may be
//! in flight than a window that has just been reduced; but then nothing leaves.
//!
//! - RFC 5681 §3.1: what is in flight behind a segment is within the window
//! - RFC 3042 §2: or two segments beyond it, without SACK
//! - RFC 9937 §6: while it is reduced, no more than was in flight before, but for the rest of a segment; or than it is
//!   to be
//! - RFC 6582 §3.2: in a recovery without SACK one segment for each acknowledgement
//! - one segment more until the next acknowledgement: a tail loss probe (RFC 8985 §7.3), or the first that is lost (RFC 5681
//!   §3.2, RFC 6298 §5.4)

use crate::sighting::Seen;
use tcp::{Info, Repair};

/// Segments that limited transmit sends beyond the window (RFC 3042 §2).
const LIMITED_TRANSMIT_SEGMENTS: u32 = 2;
/// Duplicates that begin a recovery without SACK (RFC 5681 §3.2).
const DUPLICATES: u32 = 3;

/// What a sender had in flight.
#[derive(Debug, Default)]
pub(super) struct Flight {
    /// What it told when something last left.
    last: Option<Box<Info>>,
    /// Bytes that were not known to have arrived when the window was last reduced, or more.
    peak: u32,
    /// Acknowledgements of a recovery, and before it since something last left.
    answers: u32,
    /// A segment has left beyond what the window allows, and was not answered.
    has_gone_beyond: bool,
}

impl Flight {
    /// An acknowledgement has arrived.
    pub(super) const fn hear(&mut self) {
        self.answers += 1;
        self.has_gone_beyond = false;
    }

    /// Looks at a segment with data that has just left; `new` where no part of it had left before.
    ///
    /// # Panics
    ///
    /// Where the window did not allow it.
    pub(super) fn check(&mut self, seen: &Seen, new: bool) {
        let Some(info) = &seen.info else { return };
        let last = self.last.take().unwrap_or_else(|| info.clone());
        if last.timeouts != info.timeouts {
            self.has_gone_beyond = false;
        }
        if last.repair != info.repair {
            self.peak = last.unacknowledged_bytes - last.sacked_bytes;
        } else if !is_reducing(info) {
            self.answers = 0;
        }
        let (flying, most) = (in_flight(info), self.most(info));
        if flying > most {
            let single = seen.payload_bytes <= info.mss_bytes && !self.has_gone_beyond;
            // RFC 8985 §7.3: with SACK alone, and not while losses are repaired.
            let probes = info.sack && !matches!(info.repair, Repair::Recovery | Repair::Loss);
            assert!(
                single && (probes || !new),
                "{flying} bytes in flight, of {most}: {seen:?} after {last:?}, {self:?}"
            );
            self.has_gone_beyond = true;
        }
        self.last = Some(info.clone());
    }

    /// Bytes that may be in flight behind a segment.
    fn most(&self, info: &Info) -> u32 {
        let (window, mss) = (info.congestion_window_bytes, info.mss_bytes);
        // The FIN takes no place in the window.
        1 + match info.repair {
            // BBR's own window may fall below what it began the recovery with.
            Repair::Recovery if !info.sack => {
                window.max(info.threshold_bytes.unwrap_or(window)) + (DUPLICATES + self.answers) * mss
            }
            Repair::Recovery | Repair::Reduced => {
                (self.peak + mss).max(info.threshold_bytes.unwrap_or(window))
            }
            Repair::Open | Repair::Disorder if !info.sack => window + LIMITED_TRANSMIT_SEGMENTS * mss,
            _ => window,
        }
    }
}

/// Whether the window is being reduced by what arrives.
const fn is_reducing(info: &Info) -> bool {
    matches!(info.repair, Repair::Recovery | Repair::Reduced)
}

/// Bytes that have left and are neither acknowledged, nor held by the peer, nor lost. What left again counts once (RFC 5681
/// §2, FlightSize).
const fn in_flight(info: &Info) -> u32 {
    // While losses are repaired, what has left again is told as lost besides.
    let again = match info.repair {
        Repair::Recovery | Repair::Loss => info.repeated_in_flight_bytes,
        _ => 0,
    };
    (info.unacknowledged_bytes + again).saturating_sub(info.sacked_bytes + info.lost_bytes)
}
