//! The way between two hosts: hops, routers, and what happens on them.

use super::draw::one_of;
use crate::link::{Burst, Link, Offloading, Reorder};
use crate::random::Random;
use crate::world::{HostId, LinkId, World};
use crate::{Node, RouterId};
use packet::Medium;
use time::Duration;

/// A link of the way.
#[derive(Clone, Debug)]
pub struct Hop {
    /// From the client's side to the server's.
    pub there: Link,
    /// Back; of another delay, rate and queue where the way is asymmetric.
    pub back: Link,
}

/// A link that is cut.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Which hop.
    pub hop: usize,
    /// When.
    pub at: Duration,
    /// When it comes back; never where the connections are to die.
    pub until: Option<Duration>,
}

/// Everything between two hosts.
#[derive(Clone, Debug)]
pub struct Network {
    /// Whether the talks are over IPv6.
    pub over_v6: bool,
    /// In order, from the client on; a router between each two.
    pub hops: Vec<Hop>,
    /// Whether routers tell of packets that are too big.
    pub routers_tell: bool,
    /// What is cut and when.
    pub cut: Option<Cut>,
}

impl Network {
    pub(super) fn draw(random: &mut Random) -> Self {
        let over_v6 = random.chance(400_000);
        let count = if random.chance(400_000) { 1 } else { 2 + random.below(4) };
        let harm = random.below(4) as u32;
        let asymmetric = random.chance(300_000);
        let mut hops: Vec<Hop> = (0..count)
            .map(|_| {
                let there = draw_link(random, harm);
                let back = if asymmetric { draw_link(random, harm) } else { there.clone() };
                Hop { back: Link { mtu: there.mtu, offloading: there.offloading, ..back }, there }
            })
            .collect();
        // Two wrong bits may make up for each other, and the checksum be right.
        let corrupting = random.below(count) as usize;
        for (_, hop) in hops.iter_mut().enumerate().filter(|(number, _)| *number != corrupting) {
            (hop.there.corrupt_ppm, hop.back.corrupt_ppm) = (0, 0);
        }
        draw_sizes(random, &mut hops, over_v6);
        let cut = random.chance(120_000).then(|| {
            let at = Duration::from_micros(random.below(800_000));
            let lasting = Duration::from_millis(100 + random.below(20_000));
            let hop = random.below(hops.len() as u64) as usize;
            Cut { hop, at, until: random.chance(850_000).then_some(at + lasting) }
        });
        Self { over_v6, hops, routers_tell: random.chance(650_000), cut }
    }

    /// Whether a packet that fits its sender's link may vanish without a word because of its size.
    pub fn has_black_hole(&self) -> bool {
        let mtus = || self.hops.iter().map(|hop| hop.there.mtu);
        // Even routers that tell may not be heard, where what they send is lost: the next one is then.
        !self.routers_tell && mtus().min() != mtus().max()
    }

    /// Whether a packet may arrive twice.
    pub fn duplicates(&self) -> bool {
        self.hops.iter().any(|hop| hop.there.duplicate_ppm + hop.back.duplicate_ppm > 0)
    }

    /// Whether the way never comes back.
    pub fn dies(&self) -> bool {
        self.cut.is_some_and(|cut| cut.until.is_none())
    }

    /// Makes it.
    pub(super) fn build(
        &self,
        world: &mut World,
        config: &stack::Config,
    ) -> ([HostId; 2], Vec<LinkId>, Vec<RouterId>) {
        let hosts = [world.host_with(config.clone()), world.host_with(config.clone())];
        let routers: Vec<_> = self.hops[1..].iter().map(|_| world.router(self.routers_tell)).collect();
        let mut nodes = vec![Node::Host(hosts[0])];
        nodes.extend(routers.iter().map(|router| Node::Router(*router)));
        nodes.push(Node::Host(hosts[1]));
        let links = self
            .hops
            .iter()
            .zip(nodes.windows(2))
            .map(|(hop, ends)| world.join(ends[0], ends[1], hop.there.clone(), hop.back.clone()))
            .collect();
        world.route();
        (hosts, links, routers)
    }
}

/// A link: `harm` says how much of what goes wrong it may have.
fn draw_link(random: &mut Random, harm: u32) -> Link {
    let mut maybe = |most: u64| {
        let often = harm > 0 && random.chance(100_000 + 100_000 * harm);
        if often { 1 + random.below(most) } else { 0 }
    };
    let loss_ppm = maybe(u64::from(harm) * 15_000) as u32;
    let duplicate_ppm = maybe(30_000) as u32;
    let corrupt_ppm = maybe(15_000) as u32;
    let jitter = Duration::from_micros(maybe(5_000));
    let reorder = match maybe(40_000) as u32 {
        0 => None,
        ppm => Some(Reorder { ppm, delay_max: Duration::from_micros(100 + maybe(20_000)) }),
    };
    let burst = match maybe(5_000) as u32 {
        0 => None,
        begin_ppm => Some(Burst { begin_ppm, lasting_max: Duration::from_millis(1 + maybe(60)) }),
    };
    let rates = [None, None, Some(1_000_000), Some(10_000_000), Some(100_000_000), Some(1_000_000_000)];
    Link {
        medium: Medium::Ip,
        delay: Duration::from_micros(one_of(random, &[50, 500, 2_000, 10_000, 40_000])),
        rate_bits: one_of(random, &rates),
        queue_packets: one_of(random, &[5, 20, 100, 1_000]),
        mark_packets: one_of(random, &[None, None, Some(3), Some(30)]),
        loss_ppm,
        duplicate_ppm,
        corrupt_ppm,
        jitter,
        reorder,
        burst,
        ..Link::default()
    }
}

/// MTUs and offloading: what a host's device cuts passes routers, what nobody cuts does not.
fn draw_sizes(random: &mut Random, hops: &mut [Hop], over_v6: bool) {
    let sizes: &[u16] = if over_v6 { &[1_280, 1_400, 9_000] } else { &[640, 1_006, 1_280, 1_400, 9_000] };
    let last = hops.len() - 1;
    let all_alike = random.chance(600_000);
    let common = if random.chance(700_000) { 1_500 } else { one_of(random, sizes) };
    for (number, hop) in hops.iter_mut().enumerate() {
        let is_edge = number == 0 || number == last;
        let offloading = match random.below(3) {
            1 if is_edge => Offloading::Device,
            2 if last == 0 => Offloading::Through,
            _ => Offloading::None,
        };
        let mtu = if all_alike || random.chance(500_000) { common } else { one_of(random, sizes) };
        for link in [&mut hop.there, &mut hop.back] {
            (link.mtu, link.offloading) = (mtu, offloading);
        }
    }
}
