//! What one acknowledgement tells of the segments that it delivers, gathered while the scoreboard is brought up to
//! date, for those who judge by it: RTT, RACK, PRR, F-RTO.

use time::{Instant, SequenceNumber};

/// A transmission: when it left, and the number behind its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    pub(crate) end: SequenceNumber,
}

impl Sent {
    /// Whether it left after `other` (RFC 8985 §6.2, step 2, RACK_sent_after).
    pub(crate) fn is_after(self, other: Self) -> bool {
        self.at > other.at || (self.at == other.at && self.end.after(other.end))
    }
}

/// What is newly acknowledged, by SND.UNA or by a SACK block.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delivery {
    /// Bytes that were not known to have arrived before.
    pub(crate) bytes: u32,
    /// Bytes among them that a SACK block delivered.
    pub(crate) sacked: u32,
    /// Bytes among them that left once.
    pub(crate) original_bytes: u32,
    /// The transmission that left last, of those that left once and of those that were sent again.
    pub(crate) newest_original: Option<Sent>,
    pub(crate) newest_repeated: Option<Sent>,
    /// The lowest end among those that left once.
    pub(crate) lowest_original: Option<SequenceNumber>,
    /// The highest end of all.
    pub(crate) highest: Option<SequenceNumber>,
    /// When the first of those left that SND.UNA has passed and that left once.
    pub(crate) acknowledged_sent_at: Option<Instant>,
    /// SND.UNA has passed something that was sent again (RFC 6298 §3, Karn).
    pub(crate) ambiguous: bool,
}

impl Delivery {
    /// SND.UNA has passed `bytes` that nothing was known of.
    pub(crate) fn note_acknowledged(&mut self, bytes: u32, sent: Sent, repeated: bool) {
        if repeated {
            self.ambiguous = true;
        } else {
            let first = self.acknowledged_sent_at.map_or(sent.at, |at| at.min(sent.at));
            self.acknowledged_sent_at = Some(first);
        }
        self.note(bytes, sent, repeated);
    }

    /// A SACK block tells of `bytes` that nothing was known of.
    pub(crate) fn note_sacked(&mut self, bytes: u32, sent: Sent, repeated: bool) {
        self.sacked += bytes;
        self.note(bytes, sent, repeated);
    }

    fn note(&mut self, bytes: u32, sent: Sent, repeated: bool) {
        self.bytes += bytes;
        self.highest = Some(self.highest.map_or(sent.end, |end| end.later(sent.end)));
        let newest = if repeated { &mut self.newest_repeated } else { &mut self.newest_original };
        if newest.is_none_or(|newest| sent.is_after(newest)) {
            *newest = Some(sent);
        }
        if !repeated {
            self.original_bytes += bytes;
            self.lowest_original = Some(self.lowest_original.map_or(sent.end, |end| end.earlier(sent.end)));
        }
    }
}
