//! The links themselves: each impairment does what it says, the same seed does it again.

use packet::{
    Batch, Bytes, Chain, Checksum, Device, Headers, Medium, Offload, Packet, Segmentation, SegmentationKind,
};
use sim::{Burst, Link, LinkId, Offloading, Passage, Port, Reorder, World, examine, finish, for_each_seed};
use std::net::{Ipv4Addr, Ipv6Addr};
use time::{Duration, Instant};
use wire::checksum::Sum;
use wire::{Protocol, ethernet, ipv4, ipv6, tcp, udp};

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// A datagram on a link without link headers, its number as payload.
fn datagram(number: u32) -> Packet {
    let mut bytes = vec![0; 32];
    let payload = number.to_be_bytes();
    bytes[28..].copy_from_slice(&payload);
    let header = udp::Header { source_port: 1, destination_port: 2, length: 12, checksum: 0 };
    header.emit(&mut bytes[20..]);
    let mut sum = Sum::pseudo_v4(A, B, Protocol::UDP, 12);
    sum.add(&bytes[20..]);
    udp::Header { checksum: udp::checksum(sum), ..header }.emit(&mut bytes[20..]);
    ipv4_header(32, Protocol::UDP).emit(&mut bytes);
    Packet::received(Bytes::from(bytes), Offload::default())
}

fn ipv4_header(total_length: u16, protocol: Protocol) -> ipv4::Header {
    ipv4::Header {
        traffic_class: 0,
        total_length,
        identification: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol,
        source: A,
        destination: B,
    }
}

/// Sends `count` datagrams, one each 100 µs, and returns what came: when, and which number.
fn pass(seed: u64, link: Link, count: u32) -> (Vec<(Instant, Bytes)>, Passage) {
    let mut world = World::new(seed);
    let (id, [mut near, mut far]) = world.wire(Link { medium: Medium::Ip, ..link });
    let mut arrived = Vec::new();
    for number in 0..count {
        let mut batch = Batch::with_capacity(1);
        batch.push(datagram(number)).expect("room for one");
        near.transmit(&mut batch).expect("never breaks");
        receive(&mut world, &mut far, Duration::from_micros(100), &mut arrived);
    }
    receive(&mut world, &mut far, Duration::from_secs(10), &mut arrived);
    let [there, back] = world.passage(id);
    assert_eq!(back, Passage::default());
    assert_eq!(there.delivered, arrived.len() as u64);
    (arrived, there)
}

fn receive(world: &mut World, port: &mut Port, span: Duration, arrived: &mut Vec<(Instant, Bytes)>) {
    world.run_until(span, |world| {
        let mut batch = Batch::with_capacity(64);
        port.receive(&mut batch).expect("never breaks");
        while let Some(packet) = batch.pop() {
            arrived.push((world.now(), packet.into_bytes()));
        }
        false
    });
}

fn numbers(arrived: &[(Instant, Bytes)]) -> Vec<u32> {
    arrived
        .iter()
        .map(|(_, frame)| u32::from_be_bytes(frame[28..32].try_into().expect("four bytes")))
        .collect()
}

#[test]
fn a_clean_link_delivers_all_in_order_after_its_delay() {
    let (arrived, passage) = pass(1, Link { delay: Duration::from_millis(5), ..Link::default() }, 100);
    assert_eq!(numbers(&arrived), (0..100).collect::<Vec<_>>());
    assert_eq!(passage, Passage { delivered: 100, ..Passage::default() });
    let start = World::new(1).now();
    assert_eq!(arrived[0].0, start + Duration::from_millis(5));
    assert_eq!(arrived[99].0, start + Duration::from_micros(99 * 100 + 5_000));
}

#[test]
fn jitter_delays_without_changing_the_order() {
    let (arrived, _) = pass(2, Link { jitter: Duration::from_millis(3), ..Link::default() }, 500);
    assert_eq!(numbers(&arrived), (0..500).collect::<Vec<_>>());
    let spans: std::collections::BTreeSet<_> = arrived.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(spans.len() > 50, "{} different spans", spans.len());
}

#[test]
fn a_rate_spaces_packets_and_its_queue_is_bounded() {
    // 32 bytes and 24 of framing at 448 kbit/s take 1 ms each; they come every 100 µs.
    let link = Link { rate_bits: Some(448_000), queue_packets: 10, delay: Duration::ZERO, ..Link::default() };
    let (arrived, passage) = pass(3, link, 100);
    assert!(arrived.windows(2).all(|pair| pair[1].0 - pair[0].0 == Duration::from_millis(1)));
    assert_eq!(passage.delivered + passage.queue_full, 100);
    assert!((18..=20).contains(&passage.delivered), "{passage:?}");
}

