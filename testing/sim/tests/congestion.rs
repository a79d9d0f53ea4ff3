//! Congestion control by its effect: how full a bottleneck is, how two flows share it, and what is lost.

use sim::{Flows, HostId, Link, LinkId, Passage, World};
use tcp::{Config, CongestionAlgorithm};
use time::Duration;

/// Bytes of payload of a whole segment with timestamps, and bytes that it takes on Ethernet.
const PAYLOAD_BYTES: u64 = 1_448;
const WIRE_BYTES: u64 = 1_538;

/// Two hosts and the link between them.
struct Path {
    world: World,
    flows: Flows,
    link: LinkId,
    rate_bits: u64,
}

impl Path {
    fn new(seed: u64, link: Link) -> Self {
        let mut world = World::new(seed);
        let rate_bits = link.rate_bits.expect("a bottleneck");
        let hosts: [HostId; 2] = [world.host(), world.host()];
        let link = world.link(hosts[0], hosts[1], Link { neighbours_spared: true, ..link });
        let flows = Flows::new(&mut world, hosts[0], hosts[1], link);
        Self { world, flows, link, rate_bits }
    }

    fn start(&mut self, config: Config) {
        self.flows.start(&mut self.world, config);
    }

    /// Lets time pass; bytes of each flow that arrived in it.
    fn run(&mut self, span: Duration) -> Vec<u64> {
        let before = self.flows.arrived_bytes();
        let flows = &mut self.flows;
        self.world.run_until(span, |world| {
            flows.poll(world);
            false
        });
        let after = self.flows.arrived_bytes();
        after.iter().enumerate().map(|(n, bytes)| bytes - before.get(n).unwrap_or(&0)).collect()
    }

    /// What part of the payload that the link could carry in `span` `bytes` are, in percent.
    fn percent(&self, bytes: u64, span: Duration) -> u64 {
        let most = self.rate_bits / 8 * span.as_millis() as u64 / 1_000 * PAYLOAD_BYTES / WIRE_BYTES;
        bytes * 100 / most
    }

    fn passage(&self) -> Passage {
        self.world.passage(self.link)[0]
    }
}

/// So many Mbit/s, a round trip of so many milliseconds, and a queue of so many packets.
fn bottleneck(rate_mbit: u64, round_trip_ms: u64, queue_packets: usize) -> Link {
    Link {
        rate_bits: Some(rate_mbit * 1_000_000),
        delay: Duration::from_micros(round_trip_ms * 500),
        queue_packets,
        ..Link::default()
    }
}

fn profile(congestion: CongestionAlgorithm) -> Config {
    Config { congestion, ..Config::linux() }
}

const CUBIC: CongestionAlgorithm = CongestionAlgorithm::Cubic;

#[test]
fn one_cubic_flow_fills_a_bottleneck() {
    // Where Reno would be as fast, and where the cubic function is faster. The time to start includes the repair of
    // what slow start has lost, a hole a round trip where the peer tells no more (RFC 6582).
    for (link, start_secs) in [(bottleneck(100, 10, 100), 4), (bottleneck(50, 40, 330), 10)] {
        let mut path = Path::new(1, link);
        path.start(profile(CUBIC));
        let start = Duration::from_secs(start_secs);
        let early = path.run(start)[0];
        let span = Duration::from_secs(20);
        let bytes = path.run(span)[0];
        let (early, steady) = (path.percent(early, start), path.percent(bytes, span));
        println!("{early} % in the first {start:?}, {steady} % after, {:?}", path.passage());
        assert!(early >= 30 && steady >= 97, "{early} %, {steady} %");
    }
}

#[test]
fn two_cubic_flows_share_a_bottleneck() {
    // Starts at which neither flow loses hundreds of segments at once: a hole a round trip is repaired where the
    // peer tells no more (RFC 6582), and that can take the half minute in which this looks at what they share.
    for start_ms in [0, 300, 1_000, 3_000] {
        let mut path = Path::new(1, bottleneck(100, 10, 100));
        path.start(profile(CUBIC));
        path.run(Duration::from_millis(start_ms));
        path.start(profile(CUBIC));
        path.run(Duration::from_secs(10));
        let span = Duration::from_secs(20);
        let shares = path.run(span);
        let ratio = shares[0] * 100 / shares[1];
        let filled = path.percent(shares[0] + shares[1], span);
        println!("{start_ms} ms apart: {ratio} to 100, {filled} % together, {:?}", path.passage());
        assert!((70..=140).contains(&ratio), "{ratio} to 100");
        assert!(filled >= 97, "{filled} %");
    }
}

#[test]
fn hystart_leaves_slow_start_before_heavy_loss() {
    let span = Duration::from_secs(5);
    // Of several paths: where in a round trip the queue is full is chance.
    let start = |hystart| {
        let (mut lost, mut percent) = (0, 0);
        for round_trip_ms in [30, 40, 50, 60] {
            let mut path = Path::new(1, bottleneck(50, round_trip_ms, 330));
            path.start(Config { hystart, ..profile(CUBIC) });
            let bytes = path.run(span)[0];
            lost += path.passage().queue_full;
            percent += path.percent(bytes, span);
        }
        (lost, percent)
    };
    let (with, without) = (start(true), start(false));
    println!("packets lost and percent of the rate, of four paths: with {with:?}, without {without:?}");
    assert!(with.0 * 3 < without.0 && with.1 >= without.1, "{with:?}, {without:?}");
}

#[test]
fn bbr_fills_a_lossy_link_better_than_cubic() {
    let fill = |algorithm| {
        let mut path = Path::new(1, Link { loss_ppm: 5_000, ..bottleneck(50, 40, 600) });
        path.start(profile(algorithm));
        path.run(Duration::from_secs(5));
        let span = Duration::from_secs(25);
        let bytes = path.run(span)[0];
        println!("{algorithm:?}: {:?}", path.passage());
        path.percent(bytes, span)
    };
    let (bbr, cubic) = (fill(CongestionAlgorithm::Bbr), fill(CUBIC));
    println!("with a loss of 0.5 %: BBR {bbr} %, CUBIC {cubic} %");
    assert!(bbr >= 70 && bbr > 4 * cubic, "BBR {bbr} %, CUBIC {cubic} %");
}

#[test]
fn bbr_keeps_the_queue_short() {
    // The queue holds three and a half products: CUBIC fills it until it overflows, BBR has no need of it.
    let longest = |algorithm| {
        let mut path = Path::new(1, bottleneck(50, 40, 600));
        path.start(profile(algorithm));
        path.run(Duration::from_secs(5));
        let before = path.passage().queue_full;
        let span = Duration::from_secs(25);
        let bytes = path.run(span)[0];
        (path.percent(bytes, span), path.passage().queue_full - before)
    };
    let (bbr, cubic) = (longest(CongestionAlgorithm::Bbr), longest(CUBIC));
    println!("percent and losses: BBR {bbr:?}, CUBIC {cubic:?}");
    assert!(bbr.0 >= 93 && bbr.1 == 0, "{bbr:?}, {cubic:?}");
}
