//! TCP through two stacks, from the ARP question to empty tables.

use crate::link::{arp_frame, arp_request, at, tcp_profile};
use crate::pair::*;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use packet::{Batch, Bytes, Capabilities, Offload, Packet};
use stack::{Config, ConnectError, Drop, Event, Refusal, TcpId};
use std::collections::BTreeSet;
use tcp::CloseReason;
use time::Duration;

fn pattern(length: usize) -> Bytes {
    (0..length).map(|n| (n * 31 + n / 257) as u8).collect::<Vec<u8>>().into()
}

/// A megabyte each way, an orderly close, and nothing left.
fn life(capabilities: Capabilities, to: IpAddr) {
    let (mut pair, client, server) = Pair::connected(capabilities, to);
    let data = pattern(1 << 20);
    assert!(pair.transfer((0, client), (1, server), &data) == data, "what was sent arrives");
    assert!(pair.transfer((1, server), (0, client), &data) == data, "also the other way");
    pair.settle();
    assert_eq!(
        (pair.memory(0).tcp_bytes, pair.memory(1).tcp_bytes),
        (0, 0),
        "an idle connection holds nothing"
    );
    close(&mut pair, client, server);
    assert_eq!(
        (pair.memory(0).connections, pair.memory(1).connections),
        (1, 0),
        "the client is in TIME-WAIT"
    );
    pair.pass(Duration::from_secs(61));
    for side in [0, 1] {
        let memory = pair.memory(side);
        assert_eq!((memory.connections, memory.tcp_bytes, memory.queued_packets), (0, 0, 0), "{memory:?}");
        let counters = pair.sides[side].stack.counters();
        assert_eq!(counters.drops().count(), 0, "{counters:?}");
    }
}

fn close(pair: &mut Pair, client: TcpId, server: TcpId) {
    let now = pair.now;
    pair.sides[0].stack.tcp_shutdown(client, now);
    pair.settle();
    assert!(pair.told(1, server, tcp::Event::PeerClosed));
    assert!(pair.sides[1].stack.tcp_is_at_end(server));
    let now = pair.now;
    pair.sides[1].stack.tcp_shutdown(server, now);
    pair.settle();
    assert!(pair.told(0, client, tcp::Event::Closed(CloseReason::Finished)));
    assert!(pair.told(1, server, tcp::Event::Closed(CloseReason::Finished)));
    let now = pair.now;
    pair.sides[0].stack.tcp_release(client, now);
    pair.sides[1].stack.tcp_release(server, now);
}

#[test]
fn life_over_v4_plain() {
    life(crate::link::PLAIN, V4[1].into());
}

#[test]
fn life_over_v6_plain() {
    life(crate::link::PLAIN, V6[1].into());
}

#[test]
fn life_over_v4_offloading() {
    life(OFFLOADING, V4[1].into());
}

#[test]
fn life_over_v6_offloading() {
    life(OFFLOADING, V6[1].into());
}

#[test]
fn offloading_device_gets_large_segments() {
    let (mut pair, client, server) = Pair::connected(OFFLOADING, V4[1]);
    let before = pair.sides[0].sent;
    let data = pattern(4 << 20);
    assert!(pair.transfer((0, client), (1, server), &data) == data);
    let frames = pair.sides[0].sent - before;
    assert!(frames < 400, "{frames} frames for 4 MiB are more than segments of 64 KB with a start-up take");
}

#[test]
fn one_acknowledgement_for_each_batch() {
    let (mut pair, client, server) = Pair::connected(crate::link::PLAIN, V4[1]);
    // Past slow start and quick acknowledgements.
    let data = pattern(1 << 20);
    assert!(pair.transfer((0, client), (1, server), &data) == data);
    let now = pair.now;
    pair.sides[0].stack.tcp_write(client, &mut pattern(100_000), now);
    let (sent, answered) = (pair.sides[0].sent, pair.sides[1].sent);
    assert!(pair.carry(0));
    assert!(pair.sides[0].sent - sent > 10, "a batch of many segments");
    assert!(pair.carry(1));
    assert_eq!(pair.sides[1].sent - answered, 1);
}

#[test]
fn closed_port_refuses() {
    let mut pair = Pair::new(crate::link::PLAIN);
    let client = pair.connect(V4[1]);
    pair.settle();
    assert!(pair.told(0, client, tcp::Event::Closed(CloseReason::Refused)));
    assert_eq!(pair.sides[1].stack.counters().dropped(Drop::TcpNoConnection), 1);
    let now = pair.now;
    pair.sides[0].stack.tcp_release(client, now);
    assert_eq!(pair.memory(0).connections, 0);
}

