//! Fast Open over links with a delay and losses (RFC 7413): a round trip is saved, and every byte arrives once.

use packet::Bytes;
use sim::{HostId, Link, LinkId, World, for_each_seed};
use stack::{Binding, Event, Listen, Memory, TcpId};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tcp::FastOpenStatus;
use time::{Duration, Instant};

const PORT: u16 = 80;
const HOUR: Duration = Duration::from_hours(1);

/// A client that asks, and a server that says back what it is asked.
struct Echo {
    world: World,
    client: HostId,
    server: HostId,
    remote: SocketAddr,
    /// What the server was asked, by connection.
    heard: BTreeMap<TcpId, Vec<u8>>,
}

impl Echo {
    fn new(seed: u64, link: Link) -> Self {
        let mut world = World::new(seed);
        let (client, server) = (world.host(), world.host());
        let link: LinkId = world.link(client, server, link);
        let (v4, v6) = world.addresses(server, link).expect("on the link");
        let remote = SocketAddr::new(if seed.is_multiple_of(2) { v4 } else { v6 }, PORT);
        let listen =
            Listen { binding: Binding::Port(PORT), defer: false, backlog: 64, config: Arc::default() };
        let listener = world.stack(server).tcp_listen(listen).expect("free");
        world.stack(server).tcp_set_fast_open(listener, 64);
        Self { world, client, server, remote, heard: BTreeMap::new() }
    }

    /// Opens a connection with `question`; how long it took until all of it was said back, and how Fast Open went.
    fn ask(&mut self, question: &[u8]) -> (Duration, FastOpenStatus) {
        let start: Instant = self.world.now();
        let (client, server, remote) = (self.client, self.server, self.remote);
        let mut data = Bytes::copy_from_slice(question);
        let opened =
            self.world.stack(client).tcp_connect_fast(None, remote, &mut data, Arc::default(), start);
        let connection = opened.expect("a route and a port");
        assert!(data.is_empty(), "the send buffer has room");
        let (mut told, heard) = (Vec::new(), &mut self.heard);
        self.world.run_until(HOUR, |world| {
            let now = world.now();
            while let Some(event) = world.event(server) {
                serve(world, server, event, heard);
            }
            while world.event(client).is_some() {}
            while let Some(bytes) = world.stack(client).tcp_read(connection, usize::MAX, now) {
                told.extend_from_slice(&bytes);
            }
            told.len() >= question.len()
        });
        assert_eq!(told, question, "every byte once");
        let span = self.world.now() - start;
        self.world.run_for(Duration::from_secs(10));
        let now = self.world.now();
        let info = self.world.stack(client).tcp_info(connection, now).expect("it is held");
        self.world.stack(client).tcp_release(connection, now);
        (span, info.fast_open)
    }

    /// Nothing is left, and no question was heard twice.
    fn assert_done(&mut self, questions: &[Vec<u8>]) {
        let heard = &mut self.heard;
        let (client, server) = (self.client, self.server);
        self.world.run_until(HOUR, |world| {
            while let Some(event) = world.event(server) {
                serve(world, server, event, heard);
            }
            while world.event(client).is_some() {}
            false
        });
        let all: Vec<&Vec<u8>> = self.heard.values().filter(|heard| !heard.is_empty()).collect();
        assert_eq!(all.len(), questions.len());
        assert!(questions.iter().all(|question| all.contains(&question)));
        for host in [client, server] {
            assert_eq!(Memory { neighbours: 0, ..self.world.stack(host).memory() }, Memory::default());
        }
    }
}

/// What the server does when something has happened.
fn serve(world: &mut World, host: HostId, event: Event, heard: &mut BTreeMap<TcpId, Vec<u8>>) {
    let now = world.now();
    let stack = world.stack(host);
    let connection = match event {
        Event::TcpAccepted { connection, .. } | Event::Tcp { connection, .. } => connection,
        _ => return,
    };
    while let Some(bytes) = stack.tcp_read(connection, usize::MAX, now) {
        heard.entry(connection).or_default().extend_from_slice(&bytes);
        assert_eq!(stack.tcp_write(connection, &mut bytes.clone(), now), bytes.len());
    }
    let over = matches!(event, Event::Tcp { event: tcp::Event::PeerClosed | tcp::Event::Closed(_), .. });
    if over {
        stack.tcp_release(connection, now);
    }
}

#[test]
fn a_round_trip_is_saved_from_the_second_connection_on() {
    let delay = Duration::from_millis(50);
    let round_trip = 2 * delay;
    let mut echo = Echo::new(2, Link { delay, ..Link::default() });
    let (first, status) = echo.ask(b"hello");
    assert_eq!(status, FastOpenStatus::Requested);
    assert!(first >= 2 * round_trip, "{first:?}");
    let (second, status) = echo.ask(b"a question");
    assert_eq!(status, FastOpenStatus::Taken);
    assert!((round_trip..round_trip + delay).contains(&second), "{second:?}");
}

#[test]
fn every_byte_arrives_once_whatever_is_lost() {
    for_each_seed(60, |seed| {
        let loss_ppm = [0, 20_000, 100_000, 250_000][seed as usize % 4];
        let link = Link { delay: Duration::from_millis(10), loss_ppm, ..Link::default() };
        let mut echo = Echo::new(seed, link);
        let questions: Vec<Vec<u8>> = (0..8_u8)
            .map(|n| {
                (0..[1, 700, 1_400, 5_000, 40_000][n as usize % 5])
                    .map(|at: usize| n ^ (at % 251) as u8)
                    .collect()
            })
            .collect();
        let mut taken = 0;
        for question in &questions {
            taken += usize::from(echo.ask(question).1 == FastOpenStatus::Taken);
        }
        assert!(loss_ppm > 0 || taken == questions.len() - 1, "{taken}");
        echo.assert_done(&questions);
    });
}
