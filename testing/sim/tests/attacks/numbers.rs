//! The numbers that a stack chooses, as somebody sees them who may ask for as many as he likes and wants to foretell those
//! of others: initial sequence numbers (RFC 6528), timestamps (RFC 7323 §7.1), ports (RFC 6056), identifications (RFC 7739).

use crate::arena::*;
use packet::Bytes;
use stack::{Binding, Datagram};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use time::Duration;
use wire::ipv4;

const SAMPLES: usize = 10_000;
/// Ticks of the clock of RFC 6528 between two samples: one each millisecond.
const TICKS: u32 = 250;

/// The server's answers to SYNs that come from `from(n)`, a millisecond apart; their initial numbers and timestamps.
fn offers(backlog: usize, from: impl Fn(usize) -> SocketAddr) -> (Vec<u32>, Vec<u32>) {
    let mut arena = Arena::new();
    arena.listen(backlog);
    (0..SAMPLES)
        .map(|number| {
            arena.now += Duration::from_millis(1);
            let answers = arena.answers([segment(from(number), syn(7), b"")]);
            let (header, _) = header_of(&answers[0]);
            (header.sequence.0, header.options.timestamps.expect("timestamps are agreed on").value)
        })
        .unzip()
}

/// How far `values` are from spread evenly over 256 classes: chi-square with 255 degrees of freedom, whose mean is 255 and
/// whose standard deviation is 22.6.
fn unevenness(values: impl Iterator<Item = u8>) -> f64 {
    let mut counts = [0_u32; 256];
    let mut total = 0_u32;
    for value in values {
        counts[usize::from(value)] += 1;
        total += 1;
    }
    let expected = f64::from(total) / 256.0;
    counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum()
}

/// Six standard deviations above the mean: by chance once in a thousand million runs, and the seed is always the same.
const UNEVENNESS_MAX: f64 = 255.0 + 6.0 * 22.6;

/// Fails where the next of `numbers` could be told from those before.
fn assert_unforeseeable(what: &str, numbers: &[u32]) {
    let steps: Vec<u32> = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    let distinct: BTreeSet<u32> = steps.iter().copied().collect();
    // Of ten thousand draws from 2^32, a dozen meet another one by chance at most.
    assert!(distinct.len() > steps.len() - 12, "{what}: {} steps are different", distinct.len());
    for shift in [0, 8, 16, 24] {
        let byte = |value: &u32| (value >> shift) as u8;
        let found = unevenness(steps.iter().map(byte));
        assert!(found < UNEVENNESS_MAX, "{what}: steps at bit {shift}: {found}");
        let found = unevenness(numbers.iter().map(byte));
        assert!(found < UNEVENNESS_MAX, "{what}: at bit {shift}: {found}");
    }
}

#[test]
fn initial_numbers_and_timestamps_of_one_peer_do_not_tell_those_of_the_next_port() {
    let from = |number: usize| SocketAddr::new(CLIENT.into(), 10_000 + number as u16);
    let (numbers, stamps) = offers(SAMPLES, from);
    assert_unforeseeable("initial numbers", &numbers);
    assert_unforeseeable("timestamps", &stamps);
    // The low bits of a cookie's timestamp are the options that the SYN asked for; its number is as good as any.
    assert_unforeseeable("cookies", &offers(1, from).0);
}

#[test]
fn initial_numbers_of_the_attackers_own_address_do_not_tell_those_of_another() {
    let from = |number: usize| SocketAddr::new(Ipv4Addr::from(0x0b00_0000 + number as u32).into(), 40_000);
    let (numbers, stamps) = offers(SAMPLES, from);
    assert_unforeseeable("initial numbers", &numbers);
    assert_unforeseeable("timestamps", &stamps);
    assert_unforeseeable("cookies", &offers(1, from).0);
}