#[test]
fn neighbour_that_does_not_exist_is_unreachable() {
    let mut pair = Pair::new(crate::link::PLAIN);
    let client = pair.connect([10, 0, 2, 77]);
    pair.pass(Duration::from_secs(5));
    assert!(pair.told(0, client, tcp::Event::Closed(CloseReason::Unreachable)));
}

fn request(pair: &Pair) -> stack::RequestId {
    let requests = pair.sides[1].events.iter();
    let requests = requests.filter_map(|event| match *event {
        Event::TcpRequest { request, .. } => Some(request),
        _ => None,
    });
    let requests: Vec<_> = requests.collect();
    assert_eq!(requests.len(), 1, "one request, also where the SYN came again");
    requests[0]
}

#[test]
fn admitted_request_becomes_a_connection() {
    let mut pair = Pair::new(crate::link::PLAIN);
    pair.listen(true);
    let client = pair.connect(V4[1]);
    pair.pass(Duration::from_secs(4));
    assert!(!pair.told(0, client, tcp::Event::Established), "nothing is answered before the verdict");
    let request = request(&pair);
    let now = pair.now;
    let server = pair.sides[1].stack.tcp_admit(request, tcp_profile(), now).expect("it waits");
    pair.settle();
    assert!(pair.told(0, client, tcp::Event::Established) && pair.told(1, server, tcp::Event::Established));
    let data = pattern(100_000);
    assert!(pair.transfer((0, client), (1, server), &data) == data);
    assert!(
        pair.sides[1].stack.tcp_admit(request, tcp_profile(), now).is_none(),
        "its number means nothing now"
    );
}

#[test]
fn request_refused_by_reset_is_refused() {
    let mut pair = Pair::new(crate::link::PLAIN);
    pair.listen(true);
    let client = pair.connect(V6[1]);
    pair.exchange();
    let request = request(&pair);
    let now = pair.now;
    pair.sides[1].stack.tcp_refuse(request, Refusal::Reset, now);
    pair.settle();
    assert!(pair.told(0, client, tcp::Event::Closed(CloseReason::Refused)));
}

#[test]
fn request_refused_by_icmp_is_unreachable() {
    for refusal in [Refusal::Prohibited, Refusal::PortUnreachable] {
        for to in [IpAddr::from(V4[1]), IpAddr::from(V6[1])] {
            let mut pair = Pair::new(crate::link::PLAIN);
            pair.listen(true);
            let client = pair.connect(to);
            pair.exchange();
            let request = request(&pair);
            let now = pair.now;
            pair.sides[1].stack.tcp_refuse(request, refusal, now);
            pair.settle();
            assert!(pair.told(0, client, tcp::Event::Closed(CloseReason::Unreachable)));
        }
    }
}

#[test]
fn released_connection_closes_by_itself() {
    let (mut pair, client, server) = Pair::connected(crate::link::PLAIN, V4[1]);
    let data = pattern(60_000);
    let now = pair.now;
    pair.sides[0].stack.tcp_write(client, &mut data.clone(), now);
    pair.sides[0].stack.tcp_release(client, now);
    assert_eq!(pair.memory(0).connections, 1, "what was written is still delivered");
    pair.settle();
    let now = pair.now;
    let read = core::iter::from_fn(|| pair.sides[1].stack.tcp_read(server, usize::MAX, now));
    assert!(read.flatten().collect::<Vec<u8>>() == data);
    pair.sides[1].stack.tcp_release(server, now);
    pair.pass(Duration::from_secs(62));
    assert_eq!((pair.memory(0).connections, pair.memory(1).connections), (0, 0));
    assert_eq!((pair.memory(0).tcp_bytes, pair.memory(1).tcp_bytes), (0, 0));
}

#[test]
fn aborted_connection_resets_its_peer() {
    let (mut pair, client, server) = Pair::connected(crate::link::PLAIN, V4[1]);
    let now = pair.now;
    pair.sides[0].stack.tcp_abort(client, now);
    pair.settle();
    assert!(pair.told(0, client, tcp::Event::Closed(CloseReason::Aborted)));
    assert!(pair.told(1, server, tcp::Event::Closed(CloseReason::Reset)));
    let now = pair.now;
    assert_eq!(pair.sides[1].stack.tcp_write(server, &mut pattern(10), now), 0);
    pair.sides[0].stack.tcp_release(client, now);
    pair.sides[1].stack.tcp_release(server, now);
    assert_eq!((pair.memory(0).connections, pair.memory(1).connections), (0, 0));
}

