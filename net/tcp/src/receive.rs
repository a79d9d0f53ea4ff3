//! The receive half: what of a segment is new, in order and within the window (RFC 9293 §3.10.7.4), and what
//! is owed for it.

use crate::acknowledging::Acknowledging;
use crate::queue::ByteQueue;
use crate::reassembly::Reassembly;
use crate::sack::{BLOCKS_SENT_MAX, Block, SackBlocks};
use crate::tuning::Tuning;
use crate::window::ReceiveWindow;
use crate::{Config, Drop, Segment};
use alloc::boxed::Box;
use packet::Bytes;
use time::{Duration, Instant, SequenceNumber};
use wire::tcp::Flags;

#[derive(Debug)]
pub(crate) struct ReceiveHalf {
    queue: ByteQueue,
    /// Not there while all comes in order.
    reassembly: Option<Box<Reassembly>>,
    window: ReceiveWindow,
    acks: Acknowledging,
    sack: SackBlocks,
    /// Not there before much has arrived, nor where the buffer is as large as it may be.
    tuning: Option<Box<Tuning>>,
    /// RCV.NXT.
    next: SequenceNumber,
    /// Where the peer's FIN stands, once a segment within the window had it.
    fin: Option<SequenceNumber>,
    /// The FIN has its turn behind it.
    finished: bool,
    /// Nobody reads any more.
    unread: bool,
    /// Both sides permit SACK (RFC 2018 §2): nothing is noted for it otherwise.
    selective: bool,
}

/// What part of the first window has to have arrived before the reader is measured.
const TUNED_FROM: u32 = 4;

/// What a segment's payload and FIN brought.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    /// Bytes can be read.
    pub(crate) readable: bool,
    /// The peer's FIN had its turn.
    pub(crate) finished: bool,
    /// What could not be held.
    pub(crate) dropped: Option<Drop>,
}

/// What an acknowledgement says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) number: SequenceNumber,
    /// SEG.WND.
    pub(crate) window: u16,
    pub(crate) sack: [Option<Block>; BLOCKS_SENT_MAX],
}

