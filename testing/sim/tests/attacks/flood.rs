//! SYN floods (RFC 4987): a million SYNs from addresses that do not exist, and clients that are served meanwhile.

use crate::arena::*;
use sim::Random;
use stack::{Config, Drop, Event, TcpId};
use std::net::{Ipv4Addr, SocketAddr};
use time::Duration;

/// SYNs of the whole flood, and how many of them arrive between two looks at the clients.
const SYNS: u32 = 1_000_000;
const WAVE: u32 = 250;
/// Virtual time of one wave: a quarter of a million SYNs a second.
const WAVE_TIME: Duration = Duration::from_millis(1);
/// A client opens a connection with every so many waves.
const WAVES_OF_A_CLIENT: u32 = 4;
const BACKLOG: usize = 128;
const REQUEST: &[u8] = &[0x17; 300];
const ANSWER: &[u8] = &[0x42; 3_000];

/// Somebody, who never sent this.
fn anybody(random: &mut Random) -> SocketAddr {
    // A public address: 11.0.0.0 and above, below the groups, and none of the two stacks'.
    let address = Ipv4Addr::from(0x0b00_0000 + random.below(0x6000_0000) as u32);
    SocketAddr::new(address.into(), 1_024 + random.below(60_000) as u16)
}

fn wave(random: &mut Random) -> Vec<packet::Bytes> {
    (0..WAVE).map(|_| segment(anybody(random), syn(random.draw() as u32), b"")).collect()
}

/// A client that asks once, reads the answer to its end, and goes; and the server's side of the same.
#[derive(Default)]
struct Service {
    asked: usize,
    served: usize,
    answered: Vec<(TcpId, usize)>,
}

impl Service {
    fn open(&mut self, arena: &mut Arena) {
        let connection = arena.connect();
        let now = arena.now;
        let mut request = packet::Bytes::from_static(REQUEST);
        arena.client.stack.tcp_write(connection, &mut request, now);
        self.answered.push((connection, 0));
        self.asked += 1;
    }

    fn serve(&mut self, arena: &mut Arena) {
        let now = arena.now;
        let server = &mut arena.server;
        for event in std::mem::take(&mut server.events) {
            match event {
                Event::Tcp { connection, event: tcp::Event::Readable }
                | Event::TcpAccepted { connection, .. }
                    if server.stack.tcp_readable(connection) >= REQUEST.len() =>
                {
                    while server.stack.tcp_read(connection, usize::MAX, now).is_some() {}
                    let mut answer = packet::Bytes::from_static(ANSWER);
                    server.stack.tcp_write(connection, &mut answer, now);
                    server.stack.tcp_release(connection, now);
                }
                _ => {}
            }
        }
        let client = &mut arena.client;
        client.events.clear();
        self.answered.retain_mut(|(connection, got)| {
            while let Some(bytes) = client.stack.tcp_read(*connection, usize::MAX, now) {
                *got += bytes.len();
            }
            let whole = *got == ANSWER.len() && client.stack.tcp_is_at_end(*connection);
            if whole {
                self.served += 1;
                client.stack.tcp_release(*connection, now);
            }
            !whole
        });
    }
}

/// The whole flood. How many clients asked, and the longest that the table of connections was.
fn flood(arena: &mut Arena, service: &mut Service) -> usize {
    let mut random = Random::new(4_987);
    let mut connections_max = 0;
    for number in 0..SYNS / WAVE {
        if number % WAVES_OF_A_CLIENT == 0 {
            service.open(arena);
        }
        let packets = wave(&mut random);
        arena.attack(packets);
        let until = arena.now + WAVE_TIME;
        // Half of the exchanges of a round trip, then the next wave: every handshake is in the midst of the flood.
        for _ in 0..2 {
            arena.step();
            service.serve(arena);
        }
        arena.elsewhere.clear();
        connections_max = connections_max.max(arena.server.stack.memory().connections);
        arena.pass(until.since(arena.now));
        service.serve(arena);
    }
    connections_max
}

#[test]
fn a_million_syns_leave_nothing_and_every_client_is_served() {
    let mut arena = Arena::new();
    let listener = arena.listen(BACKLOG);
    let mut service = Service::default();
    let resident_before = resident_kib();
    let connections_max = flood(&mut arena, &mut service);
    let grown = resident_kib().saturating_sub(resident_before);
    arena.pass(Duration::from_millis(50));
    service.serve(&mut arena);
    arena.exchange();
    assert_eq!((service.asked, service.served), ((SYNS / WAVE / WAVES_OF_A_CLIENT) as usize, service.asked));
    // The backlog, the clients' own, which the server closes first and so keeps in TIME-WAIT, and nothing for what SYNs
    // ask for beyond.
    assert!(connections_max <= BACKLOG + service.asked, "{connections_max} connections at once");
    assert!(grown < 16 << 10, "{grown} KiB more than before the flood");
    let counters = arena.server.stack.counters();
    let cookies = counters.syn_cookies_sent;
    assert!(cookies >= u64::from(SYNS) - 20_000, "{cookies} cookies");
    assert!(counters.syn_cookies_accepted as usize >= service.served / 2, "{counters:?}");
    arena.server.stack.tcp_unlisten(listener);
    arena.assert_nothing_left();
}

#[test]
fn without_cookies_a_flood_is_counted_and_bounded() {
    let mut arena = Arena::with(Config { syn_cookies: false, ..Config::default() });
    let listener = arena.listen(BACKLOG);
    let mut random = Random::new(1);
    for _ in 0..80 {
        let packets = wave(&mut random);
        arena.attack(packets);
    }
    let memory = arena.server.stack.memory();
    assert_eq!((memory.connections, memory.tcp_bytes), (BACKLOG, 0));
    assert_eq!(arena.server.dropped(Drop::TcpBacklogFull), u64::from(80 * WAVE) - BACKLOG as u64);
    arena.server.stack.tcp_unlisten(listener);
    arena.assert_nothing_left();
}

/// What this process has in memory.
fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the process's own status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line of resident memory");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of kB")
}
