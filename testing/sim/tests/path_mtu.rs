//! TCP where the way carries smaller packets than the link at either end: with routers that tell so, and with routers that
//! do not (RFC 1191, RFC 8201, RFC 4821, RFC 2923 §2.1).

use sim::{Link, Narrow, Offloading, Plan, Transfer, World, for_each_seed};
use std::sync::Arc;
use tcp::{Config, MtuProbing, PathDiscovery};
use time::Duration;

const BYTES: u64 = 300_000;

/// Sends both ways. How long it took, and how many packets were too large.
fn transfer(seed: u64, link: Link, config: Config, over_v6: bool) -> (Duration, u64) {
    let mut world = World::new(seed);
    let hosts = [world.host(), world.host()];
    let what = format!("seed {seed}: {link:?}");
    let id = world.link(hosts[0], hosts[1], link);
    let plan = Plan {
        upload_bytes: BYTES,
        download_bytes: BYTES,
        over_v6,
        config: Arc::new(config),
        ..Plan::default()
    };
    let start = world.now();
    let mut transfer = Transfer::start(&mut world, hosts[0], hosts[1], id, &plan);
    let done = world.run_until(Duration::from_secs(300), |world| transfer.poll(world));
    assert!(done, "{what}: read {:?}, {:?}", transfer.read_bytes(), world.passage(id));
    let lost = world.passage(id).iter().map(|passage| passage.too_large).sum();
    (world.now() - start, lost)
}

/// A link that is narrow somewhere, from the seed's number.
fn narrow(seed: u64, over_v6: bool, tells: bool) -> Link {
    let least = if over_v6 { 1_280 } else { 620 };
    let mtu = [1_500, 9_000][(seed / 2 % 2) as usize];
    let narrow = Narrow { mtu: least + (seed * 73 % u64::from(mtu - least)) as u16, tells };
    Link {
        mtu,
        narrow: Some(narrow),
        offloading: [Offloading::None, Offloading::Device, Offloading::Through][(seed % 3) as usize],
        delay: Duration::from_millis(1 + seed % 5 * 8),
        loss_ppm: [0, 5_000][(seed / 4 % 2) as usize],
        neighbours_spared: true,
        ..Link::default()
    }
}

#[test]
fn every_byte_arrives_where_routers_tell_what_they_take() {
    for_each_seed(60, |seed| {
        let over_v6 = seed % 2 == 1;
        for mtu_probing in [MtuProbing::Off, MtuProbing::BlackHole, MtuProbing::Always] {
            let config = Config { mtu_probing, ..Config::default() };
            let (span, _) = transfer(seed, narrow(seed, over_v6, true), config, over_v6);
            assert!(span < Duration::from_secs(30), "{mtu_probing:?}: {span:?}");
        }
    });
}

#[test]
fn every_byte_arrives_where_large_packets_vanish_without_a_word() {
    for_each_seed(60, |seed| {
        let over_v6 = seed % 2 == 1;
        for mtu_probing in [MtuProbing::BlackHole, MtuProbing::Always] {
            let config = Config { mtu_probing, ..Config::default() };
            let (span, _) = transfer(seed, narrow(seed, over_v6, false), config, over_v6);
            assert!(span < Duration::from_secs(60), "{mtu_probing:?}: {span:?}");
        }
    });
}

#[test]
fn without_a_search_a_black_hole_swallows_a_connection() {
    let link = Link { narrow: Some(Narrow { mtu: 1_400, tells: false }), ..Link::default() };
    let mut world = World::new(1);
    let hosts = [world.host(), world.host()];
    let id = world.link(hosts[0], hosts[1], link.clone());
    let config = Arc::new(Config { mtu_probing: MtuProbing::Off, ..Config::default() });
    let plan = Plan { config, ..Plan::default() };
    let mut stuck = Transfer::start(&mut world, hosts[0], hosts[1], id, &plan);
    assert!(!world.run_until(Duration::from_secs(300), |world| stuck.poll(world)));
    // And packets that may be fragmented pass it.
    let config =
        Config { mtu_probing: MtuProbing::Off, path_discovery: PathDiscovery::Dont, ..Config::default() };
    let (span, lost) = transfer(1, link, config, false);
    assert!(span < Duration::from_secs(1) && lost == 0, "{span:?}, {lost}");
}

#[test]
fn what_a_router_told_costs_one_flight_and_the_next_connection_nothing() {
    let mut world = World::new(1);
    let hosts = [world.host(), world.host()];
    let narrow = Some(Narrow { mtu: 1_400, tells: true });
    let id = world.link(hosts[0], hosts[1], Link { narrow, ..Link::default() });
    let plan = Plan { download_bytes: 0, upload_bytes: BYTES, ..Plan::default() };
    let mut lost = Vec::new();
    for _ in 0..3 {
        let mut transfer = Transfer::start(&mut world, hosts[0], hosts[1], id, &plan);
        assert!(world.run_until(Duration::from_secs(10), |world| transfer.poll(world)));
        transfer.release(&mut world);
        lost.push(world.passage(id)[0].too_large);
    }
    // The initial window, once.
    assert_eq!(lost, [10, 10, 10]);
}

#[test]
fn a_search_finds_what_a_silent_path_carries() {
    let carried = 1_400;
    let narrow = Some(Narrow { mtu: carried, tells: false });
    let delay = Duration::from_millis(5);
    let link = Link { narrow, delay, rate_bits: Some(10_000_000), ..Link::default() };
    let mut world = World::new(1);
    let hosts = [world.host(), world.host()];
    let id = world.link(hosts[0], hosts[1], link);
    let config = Arc::new(Config { mtu_probing: MtuProbing::Always, ..Config::default() });
    let plan = Plan { download_bytes: 0, upload_bytes: 400_000_000, config, ..Plan::default() };
    let mut transfer = Transfer::start(&mut world, hosts[0], hosts[1], id, &plan);
    world.run_until(Duration::from_secs(30), |world| transfer.poll(world));
    let connection = transfer.connections()[0].expect("it is open");
    let now = world.now();
    let info = world.stack(hosts[0]).tcp_info(connection, now).expect("it is open");
    // Less headers and timestamps, to within the last step of the search.
    let most = u32::from(carried) - 52;
    let found = info.mss_bytes;
    assert!(found <= most && most - found < 8, "{found} of {most}");
    let lost = world.passage(id)[0].too_large;
    assert!(lost < 30, "{lost} probes");
}
