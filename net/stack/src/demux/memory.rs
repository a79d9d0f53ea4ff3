//! What all connections hold together, and what follows when that is much.
//!
//! ```text
//!   0        1/2        3/4       7/8      1  of Config::tcp_bytes_max
//!   |---------|----------|---------|-------|
//!             |          |         |       no payload is taken in; what came out of order goes first
//!             |          |         no more is taken from writers
//!             |          pressure begins: no buffer grows, windows offer a few segments
//!             pressure ends: writers are called again
//! ```
//!
//! What a window has offered stands, so what is offered at once can be more than there is: what a segment carries and finds
//! no room is dropped before it is acknowledged, and its sender sends it again. What its header says counts.
//!
//! Who has nothing to send may always write a little. A program that writes what it has read before it reads on would else
//! wait for memory that its own reading makes.

use crate::demux::Tcp;
use crate::stack::Stack;
use crate::{Event, TcpId};
use alloc::vec::Vec;
use packet::Bytes;
use time::Instant;

/// What a writer may always have on its way, in bytes (Linux: tcp_wmem, the first).
const WRITABLE_MIN_BYTES: usize = 4_096;

/// The bound of all connections' bytes, and where they stand.
#[derive(Debug)]
pub(crate) struct Memory {
    bytes_max: usize,
    pressed: bool,
    /// Connections whose writer found no room for want of memory, each once.
    waiting: Vec<u64>,
}

impl Memory {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self { bytes_max, pressed: false, waiting: Vec::new() }
    }

    /// Whether no more payload is taken in while `bytes` are held.
    pub(super) fn is_full(&self, bytes: usize) -> bool {
        bytes >= self.bytes_max
    }

    /// Whether memory is short.
    pub(super) fn is_pressed(&self) -> bool {
        self.pressed
    }

    /// Whether so much more may be written without a look at anything else.
    fn is_roomy(&self, bytes: usize, more: usize) -> bool {
        !self.pressed && bytes.saturating_add(more) <= self.bytes_max / 4 * 3
    }

    /// What one writer may put into a buffer that holds `queued` bytes, while all hold `bytes`; `start` is what every
    /// buffer has.
    fn room(&self, bytes: usize, queued: usize, start: usize) -> usize {
        let left = (self.bytes_max - self.bytes_max / 8).saturating_sub(bytes);
        let room = if self.pressed { left.min(start.saturating_sub(queued)) } else { left };
        if queued == 0 { room.max(WRITABLE_MIN_BYTES) } else { room }
    }
}

impl Tcp {
    /// As many bytes are held as `bytes` says. Whether pressure has ended by it.
    pub(super) fn note_bytes(&mut self) -> bool {
        let most = self.memory.bytes_max;
        if self.memory.pressed {
            self.memory.pressed = self.bytes > most / 2;
            return !self.memory.pressed;
        }
        self.memory.pressed = self.bytes >= most / 4 * 3;
        false
    }
}

impl Stack {
    /// Takes what there is room and memory for.
    pub(super) fn write_for(&mut self, number: u64, data: &mut Bytes, now: Instant) -> usize {
        let Some(flow) = self.tcp.flows.find_mut(number) else { return 0 };
        if self.tcp.memory.is_roomy(self.tcp.bytes, data.len()) {
            return flow.connection.write(data, now).unwrap_or(0);
        }
        let room = self.room_for_writer(number);
        let Some(flow) = self.tcp.flows.find_mut(number) else { return 0 };
        if room >= data.len().min(flow.connection.writable()) {
            return flow.connection.write(data, now).unwrap_or(0);
        }
        let taken = flow.connection.write(&mut data.slice(..room), now).unwrap_or(0);
        let _ = data.split_to(taken);
        self.wait_for_memory(number);
        taken
    }

    /// Room in a connection's send buffer, as far as there is memory for it.
    pub(super) fn room_for_writer(&self, number: u64) -> usize {
        let Some(flow) = self.tcp.flows.find(number) else { return 0 };
        let start = flow.connection.config().send_start_bytes as usize;
        let queued = flow.connection.unacknowledged();
        flow.connection.writable().min(self.tcp.memory.room(self.tcp.bytes, queued, start))
    }

    /// A writer waits for room that [`tcp_writable`](Self::tcp_writable) does not find, without having tried to write:
    /// `Writable` tells it as one whose write was refused.
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    #[doc = include_str!("../connected.md")]
    /// let room = client.tcp_writable(ours);
    /// client.tcp_write(ours, &mut vec![7; room].into(), now);
    /// client.tcp_wait_for_room(ours);
    /// carry(&mut client, &mut server, now);
    /// let writable = tcp::Event::Writable;
    /// let mut told = std::iter::from_fn(|| client.poll_event());
    /// assert!(told.any(|event| matches!(event, Event::Tcp { event, .. } if event == writable)));
    /// ```
    pub fn tcp_wait_for_room(&mut self, connection: TcpId) {
        let Some(flow) = self.tcp.flows.find_mut(connection.0) else { return };
        if flow.connection.writable() == 0 {
            flow.connection.wait_for_room();
        } else if self.room_for_writer(connection.0) == 0 {
            self.wait_for_memory(connection.0);
        }
    }

    /// A writer found less room than its buffer has: it is called again when there is memory.
    fn wait_for_memory(&mut self, number: u64) {
        let Some(flow) = self.tcp.flows.find_mut(number) else { return };
        if !core::mem::replace(&mut flow.waits_for_memory, true) {
            let Tcp { memory, flows, .. } = &mut self.tcp;
            if memory.waiting.len() > 2 * flows.len() {
                // Most of them are over. Who lives is in it once, so that this is done once for as many as wait anew.
                memory.waiting.retain(|number| flows.find(*number).is_some());
            }
            memory.waiting.push(number);
        }
    }

    /// A writer who waits for memory has room again, because what it had written before is acknowledged. It had written
    /// something, else it would not wait.
    pub(super) fn call_waiting_writer(&mut self, number: u64) {
        let Some(flow) = self.tcp.flows.find(number) else { return };
        let start = flow.connection.config().send_start_bytes as usize;
        if flow.owner.is_told() && self.room_for_writer(number) >= (start / 3).min(WRITABLE_MIN_BYTES) {
            let event = tcp::Event::Writable;
            self.events.push_back(Event::Tcp { connection: TcpId(number), event });
        }
    }

    /// There is memory again: writers who waited for it are called.
    pub(super) fn end_pressure(&mut self) {
        for number in core::mem::take(&mut self.tcp.memory.waiting) {
            let Some(flow) = self.tcp.flows.find_mut(number) else { continue };
            flow.waits_for_memory = false;
            if flow.connection.writable() == 0 {
                // The buffer has shrunk with the congestion window, below what waits in it.
                flow.connection.wait_for_room();
            } else if flow.owner.is_told() {
                let event = tcp::Event::Writable;
                self.events.push_back(Event::Tcp { connection: TcpId(number), event });
            }
        }
    }
}
