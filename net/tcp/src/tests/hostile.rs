//! A peer that sends whatever a seed tells it, close to what is expected and far from it: nothing panics, nothing
//! grows beyond its bound, sending always comes to an end, and so does the connection.

use super::random::Random;
use crate::{Config, Connection, Path, Segment};
use alloc::sync::Arc;
use packet::{Bytes, Chain};
use time::{Duration, Instant, SequenceNumber};
use wire::Ecn;
use wire::tcp::{AccurateEcn, Flags, Header, Options, Timestamps};

struct Hostile {
    random: Random,
    /// Where the connection stands, as far as its segments tell.
    expected: SequenceNumber,
    sent: SequenceNumber,
}

impl Hostile {
    fn near(&mut self, number: SequenceNumber) -> SequenceNumber {
        match self.random.below(7) {
            0 | 1 => number,
            2 => number + 1,
            3 => number + self.random.below(5_000) as u32,
            4 => number - self.random.below(5_000) as u32,
            _ => SequenceNumber(self.random.next() as u32),
        }
    }

    fn segment(&mut self) -> Segment {
        let mut flags = Flags((self.random.next() & self.random.next() & self.random.next()) as u16 & 0x1ff);
        if self.random.chance(90) {
            flags |= Flags::ACK;
        }
        if self.random.chance(90) {
            flags.0 &= !Flags::RST.0;
        }
        let timestamps = self
            .random
            .chance(50)
            .then(|| Timestamps { value: self.random.below(1_000) as u32, echo: self.random.next() as u32 });
        let mut sack = [None; 4];
        if self.random.chance(40) {
            for block in sack.iter_mut().take(1 + self.random.below(4) as usize) {
                let left = self.near(self.sent - 4_000);
                *block = Some((left, left + self.random.below(4_000) as u32));
            }
        }
        let [a, b, c] = [(); 3].map(|()| self.random.next() as u32);
        let accurate_ecn =
            self.random.chance(30).then(|| AccurateEcn::new(a % 2 == 0, (b % 4) as u8, a, b, c));
        let options = Options {
            sack,
            sack_permitted: self.random.chance(70),
            mss: self.random.chance(10).then(|| self.random.next() as u16),
            window_scale: self.random.chance(10).then(|| self.random.next() as u8),
            timestamps,
            accurate_ecn,
            ..Options::default()
        };
        let header = Header {
            sequence: self.near(self.expected),
            acknowledgement: self.near(self.sent),
            flags,
            window: if self.random.chance(30) { 0 } else { self.random.next() as u16 },
            urgent: self.random.next() as u16,
            options,
            ..Header::default()
        };
        let ecn = Ecn::of(self.random.next() as u8);
        let mut payload = Chain::new();
        for _ in 0..self.random.below(4) {
            payload.push(Bytes::from(std::vec![0; self.random.below(3_000) as usize]));
        }
        Segment { header, payload, joined: self.random.below(50) as u16, segment_size: None, ecn }
    }

    /// What the connection sends tells where it stands.
    fn learn(&mut self, segment: &Segment) {
        let header = &segment.header;
        if header.flags.contains(Flags::ACK) && !header.flags.contains(Flags::RST) {
            self.expected = header.acknowledgement;
            self.sent = header.sequence + segment.payload.len() as u32;
        }
    }

    fn use_it(&mut self, it: &mut Connection, now: Instant) {
        match self.random.below(10) {
            0..=3 => {
                let mut data = Bytes::from(std::vec![0; self.random.below(9_000) as usize]);
                let _ = it.write(&mut data, now);
            }
            4..=6 => drop(it.read(self.random.below(9_000) as usize, now)),
            7 => it.set_receive_limit(self.random.next() as usize, now),
            8 if self.random.chance(3) => it.shutdown(now),
            9 if self.random.chance(3) => it.close_receive(now),
            _ => it.handle_unreachable(self.random.chance(5), now),
        }
    }
}

fn run(seed: u64, seen: &mut [bool; 11]) {
    let mut random = Random::new(seed);
    let bound = 1_000 + random.below(100_000) as u32;
    let config =
        Arc::new(Config { receive_buffer_bytes: bound, timestamps: random.chance(50), ..Config::linux() });
    let mut now = Instant::from_secs(1_000);
    let initial = SequenceNumber(random.next() as u32);
    let mut peer = Hostile { sent: initial, expected: SequenceNumber(random.next() as u32), random };
    let mut it = if peer.random.chance(50) {
        Connection::connect(config, 1, 2, initial, 0, now)
    } else {
        Connection::accept(config, &peer.segment().header, initial, 0, now)
    };
    for _ in 0..600 {
        match peer.random.below(4) {
            0 | 1 => drop(it.handle_segment(peer.segment(), now)),
            2 => peer.use_it(&mut it, now),
            _ => {
                now += Duration::from_micros(1 << peer.random.below(27));
                it.handle_timeout(now);
            }
        }
        seen[it.state() as usize] = true;
        let path = Path {
            segment_bytes_max: 21 + peer.random.below(9_000) as u16,
            offload_bytes_max: peer.random.below(65_000) as u32,
        };
        let left = (0..200_000).take_while(|_| match it.poll_transmit(path, now) {
            Some(segment) => {
                peer.learn(&segment);
                true
            }
            None => false,
        });
        assert!(left.count() < 200_000, "seed {seed}: sending does not end");
        while it.poll_event().is_some() {}
        it.send_half().check();
        // Out of order too: all lies within the window.
        let received = it.buffered() - it.unacknowledged();
        assert!(received <= bound as usize, "seed {seed}: more is held than the buffer takes");
    }
    it.abort(now);
    while it.poll_transmit(Path { segment_bytes_max: 1_480, offload_bytes_max: 0 }, now).is_some() {}
    assert!(it.is_over() && it.poll_timeout().is_none(), "seed {seed}");
}

#[test]
fn a_hostile_peer_breaks_nothing() {
    let mut seen = [false; 11];
    for seed in 0..400 {
        run(seed, &mut seen);
    }
    // All but LISTEN, which is the stack's: the runs get everywhere.
    assert_eq!(seen.iter().filter(|&&seen| seen).count(), 10);
}
