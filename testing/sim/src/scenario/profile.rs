//! How a side's TCP is set up.

use super::draw::one_of;
use super::network::Network;
use crate::random::Random;
use tcp::{Config, CongestionAlgorithm, EcnFeedback, EcnOption, KeepAlive, MtuProbing, OptionOrder};
use time::Duration;

/// A profile. `dies` says that the other side may vanish without a word, so that somebody has to ask for it.
pub(super) fn draw(random: &mut Random, network: &Network, dies: bool) -> Config {
    let millis = |values: &[u64], random: &mut Random| Duration::from_millis(one_of(random, values));
    let keep_alive = KeepAlive {
        idle: Duration::from_secs(1 + random.below(20)),
        // All of them together take longer than any link is cut that comes back.
        interval: Duration::from_secs(4 + random.below(5)),
        probes: 9,
    };
    let probing = match random.below(3) {
        0 if !network.has_black_hole() => MtuProbing::Off,
        1 => MtuProbing::Always,
        _ => MtuProbing::BlackHole,
    };
    let feedback = [EcnFeedback::Off, EcnFeedback::Classic, EcnFeedback::Accurate];
    let options = [EcnOption::Never, EcnOption::Changed, EcnOption::Always];
    let buffers = [2_000, 9_000, 20_000, 64 << 10, 256 << 10, 4 << 20, 4 << 20];
    Config {
        send_buffer_bytes: one_of(random, &buffers),
        send_start_bytes: one_of(random, &[4_000, 128 << 10, 4 << 20]),
        receive_buffer_bytes: one_of(random, &buffers),
        receive_start_bytes: one_of(random, &[4_000, 64 << 10, 4 << 20]),
        receive_whole_segments: random.chance(100_000),
        window_scaling: random.chance(850_000),
        window_scale_min: one_of(random, &[0, 8, 14]),
        option_order: one_of(random, &[OptionOrder::Linux, OptionOrder::Linux, OptionOrder::FreeBsd]),
        timestamps: random.chance(750_000),
        sack: random.chance(750_000),
        nagle: random.chance(700_000),
        cork: random.chance(50_000),
        push_bursts: random.chance(700_000),
        congestion: one_of(random, &CongestionAlgorithm::ALL),
        hystart: random.chance(700_000),
        pacing: random.chance(700_000),
        initial_window_segments: one_of(random, &[1, 2, 4, 10, 10, 10]),
        slow_start_after_idle: random.chance(700_000),
        mtu_probing: probing,
        ecn_request: one_of(random, &feedback),
        ecn_accept: one_of(random, &feedback),
        ecn_option: one_of(random, &options),
        mss_max: one_of(random, &[65_495, 65_495, 65_495, 1_220, 536]),
        unsent_bytes_max: one_of(random, &[u32::MAX, u32::MAX, 4_000]),
        accept_defer_retries: one_of(random, &[0, 0, 0, 0, 3]),
        delayed_ack: millis(&[0, 40, 200], random),
        quick_acks: one_of(random, &[0, 16]),
        rto_initial: millis(&[200, 1_000, 3_000], random),
        keep_alive: (dies || random.chance(200_000)).then_some(keep_alive),
        syn_retries: 10,
        syn_ack_retries: 10,
        fin_wait_2: Duration::from_secs(1 + random.below(60)),
        // Longer than any link is cut that comes back, and than the pause before what was lost then leaves once more.
        time_wait: Duration::from_secs(45 + random.below(60)),
        ..Config::linux()
    }
}
