//! What a connection tells of itself must be possible: buffers hold no more than they may, and what it has in flight grows
//! only as far as the congestion window.

use crate::world::{HostId, World};
use stack::TcpId;
use tcp::{Info, Repair};

/// Segments beyond the congestion window: two by limited transmit (RFC 3042), one as a tail loss probe (RFC 8985 §7.3), one
/// that searches for a larger size (RFC 4821 §7.4).
const SEGMENTS_BEYOND: u32 = 4;

/// What it told when it was last asked.
#[derive(Debug, Default)]
pub(super) struct Figures {
    last: Option<Info>,
    /// The most that was in flight while nothing was lost or marked.
    peak: u32,
}

impl Figures {
    /// Asks it again.
    ///
    /// # Panics
    ///
    /// Where it contradicts itself, its profile, or what it told before.
    pub(super) fn check(&mut self, world: &World, host: HostId, connection: TcpId) {
        let stack = world.stack_ref(host);
        let Some((info, config)) = stack.tcp_info(connection, world.now()).zip(stack.tcp_config(connection))
        else {
            return;
        };
        assert!(info.queued_bytes <= config.send_buffer_bytes, "the send buffer holds too much: {info:?}");
        let readable = info.readable_bytes;
        assert!(readable <= config.receive_buffer_bytes, "the receive buffer holds too much: {info:?}");
        if let Some(last) = &self.last {
            self.peak = check_flight(last, &info, self.peak);
            assert!(last.bytes_acked <= info.bytes_acked && last.bytes_received <= info.bytes_received);
        }
        self.last = Some(info);
    }
}

/// Whether what is in flight has grown beyond the window (RFC 5681 §3.1), which may shrink below it: a recovery then lets
/// less leave than arrives (RFC 9937 §6). Returns the peak to go on with.
fn check_flight(last: &Info, info: &Info, peak: u32) -> u32 {
    let recovers = is_repairing(info);
    // Without SACK nobody knows how much of it has arrived in a recovery (RFC 5681 §3.2, inflation).
    if recovers && !info.sack {
        return peak;
    }
    // What is found to be not lost after all, or not held by the peer, comes back into flight without leaving again.
    let is_recounted = info.lost_bytes < last.lost_bytes || info.sacked_bytes < last.sacked_bytes;
    let (before, flight) = (in_flight(last), in_flight(info));
    let window = info.congestion_window_bytes.max(last.congestion_window_bytes);
    // A reduction is spread over what arrives (RFC 9937 §6), and an undone one leaves more in flight than it was for.
    let most = 2 * window + SEGMENTS_BEYOND * info.mss_bytes.max(last.mss_bytes);
    let peak = match (recovers, is_repairing(last)) {
        (true, true) => peak,
        // RFC 9937 §6, RecoverFS: what was outstanding as the recovery began, or nearly.
        (true, false) => {
            return before.max(info.unacknowledged_bytes + (info.bytes_acked - last.bytes_acked) as u32);
        }
        (false, _) => before,
    };
    assert!(
        flight <= most.max(before).max(peak) || is_recounted,
        "{flight} bytes in flight after {before}, with a window of {window}: {info:?}, {last:?}"
    );
    peak.max(flight)
}

/// Whether the window was reduced, and what is in flight is on its way to it.
const fn is_repairing(info: &Info) -> bool {
    matches!(info.repair, Repair::Recovery | Repair::Reduced | Repair::Loss)
}

/// RFC 6675 §4, SetPipe.
fn in_flight(info: &Info) -> u32 {
    let gone = info.sacked_bytes + info.lost_bytes;
    (info.unacknowledged_bytes + info.repeated_in_flight_bytes).saturating_sub(gone)
}
