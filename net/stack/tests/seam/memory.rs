//! Memory under pressure: the bound of all connections, and what is never lost by it.

use crate::link::{PLAIN, tcp_profile};
use crate::pair::{Pair, V4};
use packet::Bytes;
use stack::{Config, Drop, Event, TcpId};
use time::Duration;

const CONNECTIONS: usize = 1_000;
const BOUND: usize = 4 << 20;
/// What one batch of the pair may bring beyond the bound: 1,000 frames.
const BATCH_BYTES: usize = 1_000 * 1_500;
/// Bytes for each reader: twice the bound for all.
const EACH: usize = 8_000;

fn pattern(number: usize) -> Bytes {
    (0..EACH).map(|n| (n * 31 + number * 7 + n / 251) as u8).collect::<Vec<u8>>().into()
}

fn bounded() -> Pair {
    let mut pair = Pair::with(Config { tcp_bytes_max: BOUND, ..Config::default() }, PLAIN);
    pair.delay = Duration::from_millis(5);
    pair
}

/// Connections with their servers' numbers.
fn connect(pair: &mut Pair) -> Vec<(TcpId, TcpId)> {
    let mut ids = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = pair.connect(V4[1]);
        pair.exchange();
        let events = core::mem::take(&mut pair.sides[1].events);
        let server = events.iter().find_map(|event| match *event {
            Event::TcpAccepted { connection, .. } => Some(connection),
            _ => None,
        });
        ids.push((client, server.expect("the server accepts")));
    }
    ids
}

#[test]
fn a_thousand_slow_readers_stay_under_the_bound_and_lose_nothing() {
    let mut pair = bounded();
    pair.listen(false);
    let ids = connect(&mut pair);
    let mut left: Vec<Bytes> = (0..CONNECTIONS).map(pattern).collect();
    let mut got: Vec<Vec<u8>> = vec![Vec::new(); CONNECTIONS];
    let (mut most, mut pressed) = (0, false);
    for round in 0..4_000 {
        let now = pair.now;
        for ((client, _), rest) in ids.iter().zip(&mut left) {
            pair.sides[0].stack.tcp_write(*client, rest, now);
        }
        pair.pass(Duration::from_millis(40));
        for side in 0..2 {
            let held = pair.memory(side).tcp_bytes;
            most = most.max(held);
            pressed |= held > BOUND / 4 * 3;
        }
        // For a while nobody reads; then a few do, a little.
        let now = pair.now;
        for n in (0..CONNECTIONS).filter(|n| round > 20 && n % 5 == round % 5) {
            if let Some(bytes) = pair.sides[1].stack.tcp_read(ids[n].1, 3_000, now) {
                got[n].extend_from_slice(&bytes);
            }
        }
        if got.iter().all(|got| got.len() == EACH) {
            break;
        }
    }
    println!("{most} bytes at most, {:?}", pair.sides[1].stack.counters());
    assert!(pressed && most <= BOUND + BATCH_BYTES, "{most} bytes");
    for (n, got) in got.iter().enumerate() {
        assert!(*got == pattern(n)[..], "connection {n}: {} bytes", got.len());
    }
    for (client, server) in ids {
        let now = pair.now;
        pair.sides[0].stack.tcp_release(client, now);
        pair.sides[1].stack.tcp_release(server, now);
    }
    pair.pass(Duration::from_secs(100));
    assert_eq!((pair.memory(0).tcp_bytes, pair.memory(1).tcp_bytes), (0, 0));
    assert_eq!((pair.memory(0).connections, pair.memory(1).connections), (0, 0));
}

#[test]
fn a_writer_who_found_no_memory_is_called_when_there_is_some() {
    let mut pair = bounded();
    pair.listen(false);
    let ids = connect(&mut pair);
    // Nothing is carried: what is written stays.
    let now = pair.now;
    let refused = ids.iter().position(|(client, _)| {
        let mut data = Bytes::from(vec![7; 100_000]);
        pair.sides[0].stack.tcp_write(*client, &mut data, now);
        !data.is_empty()
    });
    let refused = ids[refused.expect("memory ends")].0;
    assert!(pair.memory(0).tcp_bytes <= BOUND);
    assert_eq!(pair.sides[0].stack.tcp_writable(ids[CONNECTIONS - 1].0), 0);
    while pair.memory(0).tcp_bytes > 0 {
        pair.pass(Duration::from_millis(100));
        let now = pair.now;
        for (_, server) in &ids {
            while pair.sides[1].stack.tcp_read(*server, usize::MAX, now).is_some() {}
        }
    }
    assert!(pair.told(0, refused, tcp::Event::Writable));
    assert!(pair.sides[0].stack.tcp_writable(refused) > 100_000);
}

#[test]
fn under_pressure_windows_offer_a_few_segments_and_open_again() {
    let mut pair = Pair::with(Config { tcp_bytes_max: 400_000, ..Config::default() }, PLAIN);
    pair.delay = Duration::from_millis(5);
    pair.listen(false);
    let ids: Vec<(TcpId, TcpId)> = (0..8)
        .map(|_| {
            let client = pair.connect(V4[1]);
            pair.exchange();
            let events = core::mem::take(&mut pair.sides[1].events);
            let accepted = events.iter().find_map(|event| match *event {
                Event::TcpAccepted { connection, .. } => Some(connection),
                _ => None,
            });
            (client, accepted.expect("the server accepts"))
        })
        .collect();
    let window =
        |pair: &Pair, id| pair.sides[1].stack.tcp_info(id, pair.now).map_or(0, |info| info.window_bytes);
    // Seven never read; the eighth does.
    for (client, _) in &ids {
        let now = pair.now;
        pair.sides[0].stack.tcp_write(*client, &mut Bytes::from(vec![7; 50_000]), now);
        pair.pass(Duration::from_millis(200));
    }
    let held = pair.memory(1).tcp_bytes;
    assert!((300_000..=400_000).contains(&held), "{held} bytes");
    let (client, server) = ids[7];
    let mut read = 0;
    for _ in 0..200 {
        let now = pair.now;
        pair.sides[0].stack.tcp_write(client, &mut Bytes::from(vec![9; 10_000]), now);
        pair.pass(Duration::from_millis(20));
        let now = pair.now;
        while let Some(bytes) = pair.sides[1].stack.tcp_read(server, usize::MAX, now) {
            read += bytes.len();
        }
    }
    assert!(read > 500_000, "{read} bytes: a reader goes on while others do not read");
    assert!(window(&pair, server) <= 65_535, "{} bytes are offered", window(&pair, server));
    let now = pair.now;
    for (_, server) in &ids {
        while pair.sides[1].stack.tcp_read(*server, usize::MAX, now).is_some() {}
    }
    pair.pass(Duration::from_secs(2));
    assert!(window(&pair, ids[0].1) >= 60_000, "{} bytes are offered", window(&pair, ids[0].1));
    assert_eq!(pair.sides[1].stack.counters().dropped(Drop::TcpMalformed), 0);
    assert!(tcp_profile().check().is_ok());
}
