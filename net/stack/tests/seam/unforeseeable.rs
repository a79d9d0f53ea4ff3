//! What nobody outside may foretell, looked at from outside: initial numbers, timestamps' offsets, ports, and IPv4
//! identifications. The stack's seed is fixed in these tests, so that their bounds hold always or never.

use crate::fragments::listening;
use crate::link::*;
use crate::requests::syn;
use crate::segments::{listen, segment};
use core::net::Ipv4Addr;
use packet::Bytes;
use stack::Datagram;
use std::collections::BTreeSet;
use time::SequenceNumber;
use wire::tcp::{Flags, Header, Timestamps};

/// Values that are looked at together.
const SAMPLES: u16 = 1_024;

/// Each bit is set about half of the time, and from one value to the next about half of the bits change.
fn assert_random(values: &[u32], what: &str) {
    let count = values.len() as u32;
    let about_half = |seen: u32, of: u32| seen * 100 > of * 42 && seen * 100 < of * 58;
    for bit in 0..32 {
        let set = values.iter().filter(|value| **value >> bit & 1 == 1).count() as u32;
        assert!(about_half(set, count), "bit {bit} of {what} is set in {set} of {count}");
    }
    let changes: u32 = values.windows(2).map(|pair| (pair[0] ^ pair[1]).count_ones()).sum();
    assert!(about_half(changes, (count - 1) * 32), "{changes} bits of {what} change");
    let distinct = values.iter().collect::<BTreeSet<_>>().len();
    assert_eq!(distinct, values.len(), "{what} come again");
}

/// What the stack answers to SYNs from many ports at one moment, each of which is taken back.
fn answers() -> Vec<Header> {
    let mut link = Link::acquainted();
    listen(&mut link, 80, 100);
    let to = at(OUR_V4, 80);
    let answer = |port: u16| {
        let from = at(PEER_V4, port);
        let mut offer = syn(1);
        offer.options.timestamps = Some(Timestamps { value: 1, echo: 0 });
        link.receive(tcp_frame(from, to, offer, b""));
        let answer = link.frame().segment().2;
        let end = segment(SequenceNumber(2), answer.sequence + 1, Flags::RST);
        link.receive(tcp_frame(from, to, end, b""));
        answer
    };
    (1..=SAMPLES).map(answer).collect()
}

#[test]
fn initial_numbers_of_neighbouring_ports_have_nothing_in_common() {
    let numbers: Vec<u32> = answers().iter().map(|answer| answer.sequence.0).collect();
    assert_random(&numbers, "initial numbers");
}

#[test]
fn timestamps_of_neighbouring_ports_have_nothing_in_common() {
    let values = answers()
        .iter()
        .map(|answer| answer.options.timestamps.expect("asked for").value)
        .collect::<Vec<_>>();
    assert_random(&values, "timestamps");
}

#[test]
fn ports_to_different_destinations_begin_anywhere() {
    let mut link = Link::acquainted();
    let mut first = |host: u8| {
        let remote = at(PEER_V4, 1_000 + u16::from(host));
        let id = link.stack.tcp_connect(None, remote, tcp_profile(), link.now).expect("there is a way");
        link.stack.tcp_addresses(id).expect("it is open").0.port()
    };
    let ports: Vec<u16> = (0..200).map(&mut first).collect();
    let distinct = ports.iter().collect::<BTreeSet<_>>().len();
    assert!(distinct > 190, "{distinct} of 200");
    let close = ports.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 256).count();
    assert!(close < 20, "{close} of 199 lie close to the one before");
    let rising = ports.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!((70..130).contains(&rising), "{rising} of 199 rise");
}

#[test]
fn identifications_to_different_destinations_begin_anywhere() {
    let (mut link, socket) = listening();
    let mut next = |host: u8| {
        let local = at(Ipv4Addr::new(93, 184, 216, host), 1);
        let datagram =
            Datagram { local, remote: at(PEER_V4, 2), payload: Bytes::new(), dont_fragment: false };
        link.stack.udp_send(socket, datagram, link.now).expect("it leaves");
        let frame = link.frame();
        let Content::V4(ip, _) = &frame.content else { panic!("IPv4 is expected") };
        ip.identification
    };
    let first: Vec<u16> = (0..200).map(&mut next).collect();
    let distinct = first.iter().collect::<BTreeSet<_>>().len();
    assert!(distinct > 190, "{distinct} of 200");
    let close = first.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 1_024).count();
    assert!(close < 20, "{close} of 199 lie close to the one before");
}
