//! The stack under test, and what must hold of it whatever comes in.

use packet::{Batch, Bytes, Capabilities, Medium, Offload, Packet};
use stack::{Config, Event, InterfaceConfig, InterfaceId, Memory, Prefix, Stack};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use time::{Duration, Instant};

/// The stack's own hardware address on Ethernet.
pub(crate) const HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Rounds of draining after one input: far more than one input can cause.
const ROUNDS_MAX: usize = 10_000;
/// Steps of time in which an abandoned stack has to come to rest: each is one deadline.
const DEADLINES_MAX: usize = 100_000;

pub(crate) struct Subject {
    pub stack: Stack,
    pub now: Instant,
    interfaces: Vec<(InterfaceId, Medium)>,
}

/// The stack's address on interface 0 or 1, of either version.
pub(crate) fn own(interface: u8, v6: bool) -> IpAddr {
    address(interface, v6, 1)
}

/// A neighbour's address there.
pub(crate) fn neighbour(interface: u8, v6: bool) -> IpAddr {
    address(interface, v6, 2)
}

fn address(interface: u8, v6: bool, host: u8) -> IpAddr {
    if v6 {
        Ipv6Addr::new(0xfd00, interface.into(), 0, 0, 0, 0, 0, host.into()).into()
    } else {
        Ipv4Addr::new(10, 0, interface, host).into()
    }
}

impl Subject {
    /// A stack with small bounds, an Ethernet interface that advertises nothing, and an IP interface that intercepts.
    pub(crate) fn new() -> Self {
        let now = Instant::from_secs(1_000);
        let config = Config {
            connections_max: 64,
            requests_max: 8,
            udp_queue_bytes_max: 64 << 10,
            neighbours_max: 16,
            reassembly_bytes_max: 128 << 10,
            transmit_queue_max: 32,
            ..Config::default()
        };
        let mut subject = Self { stack: Stack::new(config, [7; 32], now), now, interfaces: Vec::new() };
        for (number, medium) in [(0, Medium::Ethernet), (1, Medium::Ip)] {
            let capabilities =
                Capabilities { medium, mtu: 1_500, transmit_checksum: false, segmentation_bytes_max: 0 };
            let addresses = vec![Prefix::new(own(number, false), 24), Prefix::new(own(number, true), 64)];
            let mut config = InterfaceConfig::new(capabilities, HARDWARE, addresses);
            config.intercept = medium == Medium::Ip;
            let id = subject.stack.add_interface(config, now).expect("usable");
            subject.interfaces.push((id, medium));
        }
        subject
    }

    /// Gives one frame to an interface, by number.
    pub(crate) fn receive(&mut self, interface: usize, frame: Vec<u8>) {
        let mut batch = Batch::with_capacity(1);
        let packet = Packet::received(Bytes::from(frame), Offload::default());
        batch.push(packet).expect("room for one");
        self.stack.handle_batch(self.interfaces[interface].0, &mut batch, self.now);
        assert!(batch.is_empty(), "a frame was not taken");
    }

    /// Lets time pass: each deadline on the way is met.
    pub(crate) fn pass(&mut self, span: Duration) -> Vec<(Medium, Bytes)> {
        let end = self.now + span;
        let mut sent = Vec::new();
        for _ in 0..DEADLINES_MAX {
            sent.extend(self.drain().0);
            match self.stack.poll_timeout() {
                Some(at) if at <= end => {
                    self.now = self.now.max(at);
                    self.stack.handle_timeout(self.now);
                }
                _ => {
                    self.now = end;
                    return sent;
                }
            }
        }
        panic!("deadlines without an end");
    }

    /// What the stack has to send, each frame looked at, and its events.
    pub(crate) fn drain(&mut self) -> (Vec<(Medium, Bytes)>, Vec<Event>) {
        let mut sent = Vec::new();
        let mut batch = Batch::with_capacity(64);
        for &(interface, medium) in &self.interfaces {
            for round in 0.. {
                assert!(round < ROUNDS_MAX, "packets without an end");
                self.stack.poll_transmit(interface, &mut batch, self.now);
                if batch.is_empty() {
                    break;
                }
                while let Some(packet) = batch.pop() {
                    let frame = packet.into_bytes();
                    if let Err(fault) = sim::examine(medium, 1_500, &frame) {
                        panic!("sent a frame with {fault:?}: {frame:02x?}");
                    }
                    sent.push((medium, frame));
                }
            }
        }
        let events = std::iter::from_fn(|| self.stack.poll_event()).take(ROUNDS_MAX).collect();
        (sent, events)
    }

    /// No connection holds more than its buffers take, in the default profile.
    pub(crate) fn assert_bounded(&self) {
        let (memory, config) = (self.stack.memory(), tcp::Config::default());
        let each = (config.send_buffer_bytes + config.receive_buffer_bytes) as usize;
        assert!(memory.tcp_bytes <= memory.connections * each, "more than the buffers take: {memory:?}");
    }

    /// An hour after its owner has let everything go, the stack holds nothing and waits for nothing.
    pub(crate) fn assert_comes_to_rest(&mut self) {
        self.pass(Duration::from_hours(3));
        assert_eq!(
            Memory { neighbours: 0, paths: 0, ..self.stack.memory() },
            Memory::default(),
            "something is left"
        );
        assert!(self.stack.memory().neighbours <= 16, "the neighbours' bound");
        assert_eq!(self.stack.poll_timeout(), None, "a deadline with nothing to wait for");
    }
}
