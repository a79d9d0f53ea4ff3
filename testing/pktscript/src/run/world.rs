//! The stack with its clock: packets in, packets out, time that passes only when somebody lets it.

use super::flows::Flows;
use super::frames::{Seen, SeenBody};
use crate::profile::Profile;
use crate::settings::Settings;
use packet::{Batch, Bytes, Capabilities, Medium, Offload, Packet};
use stack::{Event, InterfaceConfig, InterfaceId, Prefix, Route, Stack};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use time::Instant;

/// When scripts start: not at zero, so that "a while ago" can be told from "never".
const START: Instant = Instant::from_secs(1_000);
/// Packets of one batch.
const BATCH: usize = 64;
/// Rounds without time passing before something is said to spin.
const ROUNDS_MAX: usize = 100_000;
/// The port of both sides where the script does not say.
const PORT: u16 = 8_080;
/// The first port from which the script's peers connect.
const PEER_PORT_FIRST: u16 = 32_768;
/// Packets of the stack that may wait to be expected; a script that ignores more has lost its way.
const SEEN_MAX: usize = 100_000;

/// The stack, its clock, and what passes.
pub struct World {
    /// The stack.
    pub stack: Stack,
    /// Its interface.
    pub interface: InterfaceId,
    /// The time.
    pub now: Instant,
    /// What new sockets get.
    pub settings: Settings,
    /// Whose rules the calls follow.
    pub profile: Profile,
    /// The connections and their numbers.
    pub flows: Flows,
    /// What the stack sent and no event has expected yet.
    pub seen: VecDeque<Seen>,
    /// What happened and nobody was told of yet.
    pub events: VecDeque<Event>,
    /// Everything that passed.
    pub capture: sim::Trace,
    /// The address that `...` stands for in `bind`.
    pub local: SocketAddr,
    /// The address that `...` stands for in `connect`.
    pub remote: SocketAddr,
    mtu: u16,
    peer_port: u16,
}

impl World {
    /// A stack at time zero of a script.
    pub fn new(
        settings: Settings,
        profile: Profile,
        local: IpAddr,
        remote: IpAddr,
        mtu: u16,
    ) -> Result<Self, String> {
        let mut stack = Stack::new(stack::Config::default(), [0x5e; 32], START);
        let capabilities =
            Capabilities { medium: Medium::Ip, mtu, transmit_checksum: false, segmentation_bytes_max: 0 };
        let length = if local.is_ipv4() { 24 } else { 64 };
        let config = InterfaceConfig::new(capabilities, [0; 6], vec![Prefix::new(local, length)]);
        let interface = stack.add_interface(config, START).map_err(|error| error.to_string())?;
        let everywhere: IpAddr = match local {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let route = Route { destination: Prefix::new(everywhere, 0), interface, gateway: None };
        stack.add_route(route).map_err(|error| error.to_string())?;
        Ok(Self {
            stack,
            interface,
            now: START,
            settings,
            profile,
            flows: Flows::default(),
            seen: VecDeque::new(),
            events: VecDeque::new(),
            capture: sim::Trace::default(),
            local: SocketAddr::new(local, PORT),
            remote: SocketAddr::new(remote, PORT),
            mtu,
            peer_port: PEER_PORT_FIRST,
        })
    }

    /// The time since the script's start.
    pub fn elapsed(&self) -> Duration {
        self.now - START
    }

    /// The moment that is so long after the script's start.
    pub fn moment(&self, since: Duration) -> Instant {
        START + since
    }

    /// A port for the next peer that connects.
    pub fn peer_port(&mut self) -> u16 {
        self.peer_port = self.peer_port.wrapping_add(1).max(PEER_PORT_FIRST);
        self.peer_port
    }

    /// A packet arrives now.
    pub fn inject(&mut self, packet: Vec<u8>, offload: Offload) {
        let frame = Packet::received(Bytes::from(packet), offload);
        self.capture.record(self.now, Medium::Ip, &frame);
        let mut batch = Batch::with_capacity(1);
        // One packet has room in it.
        let _ = batch.push(frame);
        self.stack.handle_batch(self.interface, &mut batch, self.now);
    }

    /// Takes what the stack has to send and to tell.
    ///
    /// # Errors
    ///
    /// Where it sends what no stack may send, or never ends.
    pub fn drain(&mut self) -> Result<(), String> {
        let mut batch = Batch::with_capacity(BATCH);
        for _ in 0..ROUNDS_MAX {
            self.stack.poll_transmit(self.interface, &mut batch, self.now);
            if batch.is_empty() {
                self.events.extend(std::iter::from_fn(|| self.stack.poll_event()));
                return Ok(());
            }
            while let Some(packet) = batch.pop() {
                self.capture.record(self.now, Medium::Ip, &packet);
                let (seen, _) = Seen::read(packet, self.mtu, self.now)?;
                self.note(&seen);
                self.seen.push_back(seen);
            }
            if self.seen.len() > SEEN_MAX {
                break;
            }
        }
        Err("the stack never stops sending".to_owned())
    }

    /// A connection that the stack opens is known from its SYN on.
    fn note(&mut self, seen: &Seen) {
        let SeenBody::Tcp(segment) = &seen.body else { return };
        let local = SocketAddr::new(seen.source, segment.source_port);
        let remote = SocketAddr::new(seen.destination, segment.destination_port);
        let syn = segment.flags.contains(wire::tcp::Flags::SYN);
        let index = match self.flows.find(local, remote) {
            Some(index) => index,
            None if syn => self.flows.add(local, remote),
            None => return,
        };
        let flow = self.flows.change(index);
        if syn && flow.ours.is_none() {
            flow.start(segment.sequence, 0);
        }
    }

    /// The next moment at which the stack wants to be called, up to `until`.
    pub fn next_timeout(&self, until: Instant) -> Option<Instant> {
        self.stack.poll_timeout().filter(|at| *at <= until).map(|at| at.max(self.now))
    }

    /// The clock moves to `to`, and deadlines that have come are told.
    pub fn set_clock(&mut self, to: Instant) {
        self.now = self.now.max(to);
        if self.stack.poll_timeout().is_some_and(|at| at <= self.now) {
            self.stack.handle_timeout(self.now);
        }
    }
}