impl ReceiveHalf {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            queue: ByteQueue::default(),
            reassembly: None,
            window: ReceiveWindow::new(config),
            acks: Acknowledging::new(config.quick_acks),
            sack: SackBlocks::default(),
            tuning: None,
            next: SequenceNumber(0),
            fin: None,
            finished: false,
            unread: false,
            selective: false,
        }
    }

    /// The peer's SYN is known: its first byte will be `next`, and both sides scale windows and permit SACK, or do not.
    pub(crate) fn start(&mut self, next: SequenceNumber, scaled: bool, selective: bool) {
        self.next = next;
        self.selective = selective;
        self.window.start(next, scaled);
        self.acks.start(next);
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        let pieces = self.reassembly.as_ref().map_or(0, |reassembly| reassembly.capacity());
        self.queue.capacity() + pieces + self.sack.capacity()
    }

    pub(crate) fn next(&self) -> SequenceNumber {
        self.next
    }

    pub(crate) fn window(&self) -> &ReceiveWindow {
        &self.window
    }

    /// Whether both sides permit SACK.
    pub(crate) fn is_selective(&self) -> bool {
        self.selective
    }

    /// SACK blocks that could be told.
    pub(crate) fn sack_count(&self) -> usize {
        self.sack.count()
    }

    pub(crate) fn acks(&self) -> &Acknowledging {
        &self.acks
    }

    pub(crate) fn acks_mut(&mut self) -> &mut Acknowledging {
        &mut self.acks
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(crate) fn readable(&self) -> usize {
        self.queue.len()
    }

    /// Bytes that are held, out of order too.
    pub(crate) fn held(&self) -> usize {
        self.queue.len() + self.reassembly.as_ref().map_or(0, |reassembly| reassembly.len())
    }

    pub(crate) fn read(&mut self, bytes_max: usize) -> Option<Bytes> {
        self.queue.pop(bytes_max)
    }

    pub(crate) fn peek(&self, into: &mut [u8]) -> usize {
        self.queue.peek(into)
    }

    /// Whether the peer should be told that the window has opened.
    pub(crate) fn is_update_due(&self, mss: u32) -> bool {
        !self.finished && self.window.is_update_due(self.next, self.queue.len(), mss)
    }

    /// Another bound of what may wait to be read.
    pub(crate) fn set_bound(&mut self, bytes: u32) {
        self.window.set_bound(bytes);
        self.tuning = None;
    }

    /// Whether memory is short. Returns whether that is news.
    pub(crate) fn set_pressed(&mut self, pressed: bool) -> bool {
        let news = pressed != self.window.is_pressed();
        self.window.set_pressed(pressed);
        news
    }

    /// What is known of the reader, while the buffer may grow.
    pub(crate) fn tuning(&self) -> Option<&Tuning> {
        self.tuning.as_deref()
    }

    /// Data has arrived, after `received` bytes before it, and its timestamp tells `elapsed`: the buffer may have to be
    /// as large as `bytes_max`.
    pub(crate) fn measure(&mut self, received: u64, bytes_max: u32, elapsed: Option<Duration>, now: Instant) {
        let bound = self.window.bound();
        if bound >= bytes_max {
            self.tuning = None;
            return;
        }
        // Nobody needs more than the first window for a request and its answer.
        if received < u64::from(bound / TUNED_FROM) && self.tuning.is_none() {
            return;
        }
        let (edge, mss) = (self.window.edge(), self.acks.segment_bytes());
        let tuning = self.tuning.get_or_insert_with(|| Box::new(Tuning::new(edge, mss, now)));
        tuning.handle_data(self.next, edge, elapsed, now);
    }

    /// `bytes` were read: the buffer grows, up to `bytes_max`, to what a reader who is so fast needs.
    pub(crate) fn tune(&mut self, bytes: usize, bytes_max: u32, now: Instant) {
        let mss = self.acks.segment_bytes();
        let Some(tuning) = &mut self.tuning else { return };
        // While memory is short nothing grows.
        let wanted = tuning.handle_read(bytes as u32, mss, now).filter(|_| !self.window.is_pressed());
        if let Some(wanted) = wanted {
            self.window.set_bound(wanted.min(bytes_max).max(self.window.bound()));
        }
    }

    /// Lets go of what came out of order, because memory is gone, and tells of it no more (RFC 2018 §8: the peer keeps
    /// what was not acknowledged). Returns how many bytes.
    pub(crate) fn prune(&mut self) -> usize {
        let freed = self.reassembly.as_ref().map_or(0, |pieces| pieces.len());
        self.drop_pieces();
        freed
    }

    /// The peer's MSS is known: segments carry `mss` bytes.
    pub(crate) fn handle_mss(&mut self, mss: u32) {
        self.window.handle_mss(mss);
    }

    pub(crate) fn set_limit(&mut self, bytes: usize) {
        self.window.set_limit(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// Nobody reads any more. Returns whether bytes are lost by it.
    pub(crate) fn close(&mut self) -> bool {
        self.unread = true;
        let lost = !self.queue.is_empty();
        self.queue.clear();
        lost
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.unread
    }

    /// Drops what is out of order: its gaps will not be filled.
    pub(crate) fn drop_pieces(&mut self) {
        self.reassembly = None;
        self.sack.clear();
    }

    /// An acknowledgement of all that arrived leaves: what it says of the window, and of what lies beyond a gap in the
    /// room for `blocks`.
    pub(crate) fn acknowledge(&mut self, with_data: bool, blocks: usize, mss: u32) -> Acknowledged {
        let window = self.window.open(self.next, self.queue.len(), mss);
        self.acks.handle_sent(self.next, with_data);
        let sack = self.sack.take(blocks);
        if self.sack.is_due() {
            self.acks.set_now();
        }
        Acknowledged { number: self.next, window, sack }
    }

    /// A segment lies outside the window: what of it was received before is told (RFC 2883 §4).
    pub(crate) fn note_duplicate(&mut self, segment: &Segment) {
        let start = segment.header.sequence;
        let end = start + segment.payload.len() as u32;
        if self.selective && self.sack.handle_duplicate((start, end.earlier(self.next))) {
            self.acks.set_now();
        }
    }

    /// A segment holds `start .. end`: the first contiguous part of it that is held out of order is told (RFC 2883 §4,
    /// §4.2).
    fn note_overlap(&mut self, start: SequenceNumber, end: SequenceNumber) {
        if self.selective
            && let Some(reassembly) = &self.reassembly
            && let Some(held) = reassembly.overlap(start, end)
        {
            self.sack.handle_duplicate(held);
        }
    }

    /// Whether any of the segment lies in the window (RFC 9293 §3.10.7.4, first); if so it is cut to the part
    /// that does.
    pub(crate) fn admit(&mut self, segment: &mut Segment) -> bool {
        let length = segment.sequence_length();
        let size = self.window.size(self.next);
        let start = segment.header.sequence;
        if length == 0 {
            return if size == 0 { start == self.next } else { start.within(self.next, size) };
        }
        if size == 0 && start == self.next {
            // The window is closed, but what the segment acknowledges is still of use, and the peer, which
            // probes, waits for an answer (RFC 9293 §3.10.7.4: "special allowance").
            segment.payload = packet::Chain::new();
            segment.header.flags.0 &= !Flags::FIN.0;
            self.acks.set_now();
            return true;
        }
        let last = start + (length - 1);
        // A segment that was joined may also begin before the window and end behind it.
        let covers = start.before(self.next) && last.after(self.next);
        let overlaps = start.within(self.next, size) || last.within(self.next, size) || covers;
        if size == 0 || !overlaps {
            return false;
        }
        self.trim(segment);
        true
    }

    /// Cuts off what was received before and what lies behind the window. What is left is copied: a frame of 64 KB must not
    /// stay for its last byte.
    fn trim(&mut self, segment: &mut Segment) {
        let whole = segment.payload.len();
        if segment.header.sequence.before(self.next) {
            self.note_duplicate(segment);
        }
        let header = &mut segment.header;
        if header.sequence.before(self.next) {
            let mut old = self.next - header.sequence;
            if header.flags.contains(Flags::SYN) {
                // A SYN is answered, not trimmed; its payload begins one number later.
                old -= 1;
            }
            segment.payload.advance(old as usize);
            header.sequence = self.next;
        }
        let end = header.sequence + segment.payload.len() as u32;
        if end.after(self.window.edge()) {
            let room = self.window.edge() - header.sequence;
            segment.payload = segment.payload.split_to(room as usize);
            header.flags.0 &= !Flags::FIN.0;
        } else if end == self.window.edge() {
            // The FIN itself has no room.
            header.flags.0 &= !Flags::FIN.0;
        }
        if segment.payload.len() < whole && !segment.payload.is_empty() {
            segment.payload = Bytes::from(segment.payload.to_vec()).into();
        }
    }

    /// Takes the payload and FIN of a segment that was admitted (RFC 9293 §3.10.7.4, seventh and eighth).
    pub(crate) fn take(&mut self, mut segment: Segment) -> Taken {
        if self.finished {
            // RFC 9293 §3.10.7.4, seventh: behind a FIN there is no text.
            return Taken::default();
        }
        let start = segment.header.sequence;
        let mut length = segment.payload.len() as u32;
        if let Some(fin) = self.fin
            && (start + length).after(fin)
        {
            let room = if start.before(fin) { fin - start } else { 0 };
            segment.payload = Bytes::from(segment.payload.split_to(room as usize).to_vec()).into();
            length = room;
        }
        let before = self.queue.len();
        let mut dropped = None;
        if length > 0 {
            let segment_bytes = match segment.segment_size {
                Some(bytes) => usize::from(bytes),
                None => length.div_ceil(u32::from(segment.joined.max(1))) as usize,
            };
            if start == self.next {
                self.take_in_order(segment.payload, length, segment_bytes);
            } else {
                dropped = self.hold(start, segment.payload, segment.joined);
            }
        }
        if segment.header.flags.contains(Flags::FIN) {
            let fin = *self.fin.get_or_insert(start + length);
            if fin == self.next {
                self.acks.handle_fin();
            } else {
                // RFC 5681 §4.2: behind a gap it is out of order as data is, and answered at once.
                self.acks.set_now();
            }
        }
        let finished = self.fin == Some(self.next);
        if finished {
            self.finished = true;
            self.next += 1;
            self.drop_pieces();
        }
        Taken { readable: self.queue.len() > before, finished, dropped }
    }

    fn take_in_order(&mut self, mut payload: packet::Chain, length: u32, segment_bytes: usize) {
        while let Some(bytes) = payload.pop() {
            self.queue.push(bytes);
        }
        self.next += length;
        if self.reassembly.is_some() {
            // RFC 5681 §4.2: what fills a gap, or a part of it, is acknowledged at once.
            self.acks.set_now();
            self.acks.handle_loss();
            self.note_overlap(self.next - length, self.next);
            while let Some(bytes) = self.reassembly.as_mut().and_then(|pieces| pieces.take(self.next)) {
                self.next += bytes.len() as u32;
                self.queue.push(bytes);
            }
            self.reassembly.take_if(|pieces| pieces.is_empty());
            self.sack.advance(self.next);
        }
        self.acks.handle_data(self.next, segment_bytes);
    }

    fn hold(&mut self, start: SequenceNumber, mut payload: packet::Chain, joined: u16) -> Option<Drop> {
        self.acks.handle_loss();
        if self.selective {
            // Blocks say what duplicates can only count.
            self.acks.set_now();
        } else {
            self.acks.handle_gap(joined);
        }
        self.note_overlap(start, start + payload.len() as u32);
        let mut at = start;
        while let Some(bytes) = payload.pop() {
            let end = at + bytes.len() as u32;
            if !self.reassembly.get_or_insert_default().insert(at, bytes) {
                return Some(Drop::ReassemblyFull);
            }
            if self.selective {
                self.sack.hold((at, end));
            }
            at = end;
        }
        None
    }
}