#[test]
fn losses_come_as_often_as_asked() {
    let (_, passage) = pass(4, Link { loss_ppm: 100_000, ..Link::default() }, 5_000);
    assert!((400..600).contains(&passage.lost), "{passage:?}");
}

#[test]
fn bursts_lose_runs() {
    let burst = Some(Burst { begin_ppm: 10_000, lasting_max: Duration::from_millis(2) });
    let (arrived, passage) = pass(5, Link { burst, ..Link::default() }, 5_000);
    let longest = numbers(&arrived).windows(2).map(|pair| pair[1] - pair[0] - 1).max();
    assert!(longest >= Some(5), "the longest run is {longest:?}");
    assert!((200..900).contains(&passage.lost), "{passage:?}");
}

#[test]
fn reordering_lets_packets_be_overtaken() {
    let reorder = Some(Reorder { ppm: 100_000, delay_max: Duration::from_millis(2) });
    let (arrived, passage) = pass(6, Link { reorder, ..Link::default() }, 1_000);
    let mut numbers = numbers(&arrived);
    assert!(numbers.windows(2).filter(|pair| pair[0] > pair[1]).count() > 30);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..1_000).collect::<Vec<_>>());
    assert!((70..130).contains(&passage.reordered), "{passage:?}");
}

#[test]
fn duplicates_arrive_twice_and_corrupted_ones_show_in_their_checksums() {
    let link = Link { duplicate_ppm: 50_000, corrupt_ppm: 50_000, ..Link::default() };
    let (arrived, passage) = pass(7, link, 1_000);
    assert_eq!(passage.delivered, 1_000 + passage.duplicated);
    assert!(passage.duplicated > 20 && passage.corrupted > 20, "{passage:?}");
    let wrong = arrived.iter().filter(|(_, frame)| examine(Medium::Ip, 1_500, frame).is_err()).count() as u64;
    // A corrupted packet may also be duplicated.
    assert!(
        wrong >= passage.corrupted && wrong <= passage.corrupted + passage.duplicated,
        "{wrong} of {passage:?}"
    );
}

#[test]
fn the_same_seed_does_the_same_again() {
    for_each_seed(20, |seed| {
        let link = Link {
            loss_ppm: 50_000,
            jitter: Duration::from_millis(1),
            duplicate_ppm: 20_000,
            corrupt_ppm: 20_000,
            reorder: Some(Reorder { ppm: 20_000, delay_max: Duration::from_millis(3) }),
            ..Link::default()
        };
        assert_eq!(pass(seed, link.clone(), 200), pass(seed, link, 200));
    });
}

/// A large TCP segment as a stack hands it to a device that cuts: FIN and PSH set, `payload` bytes.
fn large(kind: SegmentationKind, medium: Medium, payload: usize) -> Packet {
    let mut packet = Packet { body: Chain::from(Bytes::from(vec![0xa5; payload])), ..Packet::default() };
    let v6 = kind == SegmentationKind::Tcp6;
    let link = if medium == Medium::Ethernet { ethernet::HEADER_LENGTH } else { 0 };
    let network = if v6 { ipv6::HEADER_LENGTH } else { ipv4::HEADER_LENGTH };
    let flags = tcp::Flags::ACK | tcp::Flags::PSH | tcp::Flags::FIN | tcp::Flags::CWR;
    let timestamps = Some(tcp::Timestamps { value: 1, echo: 2 });
    let options = tcp::Options { timestamps, ..tcp::Options::default() };
    let (header_length, checksum_offset) = match kind {
        SegmentationKind::Udp => {
            let length = (8 + payload) as u16;
            udp::Header { source_port: 9, destination_port: 9, length, checksum: 0 }
                .emit(packet.headers.prepend(8));
            (8, udp::CHECKSUM_OFFSET)
        }
        SegmentationKind::Tcp4 | SegmentationKind::Tcp6 => {
            let header = tcp::Header { flags, options, ..tcp::Header::default() };
            header.emit(packet.headers.prepend(header.length()));
            (header.length(), tcp::CHECKSUM_OFFSET)
        }
    };
    let protocol = if kind == SegmentationKind::Udp { Protocol::UDP } else { Protocol::TCP };
    prepend_network(&mut packet.headers, v6, header_length + payload, protocol);
    if medium == Medium::Ethernet {
        let ether_type = if v6 { ethernet::EtherType::IPV6 } else { ethernet::EtherType::IPV4 };
        ethernet::Header { ether_type, ..ethernet::Header::default() }.emit(packet.headers.prepend(link));
    }
    packet.offload = Offload {
        checksum: Checksum::Partial { start: (link + network) as u16, offset: checksum_offset as u16 },
        segmentation: Some(Segmentation {
            kind,
            size: 1_000,
            header_length: (link + network + header_length) as u16,
        }),
    };
    packet
}

