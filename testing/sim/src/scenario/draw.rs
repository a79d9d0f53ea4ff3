//! All that a seed decides.

use super::conduct::Talk;
use super::network::Network;
use crate::random::Random;

/// How large a scenario may be.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Bytes of a stream.
    pub stream_bytes_max: u64,
    /// Connections at once.
    pub talks_max: u64,
    /// Connections one after the other between the same ports.
    pub rounds_max: u64,
}

impl Scale {
    /// What thousands of seeds have time for.
    pub const BRIEF: Self = Self { stream_bytes_max: 150_000, talks_max: 4, rounds_max: 2 };
    /// What runs through a night.
    pub const LONG: Self = Self { stream_bytes_max: 20_000_000, talks_max: 60, rounds_max: 8 };
}

/// A case.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What the world's own randomness starts with.
    pub seed: u64,
    /// The way between the two hosts.
    pub network: Network,
    /// Bytes that each host has for the buffers of all its connections.
    pub tcp_bytes_max: usize,
    /// The connections.
    pub talks: Vec<Talk>,
}

impl Scenario {
    /// The case of a number.
    pub fn draw(seed: u64, scale: &Scale) -> Self {
        // A stream that is not the world's own, which starts with the seed as well.
        let mut random = Random::new(seed ^ 0x5ce0_a210);
        let network = Network::draw(&mut random);
        let count = if random.chance(600_000) { 1 } else { 1 + random.below(scale.talks_max) };
        let talks: Vec<Talk> =
            (0..count).map(|number| Talk::draw(&mut random, number as u16, &network, scale)).collect();
        let each = one_of(&mut random, &[40_000, 200_000, 8 << 20, 8 << 20, 8 << 20, 8 << 20]);
        Self { seed, network, tcp_bytes_max: each * talks.len(), talks }
    }
}

/// One of several, each as likely.
pub(super) fn one_of<T: Copy>(random: &mut Random, choices: &[T]) -> T {
    choices[random.below(choices.len() as u64) as usize]
}

/// A number up to `most`, half of them as likely small as large by their magnitude.
pub(super) fn of_any_size(random: &mut Random, most: u64) -> u64 {
    if random.chance(500_000) {
        return random.below(most + 1);
    }
    let bits = u64::from(64 - most.leading_zeros());
    let magnitude = random.below(bits + 1);
    random.below((1_u64 << magnitude).min(most + 1))
}
