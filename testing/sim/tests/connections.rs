//! How connections open and end between two stacks, and that nothing of them is left.

use packet::Bytes;
use sim::{HostId, Link, LinkId, World, for_each_seed};
use stack::{Binding, Event, Listen, ListenerId, Memory, Refusal, TcpId};
use std::net::SocketAddr;
use std::sync::Arc;
use tcp::CloseReason;
use time::Duration;

const PORT: u16 = 80;
const HOUR: Duration = Duration::from_hours(1);

struct Pair {
    world: World,
    client: HostId,
    server: HostId,
    link: LinkId,
    config: Arc<tcp::Config>,
}

impl Pair {
    fn new(seed: u64, link: Link) -> Self {
        let mut world = World::new(seed);
        let (client, server) = (world.host(), world.host());
        let link = world.link(client, server, link);
        Self { world, client, server, link, config: Arc::default() }
    }

    fn listen(&mut self, defer: bool, backlog: usize) -> ListenerId {
        let listen = Listen { binding: Binding::Port(PORT), defer, backlog, config: self.config.clone() };
        self.world.stack(self.server).tcp_listen(listen).expect("free")
    }

    fn connect(&mut self) -> TcpId {
        let (v4, _) = self.world.addresses(self.server, self.link).expect("on the link");
        let now = self.world.now();
        let config = self.config.clone();
        let connection =
            self.world.stack(self.client).tcp_connect(None, SocketAddr::new(v4, PORT), config, now);
        connection.expect("a route and a port")
    }

    /// The next event of a host that `wanted` makes something of, within an hour.
    fn wait<T>(&mut self, host: HostId, wanted: impl Fn(&Event) -> Option<T>) -> T {
        let mut found = None;
        self.world.run_until(HOUR, |world| {
            while found.is_none() {
                let Some(event) = world.event(host) else { break };
                found = wanted(&event);
            }
            found.is_some()
        });
        found.expect("the event comes")
    }

    fn established(&mut self) -> (TcpId, TcpId) {
        let ours = self.connect();
        let server = self.server;
        let theirs = self.wait(server, |event| match event {
            Event::TcpAccepted { connection, .. } => Some(*connection),
            _ => None,
        });
        (ours, theirs)
    }

    fn closed(&mut self, host: HostId, of: TcpId) -> CloseReason {
        self.wait(host, |event| match event {
            Event::Tcp { connection, event: tcp::Event::Closed(reason) } if *connection == of => {
                Some(*reason)
            }
            _ => None,
        })
    }

    fn write(&mut self, host: HostId, connection: TcpId, length: usize) -> usize {
        let now = self.world.now();
        let mut data = Bytes::from(vec![7; length]);
        self.world.stack(host).tcp_write(connection, &mut data, now)
    }

    fn assert_empty(&mut self) {
        self.world.run_for(HOUR);
        for host in [self.client, self.server] {
            let stack = self.world.stack(host);
            assert_eq!(Memory { neighbours: 0, paths: 0, ..stack.memory() }, Memory::default());
            assert_eq!(stack.poll_timeout(), None, "a deadline with nothing to wait for");
        }
    }
}

#[test]
fn a_port_without_a_listener_refuses() {
    let mut pair = Pair::new(1, Link::default());
    let connection = pair.connect();
    assert_eq!(pair.closed(pair.client, connection), CloseReason::Refused);
    let now = pair.world.now();
    pair.world.stack(pair.client).tcp_release(connection, now);
    pair.assert_empty();
}

#[test]
fn an_abort_resets_the_peer() {
    for_each_seed(20, |seed| {
        let mut pair = Pair::new(seed, Link { loss_ppm: 20_000, neighbours_spared: true, ..Link::default() });
        let listener = pair.listen(false, 4);
        let (ours, theirs) = pair.established();
        pair.write(pair.client, ours, 300_000);
        pair.write(pair.server, theirs, 300_000);
        pair.world.run_for(Duration::from_millis(20));
        let now = pair.world.now();
        pair.world.stack(pair.client).tcp_abort(ours, now);
        assert_eq!(pair.closed(pair.server, theirs), CloseReason::Reset);
        let now = pair.world.now();
        pair.world.stack(pair.client).tcp_release(ours, now);
        pair.world.stack(pair.server).tcp_release(theirs, now);
        pair.world.stack(pair.server).tcp_unlisten(listener);
        pair.assert_empty();
    });
}

#[test]
fn owners_that_forget_their_connections_leave_nothing() {
    for_each_seed(20, |seed| {
        let mut pair = Pair::new(seed, Link { loss_ppm: 20_000, neighbours_spared: true, ..Link::default() });
        let listener = pair.listen(false, 4);
        let (ours, theirs) = pair.established();
        pair.write(pair.client, ours, 50_000);
        pair.write(pair.server, theirs, 50_000);
        let now = pair.world.now();
        pair.world.stack(pair.client).tcp_release(ours, now);
        pair.world.stack(pair.server).tcp_release(theirs, now);
        pair.world.stack(pair.server).tcp_unlisten(listener);
        pair.assert_empty();
    });
}

#[test]
fn a_reader_that_never_reads_is_probed_and_then_served() {
    let mut pair = Pair::new(4, Link::default());
    pair.listen(false, 4);
    let (ours, theirs) = pair.established();
    let written = pair.write(pair.client, ours, 16 << 20);
    pair.world.run_for(Duration::from_mins(30));
    let (sent_bytes, waiting) = (written, pair.world.stack(pair.server).tcp_readable(theirs));
    assert!(waiting > 0 && waiting <= 4 << 20, "{waiting} bytes wait");
    let mut read = 0;
    pair.world.run_until(HOUR, |world| {
        let now = world.now();
        while let Some(data) = world.stack(pair.server).tcp_read(theirs, usize::MAX, now) {
            read += data.len();
        }
        read == sent_bytes
    });
    assert_eq!(read, sent_bytes);
}

