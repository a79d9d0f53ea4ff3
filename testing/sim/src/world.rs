//! Hosts, links and the clock that they share.
//!
//! Time stands still while anything is to be done. Then the clock jumps to the next arrival or deadline:
//!
//! ```text
//!  owner polled -> stacks drained -> frames on links -> clock to the next moment -> frames and deadlines in -> ...
//! ```

use crate::joining::Node;
use crate::link::Link;
use crate::port::{Port, Wire};
use crate::random::Random;
use crate::router::Router;
use crate::sighting::Sighting;
use crate::trace::Trace;
use crate::wire_end::{Direction, Passage};
use packet::{Batch, Device};
use stack::{Event, InterfaceConfig, InterfaceId, Prefix, Stack, TcpId};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use time::{Duration, Instant};

/// Packets of one batch.
const BATCH: usize = 64;
/// Rounds without time passing before the world says that something spins: far more than any drain needs.
const ROUNDS_MAX: usize = 100_000;

/// A host of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostId(usize);

/// A link of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(usize);

/// A simulated network: the same seed and the same calls give the same run.
///
/// ```
/// use sim::{Link, World};
/// use time::Duration;
/// let mut world = World::new(1);
/// let (client, server) = (world.host(), world.host());
/// world.link(client, server, Link { loss_ppm: 10_000, ..Link::default() });
/// world.run_for(Duration::from_secs(1));
/// ```
#[derive(Debug)]
pub struct World {
    clock: Rc<Cell<Instant>>,
    random: Random,
    hosts: Vec<Host>,
    pub(crate) routers: Vec<Router>,
    /// Which link joins which nodes.
    pub(crate) joints: Vec<(LinkId, [Node; 2])>,
    wires: Vec<Rc<RefCell<Wire>>>,
    wakes: BTreeSet<Instant>,
    trace: Rc<RefCell<Trace>>,
    /// What hosts sent and were given, where somebody looks.
    sightings: Option<VecDeque<Sighting>>,
    /// Connections that are asked how they are whenever they send.
    asked: BTreeMap<(HostId, SocketAddr, SocketAddr), TcpId>,
}

#[derive(Debug)]
struct Host {
    stack: Stack,
    ports: Vec<(InterfaceId, LinkId, Port)>,
    events: VecDeque<Event>,
}

