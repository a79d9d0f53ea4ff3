//! The stack itself: frames and time in, frames and events out.

use crate::demux::Tcp;
use crate::interface::{Interface, is_unicast};
use crate::ip::reassembly::Reassembly;
use crate::output::{Output, Timer};
use crate::station::Station;
use crate::udp::Sockets;
use crate::{
    Config, Counters, Event, InterfaceConfig, InterfaceError, InterfaceId, Memory, Prefix, Route, RouteError,
    Verdict,
};
use alloc::collections::VecDeque;
use core::net::{IpAddr, Ipv6Addr};
use hash::Key;
use packet::Batch;
use time::Instant;
use wire::ethernet::Address;

/// Interfaces of a stack: some decisions look at each.
const INTERFACES_MAX: usize = 64;

/// A network stack: interfaces and sockets, single-threaded, without a clock of its own.
///
/// Its owner gives it what arrives and what time it is, and after each such call drains
/// [`poll_event`](Self::poll_event) and [`poll_transmit`](Self::poll_transmit). Two of them, on a wire that takes no time:
///
/// ```
/// use packet::{Batch, Bytes, Capabilities, Medium, Offload, Packet};
/// use stack::{Binding, Config, Event, InterfaceConfig, InterfaceId, Listen, Prefix, Stack};
/// use std::sync::Arc;
/// use time::Instant;
///
/// const LINK: InterfaceId = InterfaceId(0);
///
/// fn host(number: u8, now: Instant) -> Stack {
///     let (medium, mtu) = (Medium::Ip, 1_500);
///     let device = Capabilities { medium, mtu, transmit_checksum: false, segmentation_bytes_max: 0 };
///     // The seed is its only randomness; here it makes the run repeatable.
///     let mut stack = Stack::new(Config::default(), [number; 32], now);
///     let address = Prefix::new([192, 0, 2, number], 24);
///     let interface = stack.add_interface(InterfaceConfig::new(device, [0; 6], vec![address]), now);
///     assert_eq!(interface, Ok(LINK));
///     stack
/// }
///
/// /// What one has to say to the other; whether it had something.
/// fn speak(from: &mut Stack, to: &mut Stack, now: Instant) -> bool {
///     let (mut leaving, mut arriving) = (Batch::with_capacity(64), Batch::with_capacity(64));
///     from.poll_transmit(LINK, &mut leaving, now);
///     let spoke = !leaving.is_empty();
///     while let Some(packet) = leaving.pop() {
///         arriving.push(Packet::received(packet.into_bytes(), Offload::default())).expect("there is room");
///     }
///     to.handle_batch(LINK, &mut arriving, now);
///     spoke
/// }
///
/// fn carry(one: &mut Stack, other: &mut Stack, now: Instant) {
///     while speak(one, other, now) | speak(other, one, now) {}
/// }
///
/// let now = Instant::from_secs(1);
/// let (mut client, mut server) = (host(1, now), host(2, now));
/// let config = Arc::new(tcp::Config::linux());
/// let listen = Listen { binding: Binding::Port(80), defer: false, backlog: 128, config: config.clone() };
/// server.tcp_listen(listen).expect("the port is free");
/// let ours = client.tcp_connect(None, "192.0.2.2:80".parse()?, config, now).expect("there is a route");
/// client.tcp_write(ours, &mut Bytes::from_static(b"hello"), now);
/// carry(&mut client, &mut server, now);
///
/// let Some(Event::TcpAccepted { connection: theirs, .. }) = server.poll_event() else { panic!("it is accepted") };
/// assert_eq!(server.tcp_read(theirs, usize::MAX, now).as_deref(), Some(&b"hello"[..]));
/// // All is acknowledged: nothing waits for time to pass.
/// assert_eq!((client.poll_timeout(), server.poll_timeout()), (None, None));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct Stack {
    pub(crate) output: Output,
    pub(crate) reassembly: Reassembly,
    pub(crate) udp: Sockets,
    pub(crate) tcp: Tcp,
    pub(crate) events: VecDeque<Event>,
    /// Echo requests among the events.
    pub(crate) echo_requests: usize,
}

