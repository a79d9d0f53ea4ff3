//! TCP between two stacks: every byte arrives, in order and once, whatever the link does; then nothing is left.

use sim::{Burst, HostId, Link, LinkId, Offloading, Plan, Reorder, Transfer, World, for_each_seed};
use stack::Memory;
use std::sync::Arc;
use time::Duration;

const HOUR: Duration = Duration::from_hours(1);

fn two_hosts(seed: u64, link: Link) -> (World, [HostId; 2], LinkId) {
    let mut world = World::new(seed);
    let hosts = [world.host(), world.host()];
    let link = world.link(hosts[0], hosts[1], link);
    (world, hosts, link)
}

/// Runs a transfer to its end, and looks that both stacks are then empty.
fn transfer(seed: u64, link: Link, plan: &Plan) -> Duration {
    let (mut world, hosts, id) = two_hosts(seed, link.clone());
    let start = world.now();
    let mut transfer = Transfer::start(&mut world, hosts[0], hosts[1], id, plan);
    let done = world.run_until(HOUR, |world| transfer.poll(world));
    let stuck = || {
        let counters = hosts.map(|host| format!("{:?}", counters(&world, host)));
        format!(
            "seed {seed}: read {:?}, closed {:?}, {:?}, {counters:#?}",
            transfer.read_bytes(),
            transfer.closed(),
            world.passage(id)
        )
    };
    assert!(done, "{}", stuck());
    let span = world.now() - start;
    transfer.release(&mut world);
    assert_empty(&mut world, &hosts);
    span
}

fn counters(world: &World, host: HostId) -> stack::Counters {
    world.stack_ref(host).counters().clone()
}

/// After TIME-WAIT, the last retransmissions and the neighbours' ageing nothing is held, and no deadline stands.
fn assert_empty(world: &mut World, hosts: &[HostId]) {
    world.run_for(HOUR);
    for host in hosts {
        let stack = world.stack(*host);
        assert_eq!(Memory { neighbours: 0, paths: 0, ..stack.memory() }, Memory::default());
        assert_eq!(stack.poll_timeout(), None, "a deadline with nothing to wait for");
    }
}

#[test]
fn bytes_go_both_ways_over_a_clean_link() {
    for offloading in [Offloading::None, Offloading::Device, Offloading::Through] {
        for over_v6 in [false, true] {
            let plan =
                Plan { upload_bytes: 1_000_000, download_bytes: 1_000_000, over_v6, ..Plan::default() };
            let span = transfer(1, Link { offloading, ..Link::default() }, &plan);
            assert!(span < Duration::from_millis(500), "{offloading:?}, IPv6 {over_v6}: {span:?}");
        }
    }
}

#[test]
fn empty_streams_open_and_close() {
    for (upload_bytes, download_bytes) in [(0, 0), (1, 0), (0, 1), (0, 100_000), (100_000, 0)] {
        let plan = Plan { upload_bytes, download_bytes, ..Plan::default() };
        transfer(2, Link::default(), &plan);
    }
}

/// An impairment of each kind, and mixtures, from the seed's number.
fn impaired(seed: u64) -> Link {
    let bit = |n: u64| seed >> n & 1 == 1;
    let pick = |n: u64, value: u32| if bit(n) { value } else { 0 };
    Link {
        offloading: [Offloading::None, Offloading::Device, Offloading::Through][(seed % 3) as usize],
        delay: Duration::from_micros(200 + seed % 7 * 3_000),
        jitter: Duration::from_micros(pick(0, 1_500).into()),
        loss_ppm: pick(1, 20_000) + pick(5, 30_000),
        reorder: bit(2).then_some(Reorder { ppm: 30_000, delay_max: Duration::from_millis(8) }),
        duplicate_ppm: pick(3, 20_000),
        corrupt_ppm: pick(4, 20_000),
        burst: bit(6).then_some(Burst { begin_ppm: 5_000, lasting_max: Duration::from_millis(30) }),
        rate_bits: bit(7).then_some(20_000_000),
        queue_packets: 50,
        mtu: [1_500, 9_000, 1_280, 1_400][(seed % 13 / 4) as usize],
        neighbours_spared: true,
        ..Link::default()
    }
}

/// Profiles with and without each option, and with buffers from small to large.
fn profile(seed: u64) -> tcp::Config {
    tcp::Config {
        timestamps: seed % 4 != 3,
        window_scaling: seed % 6 != 5,
        nagle: !seed.is_multiple_of(11),
        congestion: tcp::CongestionAlgorithm::ALL[(seed % 5 % 3) as usize],
        pacing: seed % 10 < 7,
        receive_buffer_bytes: [4 << 20, 256 << 10, 20 << 10, 4 << 10][(seed % 7 / 2) as usize],
        send_buffer_bytes: [4 << 20, 64 << 10, 9_000][(seed % 9 / 3) as usize],
        ..tcp::Config::default()
    }
}

#[test]
fn every_byte_survives_an_impaired_link() {
    for_each_seed(200, |seed| {
        let plan = Plan {
            upload_bytes: 50_000 + seed % 150 * 997,
            download_bytes: 150_000 - seed % 300 * 499,
            over_v6: seed % 5 == 0,
            config: Arc::new(profile(seed)),
            ..Plan::default()
        };
        transfer(seed, impaired(seed), &plan);
    });
}

#[test]
fn a_slow_reader_is_waited_for() {
    for_each_seed(10, |seed| {
        let config = tcp::Config { receive_buffer_bytes: 16 << 10, ..tcp::Config::default() };
        let plan = Plan {
            upload_bytes: 200_000,
            sip: Some((3_000, Duration::from_millis(700))),
            config: Arc::new(config),
            ..Plan::default()
        };
        let link = Link { loss_ppm: if seed % 2 == 1 { 20_000 } else { 0 }, ..Link::default() };
        transfer(seed, link, &plan);
    });
}

#[test]
fn the_same_seed_sends_the_same_packets() {
    let packets = |seed| {
        let (mut world, hosts, id) = two_hosts(seed, impaired(0x7f));
        world.record();
        let mut transfer = Transfer::start(&mut world, hosts[0], hosts[1], id, &Plan::default());
        assert!(world.run_until(HOUR, |world| transfer.poll(world)));
        let trace = world.trace();
        trace.frames().map(|(at, frame)| (at, frame.clone())).collect::<Vec<_>>()
    };
    assert!(packets(5) == packets(5), "two runs of one seed differ");
    assert!(packets(5) != packets(6), "the seed decides nothing");
}

#[test]
fn a_bottleneck_is_filled() {
    // 20 Mbit/s with a queue of twice the bandwidth-delay product: 4 MB take at least 1.6 s.
    let link = Link {
        rate_bits: Some(20_000_000),
        delay: Duration::from_millis(10),
        queue_packets: 66,
        ..Link::default()
    };
    let plan = Plan { upload_bytes: 4_000_000, download_bytes: 0, ..Plan::default() };
    let span = transfer(1, link, &plan);
    // The overshoot of slow start is repaired one hole a round trip (RFC 6582).
    assert!(span < Duration::from_millis(3_000), "4 MB took {span:?}");
}
