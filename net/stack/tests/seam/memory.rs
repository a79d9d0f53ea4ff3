//! Memory under pressure: the bound of all connections, and what is never lost by it.

use crate::link::{Content, Link, OUR_V4, PEER_V4, PLAIN, at, gateway, tcp_frame, tcp_profile};
use crate::pair::{Pair, V4};
use crate::segments::{handshake, listen, segment};
use core::net::SocketAddr;
use packet::{Bytes, Offload, Packet, Pool};
use stack::{Config, Drop, Event, TcpId};
use time::{Duration, SequenceNumber};
use wire::tcp::{Flags, Header};

const CONNECTIONS: usize = 1_000;
const BOUND: usize = 4 << 20;
/// What one batch of the pair may bring beyond the bound: 1,000 frames.
const BATCH_BYTES: usize = 1_000 * 1_500;
/// Bytes for each reader: twice the bound for all.
const EACH: usize = 8_000;
/// What each writer may always have on its way.
const WRITABLE_MIN_BYTES: usize = 4_096;

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
    let (mut most, mut pressed) = ([0; 2], false);
    for round in 0..4_000 {
        let now = pair.now;
        for ((client, _), rest) in ids.iter().zip(&mut left) {
            pair.sides[0].stack.tcp_write(*client, rest, now);
        }
        pair.pass(Duration::from_millis(40));
        for (side, most) in most.iter_mut().enumerate() {
            let held = pair.memory(side).tcp_bytes;
            *most = held.max(*most);
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
    println!("{most:?} bytes at most, {:?}", pair.sides[1].stack.counters());
    assert!(pressed && most[1] <= BOUND + BATCH_BYTES, "{most:?} bytes");
    assert!(most[0] <= BOUND + CONNECTIONS * WRITABLE_MIN_BYTES, "{most:?} bytes");
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
    assert_eq!(pair.sides[0].stack.tcp_writable(refused), 0);
    assert_eq!(pair.sides[0].stack.tcp_writable(ids[CONNECTIONS - 1].0), WRITABLE_MIN_BYTES);
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

/// Connections that hold all memory, as much each as the first window offers: with the numbers that come next.
fn filled(link: &mut Link, connections: u16, each: u32) -> Vec<(TcpId, SequenceNumber, SequenceNumber)> {
    listen(link, 80, 100);
    (1..=connections)
        .map(|port| {
            let (id, ours, theirs) = handshake(link, at(PEER_V4, port), at(OUR_V4, 80), 1);
            for n in 0..each / 1_000 {
                let header = segment(ours + n * 1_000, theirs, Flags::ACK);
                link.receive(tcp_frame(at(PEER_V4, port), at(OUR_V4, 80), header, &[port as u8; 1_000]));
            }
            let _ = (link.frames(), link.events());
            (id, ours + each, theirs)
        })
        .collect()
}

#[test]
fn programs_that_write_what_they_have_read_go_on_though_memory_is_full() {
    const ECHOES: u16 = 10;
    const EACH: u32 = 60_000;
    const ALL: usize = ECHOES as usize * EACH as usize;
    let mut link = Link::with(Config { tcp_bytes_max: ALL, ..Config::default() }, gateway(PLAIN));
    link.acquaint();
    let ids = filled(&mut link, ECHOES, EACH);
    assert_eq!(link.stack.memory().tcp_bytes, ALL);
    // What each has read and not written yet, and whether it was told that it may write.
    let mut pending: Vec<(Bytes, bool)> = vec![(Bytes::new(), true); ECHOES.into()];
    let mut echoed = 0;
    for _ in 0..2_000 {
        let now = link.now;
        for ((id, ..), (data, may_write)) in ids.iter().zip(&mut pending) {
            while *may_write {
                if data.is_empty() {
                    match link.stack.tcp_read(*id, 10_000, now) {
                        Some(read) => *data = read,
                        None => break,
                    }
                }
                link.stack.tcp_write(*id, data, now);
                *may_write = data.is_empty();
            }
        }
        // The peers take all and acknowledge it.
        for frame in link.frames().iter().filter(|frame| matches!(frame.content, Content::V4(..))) {
            let (_, _, header, payload) = frame.segment();
            if !payload.is_empty() {
                let port = header.destination_port;
                assert!(payload.iter().all(|byte| *byte == port as u8), "another's bytes");
                echoed += payload.len();
                let next = header.sequence + payload.len() as u32;
                let answer = segment(ids[usize::from(port) - 1].1, next, Flags::ACK);
                link.receive(tcp_frame(at(PEER_V4, port), at(OUR_V4, 80), answer, b""));
            }
        }
        assert!(link.stack.memory().tcp_bytes <= ALL + usize::from(ECHOES) * WRITABLE_MIN_BYTES);
        for event in link.events() {
            if let Event::Tcp { connection, event: tcp::Event::Writable } = event {
                let place = ids.iter().position(|(id, ..)| *id == connection);
                pending[place.expect("one of them")].1 = true;
            }
        }
        link.pass(Duration::from_millis(100));
    }
    assert_eq!((echoed, link.stack.memory().tcp_bytes), (ALL, 0));
}

#[test]
fn a_segment_that_finds_no_memory_is_answered_and_its_header_counts() {
    let mut link = Link::with(Config { tcp_bytes_max: 120_000, ..Config::default() }, gateway(PLAIN));
    link.acquaint();
    let ids = filled(&mut link, 2, 60_000);
    let (to, (id, ours, theirs)) = (at(OUR_V4, 80), ids[0]);
    // Probes of a window, one octet each (RFC 9293 §3.8.6.1).
    for _ in 0..20 {
        link.receive(tcp_frame(at(PEER_V4, 1), to, segment(ours, theirs, Flags::ACK), b"x"));
        let answers: Vec<_> = link.frames().iter().map(|frame| frame.segment().2.acknowledgement).collect();
        assert_eq!(answers, [ours]);
    }
    assert_eq!(link.dropped(Drop::TcpMemoryFull), 20);
    // What it acknowledges counts, and a FIN behind text that was not taken does not.
    let now = link.now;
    assert_eq!(link.stack.tcp_write(id, &mut vec![1; 100].into(), now), 100);
    assert_eq!(link.frames().len(), 1);
    let both = segment(ours, theirs + 100, Flags::ACK | Flags::FIN);
    link.receive(tcp_frame(at(PEER_V4, 1), to, both, b"more"));
    let info = link.stack.tcp_info(id, now).expect("it is open");
    assert_eq!((info.state, info.unacknowledged_bytes), (tcp::State::Established, 0));
    assert_eq!(link.frame().segment().2.acknowledgement, ours);
    // RFC 9293 §3.5.3: a reset may have text.
    let reset = segment(ours, theirs + 100, Flags::RST | Flags::ACK);
    link.receive(tcp_frame(at(PEER_V4, 1), to, reset, b"no such service"));
    let ended = tcp::Event::Closed(tcp::CloseReason::Reset);
    assert!(link.events().iter().any(|event| matches!(event, Event::Tcp { event, .. } if *event == ended)));
}

/// Receives 10,000 bytes in a frame of 64 KB; whether the frame stays.
fn keeps_frame(link: &mut Link, from: SocketAddr, to: SocketAddr, header: Header) -> bool {
    let pool = Pool::new(65_536, 1);
    let mut buffer = pool.take();
    let frame = tcp_frame(from, to, header, &[7; 10_000]);
    buffer[..frame.len()].copy_from_slice(&frame);
    link.receive_packet(Packet::received(buffer.freeze(frame.len()), Offload::default()));
    let _ = link.frames();
    pool.idle() == 0
}

#[test]
fn a_frame_does_not_stay_for_its_last_bytes() {
    let mut link = Link::acquainted();
    listen(&mut link, 80, 10);
    let (from, to) = (at(PEER_V4, 40_000), at(OUR_V4, 80));
    let (connection, first, theirs) = handshake(&mut link, from, to, 1_000);
    let mut arrives =
        |offset: u32| keeps_frame(&mut link, from, to, segment(first + offset, theirs, Flags::ACK));
    // In order, whole and in part; beyond a gap, whole, and cut on its right and on its left.
    assert_eq!([0, 4_000, 30_000, 25_000, 36_000].map(&mut arrives), [true, false, true, false, false]);
    // It fills the gap before 25,000, and its rest is old.
    assert_eq!([14_000, 20_000].map(&mut arrives), [true, false]);
    let read = core::iter::from_fn(|| link.stack.tcp_read(connection, usize::MAX, link.now));
    assert_eq!(read.map(|bytes| bytes.len()).sum::<usize>(), 46_000);
}

#[test]
fn a_frame_does_not_stay_for_what_comes_before_a_fin() {
    let mut link = Link::acquainted();
    listen(&mut link, 80, 10);
    let (from, to) = (at(PEER_V4, 40_000), at(OUR_V4, 80));
    let (connection, first, theirs) = handshake(&mut link, from, to, 1_000);
    let end = segment(first + 5_000, theirs, Flags::ACK | Flags::FIN);
    link.receive(tcp_frame(from, to, end, b""));
    assert!(!keeps_frame(&mut link, from, to, segment(first, theirs, Flags::ACK)));
    let read = core::iter::from_fn(|| link.stack.tcp_read(connection, usize::MAX, link.now));
    assert_eq!(read.map(|bytes| bytes.len()).sum::<usize>(), 5_000);
}