#[test]
fn initial_numbers_of_the_same_ports_grow_with_the_clock() {
    // RFC 6528 §3: what a peer needs to know an old segment from a new one; its own numbers are no secret to it.
    let mut arena = Arena::new();
    arena.listen(16);
    let from = SocketAddr::new(CLIENT.into(), 40_000);
    let numbers: Vec<u32> = (0..100)
        .map(|_| {
            arena.now += Duration::from_millis(1);
            let answers = arena.answers([segment(from, syn(7), b"")]);
            let (offer, _) = header_of(&answers[0]);
            let reset = wire::tcp::Header {
                sequence: time::SequenceNumber(8),
                flags: wire::tcp::Flags::RST,
                ..wire::tcp::Header::default()
            };
            arena.attack([segment(from, reset, b"")]);
            offer.sequence.0
        })
        .collect();
    assert!(numbers.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == TICKS));
}

#[test]
fn ports_to_one_destination_do_not_tell_those_to_another() {
    let mut arena = Arena::new();
    let mut first = |number: u32| {
        let remote = SocketAddr::new(Ipv4Addr::from(0x0b00_0000 + number).into(), PORT);
        let now = arena.now;
        let stack = &mut arena.client.stack;
        let connection = stack.tcp_connect(None, remote, profile(), now).expect("there is a way");
        let (local, _) = stack.tcp_addresses(connection).expect("it is open");
        stack.tcp_abort(connection, now);
        stack.tcp_release(connection, now);
        local.port()
    };
    let ports: Vec<u16> = (0..SAMPLES as u32).map(&mut first).collect();
    assert!(ports.iter().all(|port| *port >= 49_152));
    let steps = ports.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    let (low, high) =
        (unevenness(ports.iter().map(|port| *port as u8)), unevenness(steps.map(|step| step as u8)));
    assert!(low < UNEVENNESS_MAX && high < UNEVENNESS_MAX, "{low} {high}");
    let classes: BTreeSet<u16> = ports.iter().map(|port| port >> 6).collect();
    assert_eq!(classes.len(), 256, "all of the dynamic range is used");
}

#[test]
fn segments_have_no_identification_and_datagrams_one_that_nobody_else_can_count() {
    let mut arena = Arena::new();
    arena.listen(16);
    let joined = arena.connected();
    let now = arena.now;
    arena.server.stack.tcp_write(joined.server, &mut Bytes::from(vec![1; 9_000]), now);
    // RFC 6864 §4.1: what may not be fragmented needs none; and one that is always 0 counts nothing.
    for packet in arena.server.sent(now) {
        let (header, _) = ipv4::Header::parse(&packet).expect("an IPv4 header");
        assert_eq!((header.dont_fragment, header.identification), (true, 0));
    }
    let socket = arena.server.stack.udp_bind(Binding::Port(53)).expect("free");
    let from = SocketAddr::new(SERVER.into(), 53);
    let mut sent_to = |to: Ipv4Addr| {
        let to = SocketAddr::new(to.into(), 1_000);
        let datagram =
            Datagram { local: from, remote: to, payload: Bytes::from(vec![1; 2_000]), dont_fragment: false };
        let now = arena.now;
        arena.server.stack.udp_send(socket, datagram, now).expect("it leaves");
        let packets = arena.server.sent(now);
        let (header, _) = ipv4::Header::parse(&packets[0]).expect("an IPv4 header");
        assert!(header.more_fragments);
        header.identification
    };
    // The attacker's own go on by one, whatever others got meanwhile, but for the few who share its counter: an idle scan
    // needs a counter for all.
    let numbers: Vec<u16> = (0..1_000)
        .map(|number: u32| {
            for other in 0..3 {
                sent_to(Ipv4Addr::from(0x0c00_0000 + number * 3 + other));
            }
            sent_to(CLIENT)
        })
        .collect();
    let steps: Vec<u16> = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    assert!(steps.iter().filter(|step| **step == 1).count() > 900, "{steps:?}");
    let others: Vec<u16> = (0..2_000).map(|number| sent_to(Ipv4Addr::from(0x0d00_0000 + number))).collect();
    let found = unevenness(others.iter().map(|number| *number as u8));
    assert!(found < UNEVENNESS_MAX, "{found}");
}