impl World {
    /// An empty world in which everything that is left to chance follows from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut trace = Trace::default();
        if std::env::var_os("WEFT_PCAP").is_some() {
            trace.start();
        }
        Self {
            // Not zero, so that "a while ago" can be told from "never".
            clock: Rc::new(Cell::new(Instant::from_secs(1_000))),
            random: Random::new(seed),
            hosts: Vec::new(),
            routers: Vec::new(),
            joints: Vec::new(),
            wires: Vec::new(),
            wakes: BTreeSet::new(),
            trace: Rc::new(RefCell::new(trace)),
            sightings: None,
            asked: BTreeMap::new(),
        }
    }

    /// Adds a host with a stack of the default configuration.
    pub fn host(&mut self) -> HostId {
        self.host_with(stack::Config::default())
    }

    /// Adds a host.
    pub fn host_with(&mut self, config: stack::Config) -> HostId {
        let stack = Stack::new(config, self.random.bytes(), self.now());
        self.hosts.push(Host { stack, ports: Vec::new(), events: VecDeque::new() });
        HostId(self.hosts.len() - 1)
    }

    /// Joins two hosts. On link `l` their addresses are 10.0.`l`.1 and .2, and fd00:`l`::1 and ::2.
    pub fn link(&mut self, a: HostId, b: HostId, link: Link) -> LinkId {
        let (id, ports) = self.wire(link);
        for (host, port) in [a, b].into_iter().zip(ports) {
            self.attach(host, id, port);
        }
        id
    }

    /// Joins a host, as `.1`, to a port that the caller drives: `.2` is the caller's to answer for, and what arrives
    /// there waits until the caller receives it.
    pub fn link_to_port(&mut self, host: HostId, link: Link) -> (LinkId, Port) {
        let (id, [own, other]) = self.wire(link);
        self.attach(host, id, own);
        (id, other)
    }

    /// A link whose two ends are the caller's.
    pub fn wire(&mut self, link: Link) -> (LinkId, [Port; 2]) {
        self.wire_between(link.clone(), link)
    }

    /// A link that may be another from the first end to the second than back.
    pub(crate) fn wire_between(&mut self, there: Link, back: Link) -> (LinkId, [Port; 2]) {
        let id = LinkId(self.wires.len());
        let link = there.clone();
        let directions = [there, back].map(|link| Direction::new(link, self.random.split()));
        let wire = Rc::new(RefCell::new(Wire { link, directions }));
        self.wires.push(wire.clone());
        let port =
            |end| Port { wire: wire.clone(), end, clock: self.clock.clone(), trace: self.trace.clone() };
        (id, [port(0), port(1)])
    }

    pub(crate) fn attach(&mut self, host: HostId, link: LinkId, port: Port) {
        port.wire.borrow_mut().directions[1 - port.end].attached = true;
        let (v4, v6) = addresses(link, port.end);
        let hardware = [2, 0, 0, link.0 as u8, 0, port.end as u8 + 1];
        let mut prefixes = vec![Prefix::new(v4, 24)];
        // RFC 8200 §5: a smaller link carries no IPv6.
        if port.capabilities().mtu >= 1_280 {
            prefixes.push(Prefix::new(v6, 64));
        }
        let config = InterfaceConfig::new(port.capabilities(), hardware, prefixes);
        let now = self.now();
        let host = &mut self.hosts[host.0];
        let interface = host.stack.add_interface(config, now).expect("the simulation's addresses are usable");
        host.ports.push((interface, link, port));
    }

    /// The largest packet that one of a host's links carries, in bytes.
    pub(crate) fn mtu_max(&self, host: HostId) -> u16 {
        let mtus = self.hosts[host.0].ports.iter().map(|(_, _, port)| port.capabilities().mtu);
        mtus.max().unwrap_or(0)
    }

    /// The world's time.
    pub fn now(&self) -> Instant {
        self.clock.get()
    }

    /// Cuts a link: what is sent from now on is lost.
    pub fn cut(&mut self, link: LinkId) {
        for direction in &mut self.wires[link.0].borrow_mut().directions {
            direction.is_cut = true;
        }
    }

    /// Mends a link that was cut.
    pub fn mend(&mut self, link: LinkId) {
        for direction in &mut self.wires[link.0].borrow_mut().directions {
            direction.is_cut = false;
        }
    }

    /// From now on every packet that a host sends or is given is to be had by [`sighting`](Self::sighting).
    pub fn watch(&mut self) {
        self.sightings.get_or_insert_default();
    }

    /// From now on what `connection` tells of itself is noted with every segment that it sends.
    pub fn ask(&mut self, host: HostId, connection: TcpId) {
        if let Some((local, remote)) = self.stack_ref(host).tcp_addresses(connection) {
            self.asked.insert((host, local, remote), connection);
        }
    }

    /// The next packet that a host sent or was given, in the order in which that happened.
    pub fn sighting(&mut self) -> Option<Sighting> {
        self.sightings.as_mut()?.pop_front()
    }

    /// A host's stack, to be told and asked.
    pub fn stack(&mut self, host: HostId) -> &mut Stack {
        &mut self.hosts[host.0].stack
    }

    /// A host's stack, to be asked.
    pub fn stack_ref(&self, host: HostId) -> &Stack {
        &self.hosts[host.0].stack
    }

    /// The interface by which a host is on a link.
    pub fn interface(&self, host: HostId, link: LinkId) -> Option<InterfaceId> {
        self.hosts[host.0].ports.iter().find(|port| port.1 == link).map(|port| port.0)
    }

    /// A host's IPv4 and IPv6 address on a link.
    pub fn addresses(&self, host: HostId, link: LinkId) -> Option<(IpAddr, IpAddr)> {
        let (_, _, port) = self.hosts[host.0].ports.iter().find(|port| port.1 == link)?;
        Some(addresses(link, port.end))
    }

    /// The next event of a host's stack.
    pub fn event(&mut self, host: HostId) -> Option<Event> {
        let host = &mut self.hosts[host.0];
        host.events.pop_front().or_else(|| host.stack.poll_event())
    }

    /// What became of the packets that the first and the second end of a link sent.
    pub fn passage(&self, link: LinkId) -> [Passage; 2] {
        let wire = self.wires[link.0].borrow();
        [wire.directions[0].passage, wire.directions[1].passage]
    }

    /// What passed, once [`record`](Self::record) was called or `WEFT_PCAP` is set.
    pub fn trace(&self) -> std::cell::Ref<'_, Trace> {
        self.trace.borrow()
    }

    /// Starts to keep what passes.
    pub fn record(&mut self) {
        self.trace.borrow_mut().start();
    }

    /// Makes a moment one at which something happens, so that [`run_until`](Self::run_until) asks again then.
    pub fn wake_at(&mut self, at: Instant) {
        self.wakes.insert(at);
    }

    /// Lets time pass for `span`.
    pub fn run_for(&mut self, span: Duration) {
        self.run_until(span, |_| false);
    }

    /// Lets time pass until `done`, which is asked at every moment at which something happened, or for `span` at
    /// most. Returns whether it was done.
    ///
    /// # Panics
    ///
    /// Where a stack sends a malformed frame, or wants to be called again and again at one moment.
    pub fn run_until(&mut self, span: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now() + span;
        let mut rounds = 0;
        loop {
            if done(self) {
                return true;
            }
            self.drain();
            match self.next() {
                Some(next) if next <= end => {
                    rounds = if next > self.now() { 0 } else { rounds + 1 };
                    assert!(rounds < ROUNDS_MAX, "{rounds} rounds at {:?}: something spins", self.now());
                    self.clock.set(self.now().max(next));
                    self.wakes = self.wakes.split_off(&(self.now() + Duration::from_nanos(1)));
                    self.deliver();
                }
                _ => {
                    self.clock.set(end);
                    self.drain();
                    return done(self);
                }
            }
        }
    }

    /// Puts on the links what the stacks have to send, and takes their events.
    fn drain(&mut self) {
        let now = self.now();
        // One at a time where somebody looks, so that a connection can be asked behind each segment.
        let mut batch = Batch::with_capacity(if self.sightings.is_some() { 1 } else { BATCH });
        for (number, host) in self.hosts.iter_mut().enumerate() {
            for (interface, _, port) in &mut host.ports {
                loop {
                    host.stack.poll_transmit(*interface, &mut batch, now);
                    if batch.is_empty() {
                        break;
                    }
                    if let Some(sightings) = &mut self.sightings {
                        note(sightings, &batch, HostId(number), now, true);
                        if let Some(last) = sightings.back_mut() {
                            let asked = last
                                .ends()
                                .and_then(|(local, remote)| self.asked.get(&(HostId(number), local, remote)));
                            last.info = asked.and_then(|id| host.stack.tcp_info(*id, now)).map(Box::new);
                        }
                    }
                    port.transmit(&mut batch).expect("a simulated device does not break");
                }
            }
            host.events.extend(core::iter::from_fn(|| host.stack.poll_event()));
        }
        self.check_frames();
    }

    /// Gives the stacks what has arrived and the deadlines that have come.
    fn deliver(&mut self) {
        let now = self.now();
        let mut batch = Batch::with_capacity(BATCH);
        self.routers.iter_mut().for_each(|router| router.turn(now));
        for (number, host) in self.hosts.iter_mut().enumerate() {
            for (interface, _, port) in &mut host.ports {
                loop {
                    port.receive(&mut batch).expect("a simulated device does not break");
                    if batch.is_empty() {
                        break;
                    }
                    if let Some(sightings) = &mut self.sightings {
                        note(sightings, &batch, HostId(number), now, false);
                    }
                    host.stack.handle_batch(*interface, &mut batch, now);
                }
            }
            if host.stack.poll_timeout().is_some_and(|at| at <= now) {
                host.stack.handle_timeout(now);
            }
        }
    }

    /// The next moment at which something happens.
    fn next(&self) -> Option<Instant> {
        let arrivals = self.wires.iter().filter_map(|wire| {
            let wire = wire.borrow();
            wire.directions.iter().filter_map(|direction| direction.next(self.now())).min()
        });
        let deadlines = self.hosts.iter().filter_map(|host| host.stack.poll_timeout());
        arrivals.chain(deadlines).chain(self.wakes.first().copied()).min()
    }

    fn check_frames(&self) {
        for (index, wire) in self.wires.iter().enumerate() {
            for (end, direction) in wire.borrow().directions.iter().enumerate() {
                if let Some((fault, frame)) = &direction.fault {
                    panic!("end {end} of link {index} sent a frame with {fault:?}: {frame:02x?}");
                }
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let Some(path) = std::env::var_os("WEFT_PCAP") else { return };
        let medium = self.wires.first().map_or(packet::Medium::Ethernet, |wire| wire.borrow().link.medium);
        let written = std::fs::File::create(&path)
            .and_then(|file| self.trace.borrow().write_pcap(medium, &mut std::io::BufWriter::new(file)));
        if let Err(error) = written {
            eprintln!("could not write {}: {error}", path.display());
        }
    }
}

fn note(sightings: &mut VecDeque<Sighting>, batch: &Batch, host: HostId, at: Instant, sent: bool) {
    sightings.extend(batch.iter().map(|packet| Sighting {
        at,
        host,
        sent,
        packet: packet.clone(),
        info: None,
    }));
}

pub(crate) fn addresses(link: LinkId, end: usize) -> (IpAddr, IpAddr) {
    let number = link.0 as u16;
    let host = end as u16 + 1;
    let v4 = Ipv4Addr::new(10, 0, number as u8, host as u8);
    (v4.into(), Ipv6Addr::new(0xfd00, number, 0, 0, 0, 0, 0, host).into())
}
