//! Applications that write, read, pause and close as a seed tells them, over a channel that loses, repeats and
//! reorders as it tells it: every byte arrives once and in order, nobody waits for ever, and nothing is left.

use super::pair::{Channel, End, Pair};
use super::random::Random;
use crate::{CloseReason, Config, CongestionAlgorithm, Event, Path, State};
use packet::Bytes;
use std::vec::Vec;
use time::{Duration, Instant};

/// One application.
struct Application {
    to_write: Vec<u8>,
    written: usize,
    shut: bool,
    random: Random,
}

impl Application {
    fn new(random: &mut Random) -> Self {
        let length = match random.below(4) {
            0 => 0,
            1 => random.below(2_000),
            _ => random.below(200_000),
        };
        let to_write = (0..length).map(|_| random.next() as u8).collect();
        Self { to_write, written: 0, shut: false, random: Random::new(random.next()) }
    }

    /// Does something, or nothing.
    fn act(&mut self, end: &mut End, now: Instant) {
        match self.random.below(8) {
            0..=2 => self.write(end, now),
            3..=4 => self.read(end, now),
            5 => end.connection.set_receive_limit(self.random.below(100_000) as usize, now),
            6 => end.change(|config| config.nagle = !config.nagle, now),
            _ => {}
        }
    }

    fn write(&mut self, end: &mut End, now: Instant) {
        let open = matches!(
            end.connection.state(),
            State::SynSent | State::SynReceived | State::Established | State::CloseWait
        );
        if self.shut || !open {
            return;
        }
        let rest = &self.to_write[self.written..];
        let bound = if self.random.chance(30) { 20 } else { 30_000 };
        let count = rest.len().min(1 + self.random.below(bound) as usize);
        let mut chunk = Bytes::copy_from_slice(&rest[..count]);
        self.written += end.connection.write(&mut chunk, now).unwrap();
        if self.written == self.to_write.len() {
            self.shut = true;
            end.connection.shutdown(now);
        }
    }

    fn read(&mut self, end: &mut End, now: Instant) {
        let mut left = 1 + self.random.below(60_000) as usize;
        while let Some(bytes) = end.connection.read(left, now) {
            left -= bytes.len();
            end.received.extend_from_slice(&bytes);
        }
    }

    /// Does all that can be done at once.
    fn hurry(&mut self, end: &mut End, now: Instant) {
        end.connection.set_receive_limit(usize::MAX, now);
        end.read_all(now);
        self.write(end, now);
    }
}

fn config(random: &mut Random) -> Config {
    let buffer = |random: &mut Random| {
        if random.chance(30) { 256 + random.below(4_000) as u32 } else { 4_096 << random.below(9) }
    };
    Config {
        send_buffer_bytes: buffer(random),
        receive_buffer_bytes: buffer(random),
        window_scaling: random.chance(80),
        window_scale_min: random.below(9) as u8,
        timestamps: random.chance(70),
        nagle: random.chance(50),
        quick_acks: random.below(20) as u8,
        congestion: CongestionAlgorithm::ALL[random.below(3) as usize],
        hystart: random.chance(50),
        pacing: random.chance(70),
        retries: 30,
        syn_retries: 30,
        syn_ack_retries: 30,
        ..Config::linux()
    }
}

fn channel(random: &mut Random) -> Channel {
    let harsh = random.chance(70);
    let percent = |random: &mut Random, bound| if harsh { random.below(bound) } else { 0 };
    Channel {
        delay: Duration::from_micros(1 + random.below(100_000)),
        loss: percent(random, 16),
        duplication: percent(random, 10),
        reordering: percent(random, 40),
        path: Path {
            segment_bytes_max: 200 + random.below(9_000) as u16,
            offload_bytes_max: if random.chance(50) { random.below(65_000) as u32 } else { 0 },
        },
        carries_bytes_max: usize::MAX,
    }
}

fn run(seed: u64) {
    let mut random = Random::new(seed);
    let (client, server) = (config(&mut random), config(&mut random));
    let bounds = [client.receive_buffer_bytes as usize, server.receive_buffer_bytes as usize];
    let mut pair = Pair::new(client, server, channel(&mut random), random.next());
    pair.reading = false;
    let mut applications = [Application::new(&mut random), Application::new(&mut random)];
    let finished = |end: &End| end.events.iter().any(|event| matches!(event, Event::Closed(_)));
    for step in 0_u64.. {
        assert!(step < 400_000, "seed {seed}: no end, client {:?}", pair.client.connection);
        // Late in a long life nobody dawdles any more.
        let lazy = step < 20_000 && random.chance(90);
        let now = pair.now;
        let ends = [Some(&mut pair.client), pair.server.as_mut()];
        for ((end, application), bound) in ends.into_iter().zip(&mut applications).zip(bounds) {
            let Some(end) = end else { continue };
            if lazy {
                application.act(end, now)
            } else {
                application.hurry(end, now)
            }
            assert!(end.connection.readable() <= bound, "seed {seed}: more is held than the buffer takes");
        }
        pair.drain();
        if finished(&pair.client) && pair.server.as_ref().is_some_and(finished) {
            break;
        }
        pair.step();
    }
    check(seed, &mut pair, &applications);
}

fn check(seed: u64, pair: &mut Pair, [client, server]: &[Application; 2]) {
    let now = pair.now;
    pair.client.read_all(now);
    pair.server().read_all(now);
    assert!(pair.server().received == client.to_write, "seed {seed}: the server received something else");
    assert!(pair.client.received == server.to_write, "seed {seed}: the client received something else");
    let reasons: Vec<_> =
        [&pair.client, pair.server.as_ref().unwrap()].iter().map(|end| *end.events.last().unwrap()).collect();
    assert!(reasons.contains(&Event::Closed(CloseReason::Finished)), "seed {seed}: {reasons:?}");
    pair.run_for(Duration::from_secs(130));
    for end in [&pair.client, pair.server.as_ref().unwrap()] {
        assert!(end.connection.is_over(), "seed {seed}: {:?}", end.connection);
        assert_eq!(end.connection.poll_timeout(), None, "seed {seed}");
    }
}

#[test]
fn every_stream_arrives_whole_and_every_connection_ends() {
    for seed in 0..400 {
        run(seed);
    }
}