impl Stack {
    /// An empty stack. `seed` is its only randomness: ISNs, ports, identifiers are keyed by it. Examples are at [`Stack`]
    /// and [`Config`].
    pub fn new(config: Config, seed: [u8; 32], now: Instant) -> Self {
        Self {
            output: Output::new(&config, &seed, now),
            reassembly: Reassembly::new(Key::derive(&seed, 4), config.reassembly_bytes_max),
            udp: Sockets::new(Key::derive(&seed, 5), config.udp_sockets_max, config.udp_queue_bytes_max),
            tcp: Tcp::new(&config, &seed),
            events: VecDeque::new(),
            echo_requests: 0,
        }
    }

    /// Adds an interface; its prefixes are routed to it. Its addresses are usable at once, but for IPv4 addresses that
    /// are probed for first (RFC 5227 §2.1). Examples are at [`InterfaceConfig`] and [`InterfaceError`].
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] where the configuration cannot work.
    pub fn add_interface(
        &mut self,
        config: InterfaceConfig,
        now: Instant,
    ) -> Result<InterfaceId, InterfaceError> {
        let number = self.output.interfaces.len();
        if number >= INTERFACES_MAX {
            return Err(InterfaceError::TooMany);
        }
        let id = InterfaceId(number as u16);
        let interface = Interface::new(config, self.output.queue_max)?;
        let link_local = interface.link_local.map(|_| Prefix::new(LINK_LOCAL, 64));
        let prefixes = interface.addresses.clone();
        self.output.interfaces.push(interface);
        for destination in prefixes.into_iter().chain(link_local) {
            if !self.output.routes.insert(Route { destination, interface: id, gateway: None }) {
                self.output.interfaces.pop();
                return Err(InterfaceError::RoutesFull);
            }
        }
        self.output.start_claims(id, now);
        self.output.start_router(id, now);
        Ok(id)
    }

    /// Adds a route, in place of one for the same destination. An example is at [`Route`].
    ///
    /// # Errors
    ///
    /// [`RouteError`] where it cannot be used or the table is full.
    pub fn add_route(&mut self, route: Route) -> Result<(), RouteError> {
        if self.output.interface(route.interface).is_none() {
            return Err(RouteError::NoInterface);
        }
        if route.gateway.is_some_and(|gateway| gateway.is_ipv4() != route.destination.address.is_ipv4()) {
            return Err(RouteError::VersionMismatch);
        }
        if self.output.routes.insert(route) { Ok(()) } else { Err(RouteError::Full) }
    }

    /// Tells the hardware address of a neighbour on `interface`, so that nobody is asked for it before the first packet leaves
    /// to it. It is held as one that the neighbour has told by itself: it is asked whether it still has it, and may tell
    /// another (RFC 4861 §7.3.3). What is known of it already stays.
    ///
    /// ```
    /// # use packet::{Batch, Bytes, Capabilities, Medium};
    /// # use stack::{Binding, Config, Datagram, InterfaceConfig, Stack};
    /// # use time::Instant;
    /// # let (medium, mtu) = (Medium::Ethernet, 1_500);
    /// # let device = Capabilities { medium, mtu, transmit_checksum: false, segmentation_bytes_max: 0 };
    /// # let now = Instant::from_secs(1);
    /// # let mut stack = Stack::new(Config::default(), [7; 32], now);
    /// let (ours, theirs) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    /// let config = InterfaceConfig::new(device, ours, vec!["192.0.2.1/24".parse()?]);
    /// let interface = stack.add_interface(config, now).expect("it works");
    /// stack.add_neighbour(interface, [192, 0, 2, 2].into(), theirs, now);
    /// let socket = stack.udp_bind(Binding::Address(([192, 0, 2, 1], 7).into())).expect("it is free");
    /// let word = Datagram::new(([192, 0, 2, 1], 7).into(), ([192, 0, 2, 2], 7).into(), Bytes::from_static(b"word"));
    /// stack.udp_send(socket, word, now).expect("it leaves");
    /// let mut batch = Batch::with_capacity(1);
    /// stack.poll_transmit(interface, &mut batch, now);
    /// assert_eq!(batch.pop().expect("at once").into_bytes()[..6], theirs);
    /// # Ok::<(), stack::NotAPrefix>(())
    /// ```
    pub fn add_neighbour(
        &mut self,
        interface: InterfaceId,
        address: IpAddr,
        hardware: [u8; 6],
        now: Instant,
    ) {
        let is_there = self.output.interface(interface).is_some();
        if is_there && is_unicast(address) && self.output.neighbours.find(interface, address).is_none() {
            self.output.add_neighbour(interface, address, Some(Address(hardware)), now);
        }
    }

    /// Takes every frame of a batch that arrived on `interface`. Connections answer when all are taken: one
    /// acknowledgement for each connection and batch, but where segments are lost or out of order, of which acknowledgements
    /// may tell each. An example is at [`Stack`].
    pub fn handle_batch(&mut self, interface: InterfaceId, batch: &mut Batch, now: Instant) {
        while let Some(packet) = batch.pop() {
            self.output.counters.received += 1;
            if let Verdict::Dropped(reason) = self.receive(interface, packet, now) {
                self.output.counters.count(reason);
            }
        }
        self.settle_touched();
    }

    /// Fills `batch` with frames to send on `interface`; call until it stays empty. An example is at [`Stack`].
    pub fn poll_transmit(&mut self, interface: InterfaceId, batch: &mut Batch, now: Instant) {
        let before = batch.len();
        self.output.drain_queue(interface, batch);
        self.transmit_flows(interface, batch, now);
        // Connections may have asked for their neighbour.
        self.output.drain_queue(interface, batch);
        self.output.counters.transmitted += (batch.len() - before) as u64;
    }

    /// The next event; drained until `None`. An example is at [`Event`].
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.output.stations.pass(Station::Event);
        if matches!(event, Event::EchoRequest(_)) {
            self.echo_requests -= 1;
        }
        if self.events.is_empty() && self.events.capacity() > EVENTS_KEPT {
            self.events.shrink_to(EVENTS_KEPT);
        }
        Some(event)
    }

    /// A deadline of [`poll_timeout`](Self::poll_timeout) has come.
    ///
    /// ```
    #[doc = include_str!("two_hosts.md")]
    #[doc = include_str!("connected.md")]
    /// client.tcp_write(ours, &mut Bytes::from_static(b"hello"), now);
    /// // The segment is lost.
    /// client.poll_transmit(InterfaceId(0), &mut Batch::with_capacity(64), now);
    /// let now = client.poll_timeout().expect("it waits for an acknowledgement");
    /// client.handle_timeout(now);
    /// carry(&mut client, &mut server, now);
    /// assert_eq!(server.tcp_readable(theirs), 5);
    /// ```
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.output.wheel.expire(now) {
            match timer {
                Timer::Tcp(number) => self.handle_tcp_timeout(number, now),
                Timer::Request(number) => self.expire_request(number),
                Timer::Neighbour(neighbour) => self.output.handle_neighbour_timeout(neighbour, now),
                Timer::Router(interface) => self.output.handle_router_timeout(interface, now),
                Timer::Claims(interface) => self.output.handle_claims_timeout(interface, now),
            }
        }
        self.tell_unreachable(now);
        self.expire_fragments(now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), where an example is; `None` while nothing waits for time to pass.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let fragments = self.reassembly.poll_timeout();
        self.output.wheel.next().into_iter().chain(fragments).min()
    }

    /// Whether `address` is one of the stack's own. An example is at [`InterfaceConfig`].
    pub fn is_local(&self, address: IpAddr) -> bool {
        is_unicast(address) && self.output.owns(address)
    }

    /// What became of packets. An example is at [`Counters`].
    pub fn counters(&self) -> &Counters {
        &self.output.counters
    }

    /// What the stack holds in memory now. An example is at [`Memory`].
    pub fn memory(&self) -> Memory {
        let queued: usize = self.output.interfaces.iter().map(Interface::queued).sum();
        Memory {
            connections: self.tcp.connections(),
            requests: self.tcp.requests(),
            tcp_bytes: self.tcp.bytes,
            udp_bytes: self.udp.bytes,
            reassembly_bytes: self.reassembly.memory_bytes(),
            neighbours: self.output.neighbours.len(),
            paths: self.output.paths.len(),
            queued_packets: queued + self.output.neighbours.waiting(),
        }
    }
}

/// RFC 4291 §2.5.6.
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

/// Places in the list of events that are kept while it is empty.
const EVENTS_KEPT: usize = 256;
