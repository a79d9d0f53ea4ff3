//! Marks in the place of losses: a bottleneck that marks is shared as one that drops, and nothing is sent twice.

use sim::{Flows, HostId, Link, Plan, Transfer, World, for_each_seed};
use std::sync::Arc;
use tcp::{Config, CongestionAlgorithm, EcnFeedback, EcnOption};
use time::Duration;

/// Bytes of payload of a whole segment with timestamps, and bytes that it takes on Ethernet.
const PAYLOAD_BYTES: u64 = 1_448;
const WIRE_BYTES: u64 = 1_538;

/// 50 Mbit/s over 20 ms, marking well before the queue is full: 80 packets are on the way.
fn marking() -> Link {
    Link {
        rate_bits: Some(50_000_000),
        delay: Duration::from_millis(10),
        queue_packets: 400,
        mark_packets: Some(60),
        neighbours_spared: true,
        ..Link::default()
    }
}

/// Ends that ask for `request`.
fn asking(request: EcnFeedback, congestion: CongestionAlgorithm) -> Config {
    Config { ecn_request: request, ecn_accept: request, congestion, ..Config::linux() }
}

/// Bytes of each of two flows in `span`, a second one joining after `later`, through a bottleneck that marks; how many
/// packets were marked, and how many lost.
fn share(seed: u64, config: &Config, later: Duration, span: Duration) -> ([u64; 2], u64, u64) {
    let mut world = World::new(seed);
    let hosts: [HostId; 2] = [world.host(), world.host()];
    let link = world.link(hosts[0], hosts[1], marking());
    let mut flows = Flows::with(&mut world, hosts[0], hosts[1], link, config.clone());
    let run = |world: &mut World, flows: &mut Flows, span| {
        world.run_until(span, |world| {
            flows.poll(world);
            false
        });
    };
    flows.start(&mut world, config.clone());
    run(&mut world, &mut flows, later);
    flows.start(&mut world, config.clone());
    run(&mut world, &mut flows, Duration::from_secs(10));
    let before = flows.arrived_bytes();
    run(&mut world, &mut flows, span);
    let after = flows.arrived_bytes();
    let passage = world.passage(link)[0];
    ([after[0] - before[0], after[1] - before[1]], passage.marked, passage.queue_full + passage.lost)
}

#[test]
fn flows_through_a_bottleneck_that_marks_lose_nothing_and_share_it() {
    let span = Duration::from_secs(20);
    let most = 50_000_000 / 8 * span.as_secs() * PAYLOAD_BYTES / WIRE_BYTES;
    use CongestionAlgorithm::{Cubic, NewReno};
    use EcnFeedback::{Accurate, Classic};
    for (feedback, congestion) in [(Classic, Cubic), (Classic, NewReno), (Accurate, Cubic)] {
        for_each_seed(3, |seed| {
            let later = Duration::from_millis(700 * seed);
            let config = asking(feedback, congestion);
            let ([first, second], marked, lost) = share(seed, &config, later, span);
            let (ratio, filled) = (first * 100 / second, (first + second) * 100 / most);
            println!(
                "{feedback:?}, {congestion:?}: {ratio} to 100, {filled} %, {marked} marked, {lost} lost"
            );
            assert_eq!(lost, 0);
            assert!(marked > 20, "{marked}");
            assert!((70..=140).contains(&ratio), "{ratio} to 100");
            assert!(filled >= 95, "{filled} %");
        });
    }
}

#[test]
fn a_law_that_knows_no_marks_is_not_marked() {
    let config = asking(EcnFeedback::Classic, CongestionAlgorithm::Bbr);
    let (_, marked, _) = share(1, &config, Duration::from_secs(1), Duration::from_secs(1));
    assert_eq!(marked, 0);
}

#[test]
fn every_byte_arrives_through_marks_and_losses_over_both_versions() {
    for_each_seed(6, |seed| {
        let mut world = World::new(seed);
        let (client, server) = (world.host(), world.host());
        let link = Link { loss_ppm: 5_000, mark_packets: Some(1), ..marking() };
        let link = world.link(client, server, link);
        let feedback = if seed % 3 == 0 { EcnFeedback::Classic } else { EcnFeedback::Accurate };
        let ecn_option = if seed % 2 == 0 { EcnOption::Always } else { EcnOption::Changed };
        let config = Arc::new(Config { ecn_option, ..asking(feedback, CongestionAlgorithm::Cubic) });
        let bytes = 3_000_000;
        let over_v6 = seed % 2 == 1;
        let plan = Plan { upload_bytes: bytes, download_bytes: bytes, over_v6, config, ..Plan::default() };
        let mut transfer = Transfer::start(&mut world, client, server, link, &plan);
        assert!(world.run_until(Duration::from_secs(600), |world| transfer.poll(world)));
        assert_eq!(transfer.read_bytes(), [bytes; 2]);
        assert!(world.passage(link).iter().all(|passage| passage.marked > 0), "{:?}", world.passage(link));
    });
}
