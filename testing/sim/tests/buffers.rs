//! Buffers that grow as far as the path and the reader need it.

use sim::{Flows, HostId, Link, LinkId, Plan, Transfer, World};
use std::sync::Arc;
use tcp::Config;
use time::Duration;

/// 200 Mbit/s and a round trip of 80 ms: 2 MB in flight.
fn long_fat(world: &mut World) -> ([HostId; 2], LinkId) {
    let hosts = [world.host(), world.host()];
    let link = Link {
        rate_bits: Some(200_000_000),
        delay: Duration::from_millis(40),
        queue_packets: 2_000,
        neighbours_spared: true,
        ..Link::default()
    };
    let link = world.link(hosts[0], hosts[1], link);
    (hosts, link)
}

/// Bytes that arrive in 10 s.
fn carried(config: Config) -> u64 {
    let mut world = World::new(3);
    let (hosts, link) = long_fat(&mut world);
    let mut flows = Flows::with(&mut world, hosts[0], hosts[1], link, config.clone());
    flows.start(&mut world, config);
    world.run_until(Duration::from_secs(10), |world| {
        flows.poll(world);
        false
    });
    flows.arrived_bytes()[0]
}

#[test]
fn a_fast_reader_on_a_long_path_gets_the_full_rate() {
    let fixed = Config {
        send_start_bytes: Config::linux().send_buffer_bytes,
        receive_start_bytes: Config::linux().receive_buffer_bytes,
        ..Config::linux()
    };
    let small = Config { receive_buffer_bytes: 64 << 10, ..Config::linux() };
    let [tuned, fixed, small] = [Config::linux(), fixed, small].map(carried);
    println!("{tuned} bytes tuned, {fixed} with large buffers from the first, {small} with small ones");
    assert!(tuned * 100 >= fixed * 95, "{tuned} of {fixed}");
    assert!(small * 5 < tuned, "the path needs more than the first window");
}

#[test]
fn a_long_path_carries_a_send_buffer_each_round_trip_from_the_ninth_on() {
    // The first round trips ask for the neighbour's address and shake hands; then the window doubles from ten segments to
    // more than the buffer, of which nothing is held back but what a writer is not yet called for.
    let (round_trip, round_trips) = (Duration::from_millis(200), 40);
    let mut world = World::new(3);
    let hosts = [world.host(), world.host()];
    let link = Link { delay: round_trip / 2, queue_packets: 100_000, ..Link::default() };
    let link = world.link(hosts[0], hosts[1], link);
    let reader = Config { receive_buffer_bytes: 64 << 20, ..Config::linux() };
    let mut flows = Flows::with(&mut world, hosts[0], hosts[1], link, reader);
    flows.start(&mut world, Config::linux());
    world.run_until(round_trip * round_trips, |world| {
        flows.poll(world);
        false
    });
    let (arrived, full) = (flows.arrived_bytes()[0], u64::from(Config::linux().send_buffer_bytes));
    let started = u64::from(round_trips) - 11;
    println!("{arrived} bytes of {}", started * full);
    assert!(arrived * 100 >= started * full * 95, "{arrived} of {}", started * full);
}

#[test]
fn a_short_path_and_a_slow_reader_keep_small_buffers() {
    for sip in [None, Some((2_000, Duration::from_millis(5)))] {
        let mut world = World::new(4);
        let hosts = [world.host(), world.host()];
        let delay = Duration::from_micros(50);
        let link = world.link(hosts[0], hosts[1], Link { delay, ..Link::default() });
        let upload_bytes = if sip.is_some() { 1_000_000 } else { 20_000 };
        let plan = Plan { upload_bytes, download_bytes: 0, sip, config: Arc::default(), ..Plan::default() };
        let mut transfer = Transfer::start(&mut world, hosts[0], hosts[1], link, &plan);
        let mut most = 0;
        let done = world.run_until(Duration::from_secs(60), |world| {
            let done = transfer.poll(world);
            most = most.max(world.stack(hosts[1]).memory().tcp_bytes);
            done
        });
        transfer.release(&mut world);
        world.run_for(Duration::from_secs(100));
        assert!(done && most <= 100_000, "{most} bytes were held");
        assert_eq!(world.stack(hosts[1]).memory().tcp_bytes, 0);
    }
}
