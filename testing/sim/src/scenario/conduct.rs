//! What programs do with a connection.

use super::draw::{Scale, of_any_size, one_of};
use super::network::Network;
use super::profile;
use crate::random::Random;
use std::sync::Arc;
use time::Duration;

/// How a connection comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The first side connects, the second listens.
    Plain,
    /// Both connect at one moment (RFC 9293 §3.5, figure 7).
    Simultaneous,
}

/// How a side ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// FIN after the last byte; then it reads to the end.
    Orderly,
    /// A reset once so many bytes are written.
    Abort(u64),
    /// It lets go of everything once so many bytes are read, whatever may still come.
    Drop(u64),
}

/// What one side does.
#[derive(Clone, Debug)]
pub struct Conduct {
    /// Bytes that it writes, as far as it comes.
    pub bytes: u64,
    /// Bytes of one write.
    pub write_bytes: usize,
    /// It rests so long after so many bytes written: longer than a retransmission timeout, or than the keep-alive.
    pub write_rests: Option<(u64, Duration)>,
    /// It writes only once the other side's end has come: half-closed.
    pub waits_for_end: bool,
    /// It reads so many bytes at once, and then rests.
    pub sip: Option<(usize, Duration)>,
    /// After so many bytes it reads nothing for so long: the window closes.
    pub stalls: Option<(u64, Duration)>,
    /// How it ends.
    pub end: End,
    /// Its profile.
    pub config: Arc<tcp::Config>,
}

/// Connections one after the other between the same addresses and ports.
#[derive(Clone, Debug)]
pub struct Talk {
    /// The port of both sides.
    pub port: u16,
    /// How each is opened.
    pub opening: Opening,
    /// Whether the first bytes leave with the SYN, where the server has given a cookie (RFC 7413). Not where packets arrive
    /// twice: the server may then be given a connection twice (§6.1).
    pub fast: bool,
    /// Whether the server opens them.
    pub reversed: bool,
    /// When the first begins.
    pub starts_after: Duration,
    /// How many, each as soon as the one before is over on both sides, while either may be in TIME-WAIT.
    pub rounds: u64,
    /// What the side that opens does, and the other.
    pub sides: [Conduct; 2],
}

/// The first talk's port.
const PORT_FIRST: u16 = 2_000;

impl Talk {
    pub(super) fn draw(random: &mut Random, number: u16, network: &Network, scale: &Scale) -> Self {
        let waits = random.chance(150_000).then(|| random.below(2));
        let ends = [draw_end(random, scale), draw_end(random, scale)];
        // A side that waits for an end which never comes is right to wait for ever.
        let is_hard = ends.iter().any(|end| *end != End::Orderly);
        let dies = network.dies() || is_hard;
        let mut side = |own: u64| {
            let bytes = of_any_size(random, scale.stream_bytes_max);
            let rests = |random: &mut Random, millis_max: u64| {
                let after = 1 + random.below(bytes + 1);
                (after, Duration::from_millis(of_any_size(random, millis_max)))
            };
            Conduct {
                bytes,
                write_bytes: draw_write(random, bytes),
                write_rests: random.chance(250_000).then(|| rests(random, 60_000)),
                waits_for_end: waits == Some(own) && !is_hard,
                sip: random.chance(200_000).then(|| {
                    let sip = 500 + of_any_size(random, 30_000) as usize + bytes as usize / 50;
                    (sip, Duration::from_millis(of_any_size(random, 1_500)))
                }),
                stalls: random.chance(200_000).then(|| rests(random, 200_000)),
                end: ends[own as usize],
                config: Arc::new(profile::draw(random, network, dies)),
            }
        };
        let sides = [side(0), side(1)];
        let opening = if random.chance(120_000) { Opening::Simultaneous } else { Opening::Plain };
        let fast = opening == Opening::Plain && !network.duplicates() && random.chance(300_000);
        Self {
            port: PORT_FIRST + number,
            opening,
            fast,
            reversed: random.chance(300_000),
            starts_after: Duration::from_micros(of_any_size(random, 500_000)),
            rounds: if !fast && random.chance(700_000) { 1 } else { 1 + random.below(scale.rounds_max) },
            sides,
        }
    }

    /// Whether some side ends in a way of which the other need not hear.
    pub fn is_hard(&self) -> bool {
        self.sides.iter().any(|side| side.end != End::Orderly)
    }
}

fn draw_end(random: &mut Random, scale: &Scale) -> End {
    match random.below(12) {
        0 => End::Abort(of_any_size(random, scale.stream_bytes_max)),
        1 => End::Drop(of_any_size(random, scale.stream_bytes_max)),
        _ => End::Orderly,
    }
}

/// Small writes only where there are few of them.
fn draw_write(random: &mut Random, bytes: u64) -> usize {
    let size = one_of(random, &[1_usize, 10, 100, 1_000, 1_460, 4_096, 16 << 10, 64 << 10]);
    size.max(bytes as usize / 500)
}
