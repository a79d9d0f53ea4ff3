//! The stack with its virtual clock: packets in, packets out, calls that wait.

use crate::calls::{Call, Reply};
use crate::sockets::Sockets;
use packet::{Batch, Bytes, Capabilities, Medium, Offload, Packet};
use stack::{InterfaceConfig, InterfaceId, Prefix, Route, Stack};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use time::Instant;

/// When the stack starts, on its own clock.
const START: Instant = Instant::from_secs(1_000);
/// What the wall clock of the tool says then, in seconds since 1970.
const WALL_SECS: i64 = 1_700_000_000;
/// A look at the clock takes so long.
const LOOK: Duration = Duration::from_micros(1);
/// Packets of one batch.
const BATCH: usize = 64;
/// Batches without time passing before the stack is said to spin.
const BATCHES_MAX: usize = 10_000;
/// Packets that may wait to be sniffed; the oldest go first.
const SNIFFED_MAX: usize = 65_536;
/// How long a packet is waited for, in virtual time: no timer of the stack is longer but keep-alive's.
const SNIFF_MAX: Duration = Duration::from_secs(3_600);
/// Calls that may wait at once; the tool has one.
const WAITING_MAX: usize = 64;
/// The largest IP packet, in bytes.
const PACKET_BYTES_MAX: usize = 65_535;

/// The tool's `--so_flags`: words with commas between, `local=ADDRESS` (several; the tool's own defaults otherwise),
/// `mtu=BYTES`, and `sack=0`, `timestamps=0`, `wscale=0` for what is not to be offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flags {
    /// The stack's own addresses.
    pub local: Vec<IpAddr>,
    /// The largest packet, in bytes.
    pub mtu: u16,
    /// Of connections.
    pub tcp: tcp::Config,
}

impl Flags {
    /// Reads the words.
    ///
    /// # Errors
    ///
    /// The one that is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        // Linux leaves pacing to a queueing discipline, and scripts set none up.
        let tcp = tcp::Config { receive_buffer_bytes: 540_000, pacing: false, ..tcp::Config::linux() };
        let mut flags = Self { local: Vec::new(), mtu: 1_500, tcp };
        for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
            let known = match word.split_once('=') {
                Some(("local", address)) => address.parse().map(|address| flags.local.push(address)).is_ok(),
                Some(("mtu", bytes)) => bytes.parse().map(|bytes| flags.mtu = bytes).is_ok(),
                Some(("sack", on)) => read_switch(on, &mut flags.tcp.sack),
                Some(("timestamps", on)) => read_switch(on, &mut flags.tcp.timestamps),
                Some(("wscale", on)) => read_switch(on, &mut flags.tcp.window_scaling),
                Some(_) | None => false,
            };
            if !known {
                return Err(format!("the flag {word} is not understood"));
            }
        }
        if flags.local.is_empty() {
            flags.local = vec![Ipv4Addr::new(192, 168, 0, 1).into()];
            flags.local.extend("fd3d:fa7b:d17d::1".parse::<IpAddr>());
        }
        Ok(flags)
    }
}

fn read_switch(word: &str, on: &mut bool) -> bool {
    *on = word == "1";
    matches!(word, "0" | "1")
}

/// A call that has not returned, or whose answer nobody took yet.
#[derive(Debug)]
struct Waiting {
    ticket: u64,
    call: Call,
    reply: Option<Reply>,
}

/// The stack, its clock, its sockets.
#[derive(Debug)]
pub struct Machine {
    pub(crate) stack: Stack,
    interface: InterfaceId,
    pub(crate) now: Instant,
    pub(crate) sockets: Sockets,
    /// What the stack sent, and when.
    sniffed: VecDeque<(Bytes, Instant)>,
    waiting: Vec<Waiting>,
    next_ticket: u64,
    activity: u64,
    ended: bool,
}

impl Machine {
    /// A stack on a link of its own.
    ///
    /// # Errors
    ///
    /// What the stack does not take.
    pub fn new(flags: &Flags) -> Result<Self, String> {
        let mut stack = Stack::new(stack::Config::default(), [0x5e; 32], START);
        let mtu = flags.mtu;
        let capabilities =
            Capabilities { medium: Medium::Ip, mtu, transmit_checksum: false, segmentation_bytes_max: 0 };
        let prefix = |address: &IpAddr| Prefix::new(*address, if address.is_ipv4() { 16 } else { 48 });
        let prefixes: Vec<Prefix> = flags.local.iter().map(prefix).collect();
        let config = InterfaceConfig::new(capabilities, [0; 6], prefixes);
        let interface = stack.add_interface(config, START).map_err(|error| error.to_string())?;
        for everywhere in [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()] {
            if flags.local.iter().any(|address| address.is_ipv4() == everywhere.is_ipv4()) {
                let route = Route { destination: Prefix::new(everywhere, 0), interface, gateway: None };
                stack.add_route(route).map_err(|error| error.to_string())?;
            }
        }
        Ok(Self {
            stack,
            interface,
            now: START,
            sockets: Sockets::new(flags.tcp.clone()),
            sniffed: VecDeque::new(),
            waiting: Vec::new(),
            next_ticket: 0,
            activity: 0,
            ended: false,
        })
    }

    /// Every call that waits fails, and so does every later one.
    pub fn end(&mut self) {
        self.ended = true;
        self.sockets.clear();
    }

    /// Somebody called.
    pub fn note_activity(&mut self) {
        self.activity = self.activity.wrapping_add(1);
    }

    /// How often somebody called.
    pub fn activity(&self) -> u64 {
        self.activity
    }

