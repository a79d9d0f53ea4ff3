//! What losses cost: the goodput of a transfer over a link that loses, reorders and duplicates, over many seeds in
//! virtual time. What random losses leave of it is decided by the law of congestion control as well; where a queue
//! overflows, in bursts, and where segments overtake each other, by the repair alone.

use sim::{Burst, Link, Offloading, Plan, Reorder, Transfer, World};
use std::sync::Arc;
use tcp::{Config, CongestionAlgorithm};
use time::Duration;

const SEEDS: u64 = 20;
const BYTES: u64 = 1_000_000;
const RATE_BITS: u64 = 50_000_000;

/// kbit/s of payload, from the first SYN to the last byte read.
fn goodput_kbit(link: &Link, config: &Config) -> u64 {
    let config = Arc::new(config.clone());
    let mut span = Duration::ZERO;
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        let [client, server] = [world.host(), world.host()];
        let id = world.link(client, server, link.clone());
        let plan = Plan { upload_bytes: BYTES, download_bytes: 0, config: config.clone(), ..Plan::default() };
        let start = world.now();
        let mut transfer = Transfer::start(&mut world, client, server, id, &plan);
        let arrived = world.run_until(Duration::from_hours(1), |world| transfer.poll(world));
        assert!(arrived, "seed {seed}: {:?}", transfer.read_bytes());
        span += world.now() - start;
    }
    SEEDS * BYTES * 8_000 / span.as_micros() as u64
}

/// A round trip of 20 ms.
fn link() -> Link {
    Link { delay: Duration::from_millis(10), neighbours_spared: true, ..Link::default() }
}

/// Asks for so much, which is well below what is seen and well above what a single hole a round trip would leave.
fn expect(what: &str, floor_kbit: u64, link: &Link, config: &Config) {
    let seen = goodput_kbit(link, config);
    println!("{what}: {seen} kbit/s");
    assert!(seen >= floor_kbit, "{what}: {seen} kbit/s of at least {floor_kbit}");
}

#[test]
fn random_losses_leave_what_the_window_allows() {
    for (loss_ppm, floor_kbit) in
        [(0, 43_000), (1_000, 40_000), (10_000, 13_600), (20_000, 6_300), (50_000, 2_100)]
    {
        let what = format!("loss of {loss_ppm} ppm");
        expect(&what, floor_kbit, &Link { loss_ppm, ..link() }, &Config::default());
    }
}

#[test]
fn large_segments_are_repaired_in_part() {
    for (loss_ppm, floor_kbit) in [(10_000, 14_000), (20_000, 6_300), (50_000, 2_000)] {
        let what = format!("device cuts, loss of {loss_ppm} ppm");
        let link = Link { offloading: Offloading::Device, loss_ppm, ..link() };
        expect(&what, floor_kbit, &link, &Config::default());
    }
}

#[test]
fn losses_that_the_law_ignores_are_repaired_within_the_round_trip() {
    let config = Config { congestion: CongestionAlgorithm::Bbr, ..Config::default() };
    for (loss_ppm, floor_kbit) in [(10_000, 25_000), (20_000, 21_000), (50_000, 14_000)] {
        let what = format!("BBR, loss of {loss_ppm} ppm");
        expect(&what, floor_kbit, &Link { loss_ppm, rate_bits: Some(RATE_BITS), ..link() }, &config);
    }
}

#[test]
fn an_overflowing_queue_is_repaired_in_a_few_round_trips() {
    for queue_packets in [30, 100, 200] {
        let what = format!("queue of {queue_packets}");
        let link = Link { rate_bits: Some(RATE_BITS), queue_packets, ..link() };
        expect(&what, 22_000, &link, &Config { hystart: false, ..Config::default() });
    }
}

#[test]
fn losses_in_runs_are_repaired() {
    let burst = Some(Burst { begin_ppm: 5_000, lasting_max: Duration::from_millis(10) });
    expect("runs of losses", 14_000, &Link { burst, ..link() }, &Config::default());
}

#[test]
fn reordering_and_duplication_are_not_taken_for_losses() {
    let config = Config::default();
    let reorder = Some(Reorder { ppm: 30_000, delay_max: Duration::from_millis(8) });
    expect("reordering", 36_000, &Link { reorder, ..link() }, &config);
    expect("reordering and losses", 8_500, &Link { reorder, loss_ppm: 10_000, ..link() }, &config);
    let link = Link { duplicate_ppm: 30_000, loss_ppm: 10_000, ..link() };
    expect("duplication and losses", 14_000, &link, &config);
}
