//! What is counted. Each operation is never inlined, so that a profiler finds it by its name: `segment_in`,
//! `acknowledgement_out`, `segment_out`, `acknowledgement_in`.

use crate::load::Load;
use packet::{Batch, Bytes};
use stack::{InterfaceId, Stack, TcpId};
use time::Instant;

/// Two full segments arrive at one connection and are read; they are acknowledged together. Then the next connection.
///
/// # Panics
///
/// Where a segment is not taken, or not acknowledged.
pub fn receive(load: &mut Load, segments: usize) {
    let payload = load.payload.clone();
    for _ in 0..segments.div_ceil(2) {
        let number = load.advance();
        let (mut read, mut answer) = (0, None);
        for _ in 0..2 {
            let clock_ms = load.clock_ms();
            let line = load.line(number);
            let (id, frame) = (line.id, line.peer.data(clock_ms, &payload));
            load.load(frame);
            let Load { stack, interface, batch, now, .. } = load;
            read += segment_in(stack, *interface, batch, id, *now).map_or(0, |bytes| bytes.len());
            acknowledgement_out(stack, *interface, batch, *now);
            answer = load.heard().or(answer);
        }
        assert_eq!(read, 2 * payload.len(), "both segments are read");
        // The first, where a window that has grown told of it: then the second waits for the next turn.
        let answer = answer.expect("a segment is acknowledged");
        let line = load.line(number);
        assert!((line.peer.next - answer.acknowledgement) as usize <= payload.len(), "it is one of these");
        line.peer.hear(&answer);
    }
}

/// One full segment is written, leaves and is acknowledged. Then the next connection.
///
/// # Panics
///
/// Where a segment does not leave.
pub fn send(load: &mut Load, segments: usize) {
    for _ in 0..segments {
        let number = load.advance();
        let id = load.line(number).id;
        let mut data = load.payload.clone();
        let length = data.len() as u32;
        let Load { stack, interface, batch, now, .. } = load;
        segment_out(stack, *interface, batch, id, &mut data, *now);
        let segment = load.heard().expect("the segment leaves");
        let clock_ms = load.clock_ms();
        let line = load.line(number);
        assert_eq!(segment.sequence, line.peer.expected);
        line.peer.expected += length;
        line.peer.hear(&segment);
        let frame = line.peer.ack(clock_ms);
        load.load(frame);
        let Load { stack, interface, batch, now, .. } = load;
        acknowledgement_in(stack, *interface, batch, *now);
    }
}

/// A segment arrives, its owner is told and reads it.
#[inline(never)]
fn segment_in(
    stack: &mut Stack,
    interface: InterfaceId,
    batch: &mut Batch,
    id: TcpId,
    now: Instant,
) -> Option<Bytes> {
    stack.handle_batch(interface, batch, now);
    while stack.poll_event().is_some() {}
    stack.tcp_read(id, usize::MAX, now)
}

/// What is due leaves: nothing, or an acknowledgement.
#[inline(never)]
fn acknowledgement_out(stack: &mut Stack, interface: InterfaceId, batch: &mut Batch, now: Instant) {
    stack.poll_transmit(interface, batch, now);
}

/// The owner writes a segment, and it leaves.
#[inline(never)]
fn segment_out(
    stack: &mut Stack,
    interface: InterfaceId,
    batch: &mut Batch,
    id: TcpId,
    data: &mut Bytes,
    now: Instant,
) {
    stack.tcp_write(id, data, now);
    stack.poll_transmit(interface, batch, now);
}

/// An acknowledgement of all that is in flight arrives, and its owner is told.
#[inline(never)]
fn acknowledgement_in(stack: &mut Stack, interface: InterfaceId, batch: &mut Batch, now: Instant) {
    stack.handle_batch(interface, batch, now);
    while stack.poll_event().is_some() {}
}
