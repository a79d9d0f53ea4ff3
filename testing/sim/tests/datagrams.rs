//! Datagrams between two stacks: what arrives is what was sent, whatever the link does, and nothing is kept.

use packet::Bytes;
use sim::{HostId, Link, LinkId, Offloading, Reorder, World, for_each_seed};
use stack::{Binding, Datagram, SendError, UdpId};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use time::Duration;

const PORT: u16 = 5_000;

struct Pair {
    world: World,
    hosts: [HostId; 2],
    sockets: [UdpId; 2],
    link: LinkId,
}

fn pair(seed: u64, link: Link) -> Pair {
    let mut world = World::new(seed);
    let hosts = [world.host(), world.host()];
    let link = world.link(hosts[0], hosts[1], link);
    let sockets = hosts.map(|host| world.stack(host).udp_bind(Binding::Port(PORT)).expect("free"));
    Pair { world, hosts, sockets, link }
}

impl Pair {
    fn address(&self, side: usize, v6: bool) -> SocketAddr {
        let (own_v4, own_v6) = self.world.addresses(self.hosts[side], self.link).expect("on the link");
        SocketAddr::new(if v6 { own_v6 } else { own_v4 }, PORT)
    }

    /// Sends from the first host a datagram of `length` bytes that begins with its number.
    fn send(&mut self, number: u32, length: usize, v6: bool) -> Result<(), SendError> {
        let mut payload = vec![number as u8; length.max(4)];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        let datagram = Datagram::new(self.address(0, v6), self.address(1, v6), Bytes::from(payload));
        let now = self.world.now();
        self.world.stack(self.hosts[0]).udp_send(self.sockets[0], datagram, now)
    }

    /// What has arrived at the second host: number and length, each checked to be intact.
    fn received(&mut self) -> Vec<(u32, usize)> {
        let mut out = Vec::new();
        while let Some(datagram) = self.world.stack(self.hosts[1]).udp_receive(self.sockets[1]) {
            let payload = datagram.payload;
            let number = u32::from_be_bytes(payload[..4].try_into().expect("four bytes"));
            assert!(payload[4..].iter().all(|byte| *byte == number as u8), "datagram {number} is damaged");
            out.push((number, payload.len()));
        }
        out
    }
}

/// Sizes that leave whole, in two fragments, and in many.
const LENGTHS: [usize; 5] = [4, 1_472, 1_473, 4_000, 60_000];

#[test]
fn every_size_arrives_whole_over_both_versions_and_all_offloads() {
    for offloading in [Offloading::None, Offloading::Device, Offloading::Through] {
        for v6 in [false, true] {
            let mut pair = pair(1, Link { offloading, ..Link::default() });
            for (number, length) in LENGTHS.into_iter().enumerate() {
                pair.send(number as u32, length, v6).expect("sent");
                pair.world.run_for(Duration::from_millis(20));
                assert_eq!(pair.received(), [(number as u32, length)], "{offloading:?}, IPv6 {v6}");
            }
        }
    }
}

#[test]
fn what_an_impaired_link_delivers_is_what_was_sent() {
    for_each_seed(100, |seed| {
        let link = Link {
            loss_ppm: 30_000,
            duplicate_ppm: 20_000,
            corrupt_ppm: 20_000,
            jitter: Duration::from_millis(1),
            reorder: Some(Reorder { ppm: 50_000, delay_max: Duration::from_millis(5) }),
            ..Link::default()
        };
        let mut pair = pair(seed, link);
        let mut arrived = BTreeSet::new();
        for number in 0..60 {
            let length = LENGTHS[number as usize % LENGTHS.len()];
            pair.send(number, length, number % 2 == 1).expect("sent");
            // A lost ARP request or solicitation is sent again after a second.
            pair.world.run_for(Duration::from_millis(100));
            arrived.extend(pair.received());
        }
        pair.world.run_for(Duration::from_secs(120));
        arrived.extend(pair.received());
        assert!(arrived.len() > 20, "only {} of 60", arrived.len());
        assert!(arrived.iter().all(|(number, length)| LENGTHS[*number as usize % LENGTHS.len()] == *length));
        for host in pair.hosts {
            let memory = pair.world.stack(host).memory();
            assert_eq!((memory.udp_bytes, memory.reassembly_bytes, memory.queued_packets), (0, 0, 0));
        }
    });
}

#[test]
fn a_neighbour_that_is_gone_leaves_nothing_queued() {
    let mut pair = pair(3, Link { loss_ppm: 1_000_000, ..Link::default() });
    for number in 0..200 {
        let _ = pair.send(number, 100, number % 2 == 1);
    }
    pair.world.run_for(Duration::from_secs(60));
    let memory = pair.world.stack(pair.hosts[0]).memory();
    assert_eq!(memory.queued_packets, 0, "{memory:?}");
    assert_eq!(pair.received(), []);
}
