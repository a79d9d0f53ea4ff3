//! What must hold of the segments between two connections, seen from the wire alone.

use crate::Segment;
use time::SequenceNumber;
use wire::tcp::Flags;

/// Both directions.
#[derive(Default)]
pub(super) struct Wire {
    client: Seen,
    server: Seen,
}

/// What one end has said so far.
#[derive(Default)]
struct Seen {
    scale: Option<u8>,
    /// The furthest edge that it offered, and the number that it acknowledged.
    offered: Option<(SequenceNumber, SequenceNumber)>,
}

impl Wire {
    /// Checks a segment that leaves the client, or the server.
    pub(super) fn observe(&mut self, segment: &Segment, from_client: bool) {
        let header = &segment.header;
        let (own, peer) = if from_client {
            (&mut self.client, &mut self.server)
        } else {
            (&mut self.server, &mut self.client)
        };
        if header.flags.contains(Flags::SYN) {
            own.scale = header.options.window_scale;
        }
        if header.flags.contains(Flags::RST) {
            return;
        }
        if let Some((edge, _)) = peer.offered {
            let end = header.sequence + segment.sequence_length();
            // A probe is one octet beyond (RFC 9293 §3.8.6.1).
            assert!(!end.after(edge + 1), "sent behind the window: {end:?} after {edge:?}");
        }
        if !header.flags.contains(Flags::ACK) {
            return;
        }
        let scaled = peer.scale.is_some() && !header.flags.contains(Flags::SYN);
        let scale = if scaled { own.scale.unwrap_or(0) } else { 0 };
        let edge = header.acknowledgement + (u32::from(header.window) << scale);
        let Some((furthest, acknowledged)) = &mut own.offered else {
            own.offered = Some((edge, header.acknowledgement));
            return;
        };
        assert!(header.acknowledgement.at_or_after(*acknowledged), "an acknowledgement was taken back");
        *acknowledged = header.acknowledgement;
        // RFC 7323 §2.2: a SYN-ACK that is repeated behind data cannot tell as much as that did.
        if header.flags.contains(Flags::SYN) && header.window == u16::MAX {
            return;
        }
        // RFC 7323 §2.4: a window is told in steps, so that its edge may seem to go back by less than one; a FIN
        // takes a number and no room.
        let step = 1 << own.scale.filter(|_| peer.scale.is_some()).unwrap_or(0);
        assert!((edge + step).at_or_after(*furthest), "the window shrank from {furthest:?} to {edge:?}");
        *furthest = furthest.later(edge);
    }
}
