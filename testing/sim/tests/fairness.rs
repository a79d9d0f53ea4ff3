//! How flows share a bottleneck: of one law, of different ones, and where one comes late.

use sim::{Flows, HostId, Link, World};
use tcp::{Config, CongestionAlgorithm};
use time::Duration;

const CUBIC: CongestionAlgorithm = CongestionAlgorithm::Cubic;
const RENO: CongestionAlgorithm = CongestionAlgorithm::NewReno;
const BBR: CongestionAlgorithm = CongestionAlgorithm::Bbr;

/// A flow of each law over a link of so many Mbit/s, a round trip of 20 ms and a queue of so many packets, the second
/// `late` after the first. What each gets of `span`, after half as long to settle, in percent of both.
fn shares(
    seed: u64,
    laws: [CongestionAlgorithm; 2],
    queue: usize,
    late: Duration,
    span: Duration,
) -> [u64; 2] {
    let mut world = World::new(seed);
    let hosts: [HostId; 2] = [world.host(), world.host()];
    let link = Link {
        rate_bits: Some(20_000_000),
        delay: Duration::from_millis(10),
        queue_packets: queue,
        neighbours_spared: true,
        ..Link::default()
    };
    let link = world.link(hosts[0], hosts[1], link);
    let receivers = Config { sack: true, ..Config::linux() };
    let mut flows = Flows::with(&mut world, hosts[0], hosts[1], link, receivers);
    let pass = |world: &mut World, flows: &mut Flows, span| {
        world.run_until(span, |world| {
            flows.poll(world);
            false
        });
    };
    for (congestion, pause) in laws.into_iter().zip([late, span / 2]) {
        flows.start(&mut world, Config { congestion, ..Config::linux() });
        pass(&mut world, &mut flows, pause);
    }
    let before = flows.arrived_bytes();
    pass(&mut world, &mut flows, span);
    let arrived: Vec<u64> =
        flows.arrived_bytes().iter().zip(before).map(|(after, before)| after - before).collect();
    let sum = arrived[0] + arrived[1];
    // No less than nine tenths of what the link carries.
    let least = 20_000_000 / 8 * span.as_secs() * 9 / 10;
    assert!(sum >= least, "{sum} bytes in {span:?}");
    [arrived[0] * 100 / sum, arrived[1] * 100 / sum]
}

const LONG: Duration = Duration::from_secs(120);

#[test]
fn two_cubic_flows_get_the_same() {
    for seed in 1..4 {
        let shares = shares(seed, [CUBIC, CUBIC], 40, Duration::from_millis(300 * seed), LONG);
        println!("{shares:?}");
        // 0.8 to 1.25 times the other's.
        assert!(shares[0] * 5 >= shares[1] * 4 && shares[1] * 5 >= shares[0] * 4, "{shares:?}");
    }
}

#[test]
fn a_flow_that_comes_late_gets_its_share() {
    let shares = shares(1, [CUBIC, CUBIC], 40, Duration::from_secs(60), LONG);
    println!("{shares:?}");
    assert!(shares[1] >= 40 && shares[0] >= 40, "{shares:?}");
}

#[test]
fn reno_keeps_up_with_cubic_where_round_trips_are_short() {
    // RFC 9438 §4.3: there CUBIC takes no more than Reno would.
    let shares = shares(1, [RENO, CUBIC], 40, Duration::from_millis(300), LONG);
    println!("{shares:?}");
    assert!(shares[0] >= 30 && shares[1] >= 30, "{shares:?}");
}

#[test]
fn neither_bbr_nor_cubic_starves_beside_the_other() {
    // Who gets more is decided by the queue: a short one is BBR's, a long one CUBIC's. BBR promises no more.
    for queue in [30, 200] {
        let shares = shares(1, [BBR, CUBIC], queue, Duration::from_millis(300), LONG);
        println!("a queue of {queue} packets: BBR and CUBIC {shares:?}");
        assert!(shares[0] > 5 && shares[1] > 5, "{shares:?}");
    }
}