fn prepend_network(headers: &mut Headers, v6: bool, length: usize, protocol: Protocol) {
    if v6 {
        let header = ipv6::Header {
            traffic_class: 0,
            flow_label: 0,
            payload_length: length as u16,
            next_header: protocol,
            hop_limit: 64,
            source: Ipv6Addr::LOCALHOST,
            destination: Ipv6Addr::LOCALHOST,
        };
        header.emit(headers.prepend(ipv6::HEADER_LENGTH));
    } else {
        ipv4_header((ipv4::HEADER_LENGTH + length) as u16, protocol)
            .emit(headers.prepend(ipv4::HEADER_LENGTH));
    }
}

#[test]
fn a_large_segment_is_cut_into_well_formed_ones() {
    for kind in [SegmentationKind::Tcp4, SegmentationKind::Tcp6, SegmentationKind::Udp] {
        for medium in [Medium::Ethernet, Medium::Ip] {
            for (payload, count) in [(1, 1), (1_000, 1), (1_001, 2), (2_500, 3), (60_000, 60)] {
                let packet = large(kind, medium, payload);
                let headers = packet.headers.len();
                let frames = finish(packet);
                assert_eq!(frames.len(), count, "{kind:?}, {payload} bytes");
                let total: usize = frames.iter().map(|frame| frame.len() - headers).sum();
                assert_eq!(total, payload);
                for frame in &frames {
                    assert_eq!(examine(medium, 1_500, frame), Ok(()), "{kind:?} on {medium:?}");
                }
            }
        }
    }
}

#[test]
fn only_the_last_segment_finishes_and_only_the_first_tells_of_congestion() {
    let frames = finish(large(SegmentationKind::Tcp4, Medium::Ip, 2_500));
    let headers: Vec<_> =
        frames.iter().map(|frame| tcp::Header::parse(&frame[20..]).expect("well-formed").0).collect();
    let sequences: Vec<_> = headers.iter().map(|header| header.sequence.0).collect();
    assert_eq!(sequences, [0, 1_000, 2_000]);
    let has = |flag| headers.iter().map(|header| header.flags.contains(flag)).collect::<Vec<_>>();
    assert_eq!(has(tcp::Flags::FIN), [false, false, true]);
    assert_eq!(has(tcp::Flags::PSH), [false, false, true]);
    assert_eq!(has(tcp::Flags::CWR), [true, false, false]);
    assert_eq!(has(tcp::Flags::ACK), [true, true, true]);
}

#[test]
fn offloads_are_offered_as_the_link_says() {
    let capabilities = |offloading| {
        let (_, [port, _]): (LinkId, _) = World::new(0).wire(Link { offloading, ..Link::default() });
        let capabilities = port.capabilities();
        (capabilities.transmit_checksum, capabilities.segmentation_bytes_max > 0)
    };
    assert_eq!(capabilities(Offloading::None), (false, false));
    assert_eq!(capabilities(Offloading::Device), (true, true));
    assert_eq!(capabilities(Offloading::Through), (true, true));
}

#[test]
fn marks_pass_through_a_link_without_a_wire() {
    for (offloading, expected) in [(Offloading::Device, 3), (Offloading::Through, 1)] {
        let mut world = World::new(0);
        let (_, [mut near, mut far]) = world.wire(Link { offloading, ..Link::default() });
        let mut batch = Batch::with_capacity(8);
        let packet = large(SegmentationKind::Tcp4, Medium::Ethernet, 2_500);
        let marks = packet.offload;
        batch.push(packet).expect("room");
        near.transmit(&mut batch).expect("never breaks");
        world.run_for(Duration::from_millis(2));
        far.receive(&mut batch).expect("never breaks");
        assert_eq!(batch.len(), expected);
        let arrived = batch.pop().expect("arrived").offload;
        assert_eq!(arrived, if expected == 1 { marks } else { Offload::default() });
    }
}

#[test]
fn what_passed_is_written_as_pcap() {
    let mut world = World::new(0);
    world.record();
    let (_, [mut near, _]) = world.wire(Link { medium: Medium::Ip, ..Link::default() });
    let mut batch = Batch::with_capacity(1);
    batch.push(datagram(7)).expect("room");
    near.transmit(&mut batch).expect("never breaks");
    let mut file = Vec::new();
    world.trace().write_pcap(Medium::Ip, &mut file).expect("written to memory");
    assert_eq!(file.len(), 24 + 16 + 32);
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"));
    assert_eq!((word(0), word(20), word(24), word(28), word(32)), (0xa1b2_3c4d, 101, 1_000, 0, 32));
    assert_eq!(world.trace().frames().count(), 1);
}