    /// A packet arrives now. Whether it can be one.
    pub fn inject(&mut self, bytes: &[u8]) -> bool {
        if bytes.is_empty() || bytes.len() > PACKET_BYTES_MAX {
            return false;
        }
        let frame = Packet::received(Bytes::copy_from_slice(bytes), Offload::default());
        let mut batch = Batch::with_capacity(1);
        // One packet has room in it.
        let _ = batch.push(frame);
        self.stack.handle_batch(self.interface, &mut batch, self.now);
        true
    }

    /// The next packet that the stack has sent, with the wall clock's microseconds.
    pub fn sniff(&mut self) -> Option<(Bytes, i64)> {
        let (bytes, at) = self.sniffed.pop_front()?;
        Some((bytes, wall_us(at)))
    }

    /// When a wait for a packet that begins now ends.
    pub fn sniff_until(&self) -> Instant {
        self.now + SNIFF_MAX
    }

    /// Whether a packet waits to be sniffed.
    pub fn has_sniffed(&self) -> bool {
        !self.sniffed.is_empty()
    }

    /// The wall clock, in microseconds since 1970; looking takes one.
    pub fn look(&mut self) -> i64 {
        let to = self.now + LOOK;
        for _ in 0..BATCHES_MAX {
            if self.step(to) {
                break;
            }
            self.settle();
        }
        wall_us(self.now)
    }

    /// Lets time pass to the next thing that happens, but not beyond `until`. Whether it has come to that.
    pub fn step(&mut self, until: Instant) -> bool {
        let deadlines = self.waiting.iter().filter(|waiting| waiting.reply.is_none());
        let deadline = deadlines.filter_map(|waiting| waiting.call.deadline()).min();
        let next = self.stack.poll_timeout().into_iter().chain(deadline).min().filter(|at| *at < until);
        self.now = self.now.max(next.unwrap_or(until));
        if self.stack.poll_timeout().is_some_and(|at| at <= self.now) {
            self.stack.handle_timeout(self.now);
        }
        next.is_none()
    }

    /// Nobody calls, and somebody waits: time passes to the next thing that happens.
    pub fn pass_idle(&mut self) {
        let until = self.sniff_until();
        self.step(until);
        self.settle();
    }

    /// Makes a call: its answer, or the ticket of its place among those that wait.
    ///
    /// # Errors
    ///
    /// The ticket.
    pub fn begin(&mut self, mut call: Call, blocks: bool) -> Result<Reply, u64> {
        if self.ended {
            return Ok(Err(libc::EBADF));
        }
        self.drain();
        if let Some(reply) = self.attempt(&mut call) {
            return Ok(reply);
        }
        if !blocks || self.waiting.len() >= WAITING_MAX {
            return Ok(call.cut_short());
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.push(Waiting { ticket, call, reply: None });
        Err(ticket)
    }

    /// The answer to a call that waited.
    pub fn collect(&mut self, ticket: u64) -> Option<Reply> {
        let at = self.waiting.iter().position(|waiting| waiting.ticket == ticket);
        let Some(at) = at else { return Some(Err(libc::EBADF)) };
        let reply = self.waiting[at].reply.take()?;
        self.waiting.swap_remove(at);
        Some(reply)
    }

    /// Whether an answer waits for whoever made the call.
    pub fn has_answers(&self) -> bool {
        self.waiting.iter().any(|waiting| waiting.reply.is_some())
    }

    /// Lets the stack and the calls that wait go as far as they can now.
    pub fn settle(&mut self) {
        self.drain();
        let mut waiting = std::mem::take(&mut self.waiting);
        for one in waiting.iter_mut().filter(|one| one.reply.is_none()) {
            one.reply = if self.ended { Some(Err(libc::EBADF)) } else { self.attempt(&mut one.call) };
        }
        self.waiting = waiting;
        self.drain();
    }

    /// Takes what the stack has to send and to tell.
    fn drain(&mut self) {
        let mut batch = Batch::with_capacity(BATCH);
        for _ in 0..BATCHES_MAX {
            self.stack.poll_transmit(self.interface, &mut batch, self.now);
            if batch.is_empty() {
                break;
            }
            while let Some(packet) = batch.pop() {
                if self.sniffed.len() >= SNIFFED_MAX {
                    self.sniffed.pop_front();
                }
                self.sniffed.push_back((packet.into_bytes(), self.now));
            }
        }
        while let Some(event) = self.stack.poll_event() {
            self.sockets.handle(event);
        }
    }
}

fn wall_us(at: Instant) -> i64 {
    let since = i64::try_from(at.since(START).as_micros()).unwrap_or(i64::MAX);
    since.saturating_add(WALL_SECS * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_and_garbage_is_named() {
        let flags = Flags::parse("local=10.0.0.1,mtu=900 sack=0").unwrap();
        assert_eq!((flags.local.len(), flags.mtu, flags.tcp.sack), (1, 900, false));
        assert_eq!(Flags::parse("").unwrap().local.len(), 2);
        for wrong in ["local=x", "mtu=", "sack=2", "nonsense"] {
            assert_eq!(Flags::parse(wrong).unwrap_err(), format!("the flag {wrong} is not understood"));
        }
    }

    #[test]
    fn the_clock_moves_with_each_look_and_stops_at_deadlines() {
        let mut machine = Machine::new(&Flags::parse("").unwrap()).unwrap();
        let first = machine.look();
        assert_eq!(machine.look(), first + 1);
        let until = machine.now + Duration::from_secs(5);
        while !machine.step(until) {}
        assert_eq!(machine.look(), first + 5_000_002);
    }
}