#[test]
fn a_reader_that_can_take_nothing_is_promised_nothing_more() {
    let mut pair = Pair::new(5, Link::default());
    let fixed = tcp::Config::linux();
    pair.config = Arc::new(tcp::Config {
        receive_start_bytes: fixed.receive_buffer_bytes,
        send_start_bytes: fixed.send_buffer_bytes,
        ..fixed
    });
    pair.listen(false, 4);
    let (ours, theirs) = pair.established();
    let (server, now) = (pair.server, pair.world.now());
    pair.world.stack(server).tcp_set_receive_limit(theirs, 0, now);
    pair.write(pair.client, ours, 1_000_000);
    pair.world.run_for(Duration::from_mins(1));
    // What the handshake advertised stays valid (RFC 9293 §3.8.6: a window does not shrink).
    let waiting = pair.world.stack(server).tcp_readable(theirs);
    assert!((1..=65_535).contains(&waiting), "{waiting} bytes wait");
    let now = pair.world.now();
    pair.world.stack(server).tcp_set_receive_limit(theirs, usize::MAX, now);
    // The window update tells at once: no probe's time has to come.
    pair.world.run_for(Duration::from_secs(1));
    assert_eq!(pair.world.stack(server).tcp_readable(theirs), 1_000_000);
}

#[test]
fn a_peer_that_vanishes_is_given_up() {
    let mut pair = Pair::new(6, Link::default());
    let listener = pair.listen(false, 4);
    let (ours, theirs) = pair.established();
    pair.world.run_for(Duration::from_secs(1));
    pair.world.cut(pair.link);
    pair.write(pair.client, ours, 1_000);
    let reason = pair.closed(pair.client, ours);
    assert!(matches!(reason, CloseReason::TimedOut | CloseReason::Unreachable), "{reason:?}");
    let now = pair.world.now();
    pair.world.stack(pair.client).tcp_release(ours, now);
    // The other side has nothing to say and so cannot know: its owner ends it.
    pair.world.stack(pair.server).tcp_abort(theirs, now);
    pair.world.stack(pair.server).tcp_release(theirs, now);
    pair.world.stack(pair.server).tcp_unlisten(listener);
    pair.assert_empty();
}

#[test]
fn a_deferred_connection_waits_for_its_verdict() {
    for (refusal, expected) in
        [(Refusal::Reset, CloseReason::Refused), (Refusal::Prohibited, CloseReason::Unreachable)]
    {
        let mut pair = Pair::new(7, Link::default());
        let listener = pair.listen(true, 4);
        let connection = pair.connect();
        let server = pair.server;
        let request = pair.wait(server, |event| match event {
            Event::TcpRequest { request, .. } => Some(*request),
            _ => None,
        });
        pair.world.run_for(Duration::from_millis(200));
        assert!(pair.world.event(pair.client).is_none(), "nothing is answered before the verdict");
        let now = pair.world.now();
        pair.world.stack(server).tcp_refuse(request, refusal, now);
        assert_eq!(pair.closed(pair.client, connection), expected, "{refusal:?}");
        let now = pair.world.now();
        pair.world.stack(pair.client).tcp_release(connection, now);
        pair.world.stack(server).tcp_unlisten(listener);
        pair.assert_empty();
    }
}

#[test]
fn an_idle_connection_waits_for_nothing_and_still_carries() {
    let mut pair = Pair::new(9, Link::default());
    pair.listen(false, 4);
    let (ours, theirs) = pair.established();
    pair.world.run_for(HOUR);
    for host in [pair.client, pair.server] {
        assert_eq!(pair.world.stack(host).poll_timeout(), None);
    }
    assert_eq!(pair.write(pair.client, ours, 5_000), 5_000);
    pair.world.run_for(Duration::from_secs(5));
    assert_eq!(pair.world.stack(pair.server).tcp_readable(theirs), 5_000);
}

#[test]
fn a_thousand_connections_at_once_each_carry_their_own() {
    let mut pair = Pair::new(8, Link::default());
    let listener = pair.listen(false, 1_000);
    let connections: Vec<TcpId> = (0..1_000).map(|_| pair.connect()).collect();
    let mut accepted = Vec::new();
    pair.world.run_until(HOUR, |world| {
        while let Some(event) = world.event(pair.server) {
            if let Event::TcpAccepted { connection, .. } = event {
                accepted.push(connection);
            }
        }
        accepted.len() == 1_000
    });
    assert_eq!(accepted.len(), 1_000);
    let idle = pair.world.stack(pair.client).memory();
    assert_eq!((idle.connections, idle.tcp_bytes), (1_000, 0), "an idle connection holds no buffer");
    for (number, connection) in connections.iter().enumerate() {
        assert_eq!(pair.write(pair.client, *connection, number + 1), number + 1);
    }
    pair.world.run_for(Duration::from_secs(2));
    let now = pair.world.now();
    let mut lengths = Vec::new();
    for connection in &accepted {
        let stack = pair.world.stack(pair.server);
        let read = std::iter::from_fn(|| stack.tcp_read(*connection, usize::MAX, now));
        lengths.push(read.map(|data| data.len()).sum::<usize>());
        stack.tcp_release(*connection, now);
    }
    lengths.sort_unstable();
    assert_eq!(lengths, (1..=1_000).collect::<Vec<_>>());
    for connection in connections {
        pair.world.stack(pair.client).tcp_release(connection, now);
    }
    pair.world.stack(pair.server).tcp_unlisten(listener);
    pair.assert_empty();
}