#[test]
fn connections_leave_from_ports_of_the_dynamic_range_each_its_own() {
    let mut pair = Pair::new(crate::link::PLAIN);
    let mut ports = BTreeSet::new();
    for _ in 0..200 {
        let client = pair.connect(V4[1]);
        let (local, _) = pair.sides[0].stack.tcp_addresses(client).expect("it is open");
        assert!(local.port() >= 49_152);
        ports.insert(local.port());
    }
    assert_eq!(ports.len(), 200);
}

#[test]
fn a_port_in_time_wait_is_opened_again_after_a_second() {
    let (mut pair, client, server) = Pair::connected(crate::link::PLAIN, V4[1]);
    let (local, remote) = pair.sides[0].stack.tcp_addresses(client).expect("it is open");
    let now = pair.now;
    pair.sides[0].stack.tcp_release(client, now);
    pair.exchange();
    let now = pair.now;
    pair.sides[1].stack.tcp_release(server, now);
    pair.exchange();
    let again = |pair: &mut Pair, timestamps| {
        let profile = tcp::Config { timestamps, ..tcp::Config::default() };
        let now = pair.now;
        pair.sides[0].stack.tcp_connect(Some(local), remote, profile.into(), now)
    };
    assert_eq!(again(&mut pair, true), Err(ConnectError::InUse), "too early");
    pair.pass(Duration::from_secs(1));
    assert_eq!(again(&mut pair, false), Err(ConnectError::InUse), "nothing would tell old from new");
    let client = again(&mut pair, true).expect("the old one gives way");
    pair.settle();
    assert!(pair.told(0, client, tcp::Event::Established));
    assert_eq!(pair.memory(0).connections, 1);
}

#[test]
fn connect_says_what_is_wrong() {
    let mut pair = Pair::new(crate::link::PLAIN);
    let now = pair.now;
    let mut connect = |local: Option<SocketAddr>, remote: SocketAddr| {
        pair.sides[0].stack.tcp_connect(local, remote, tcp_profile(), now)
    };
    assert_eq!(connect(None, at(V4[1], 0)), Err(ConnectError::BadRemote));
    assert_eq!(connect(None, at([224, 0, 0, 1], 80)), Err(ConnectError::BadRemote));
    assert_eq!(connect(None, at([93, 184, 216, 34], 80)), Err(ConnectError::NoRoute));
    assert_eq!(connect(Some(at(V4[1], 5)), at(V4[1], 80)), Err(ConnectError::NotLocal));
    assert_eq!(connect(Some(at(V6[0], 5)), at(V4[1], 80)), Err(ConnectError::NotLocal));
    assert!(connect(Some(at(V4[0], 5)), at(V4[1], 80)).is_ok());
    assert_eq!(connect(Some(at(V4[0], 5)), at(V4[1], 80)), Err(ConnectError::InUse));
}

#[test]
fn same_seed_same_run() {
    let run = || {
        let (mut pair, client, server) = Pair::connected(crate::link::PLAIN, V4[1]);
        let data = pattern(200_000);
        assert!(pair.transfer((0, client), (1, server), &data) == data);
        let addresses = pair.sides[0].stack.tcp_addresses(client);
        (pair.sides[0].sent, pair.sides[1].sent, pair.now, addresses)
    };
    assert_eq!(run(), run());
}

#[test]
fn connection_keeps_what_cannot_leave_until_the_neighbour_answers() {
    // Room for one neighbour.
    let config = Config { neighbours_max: 1, ..Config::default() };
    let (mut pair, client, server) = Pair::connected_with(config, crate::link::PLAIN, V4[1]);
    let data = pattern(1 << 20);
    assert!(pair.transfer((0, client), (1, server), &data) == data, "the window is wide open");
    // Another machine takes the server's place in the table.
    let stranger = arp_frame(&arp_request(Ipv4Addr::new(10, 0, 2, 99), V4[0]));
    let mut batch = Batch::with_capacity(1);
    batch.push(Packet::received(Bytes::from(stranger), Offload::default())).expect("there is room");
    let now = pair.now;
    let side = &mut pair.sides[0];
    side.stack.handle_batch(side.interface, &mut batch, now);
    assert!(pair.transfer((0, client), (1, server), &data) == data);
    assert_eq!(pair.sides[0].stack.counters().dropped(Drop::NeighbourQueueFull), 0, "nothing is lost");
    assert!(pair.now - now < Duration::from_millis(200), "and nothing had to be sent again");
}
