//! Every pair of ends across every kind of harm, for a moment each: every byte arrives where it belongs.

use std::time::Duration;

use super::crossing::{Crossing, Tcp};
use crate::topology;

/// How long each pair is watched, from the first byte on.
const TIME: Duration = Duration::from_secs(1);
/// Links that are crossed at once.
const AT_ONCE: usize = 4;

/// What harms, and the link's words for it; all at 5 ms there and back.
const KINDS: [(&str, &str); 9] = [
    ("loss", "loss-ppm=20000"),
    ("bursts", "burst-ppm=2000"),
    ("reordering", "reorder-ppm=20000"),
    ("duplication", "duplicate-ppm=20000"),
    ("corruption", "corrupt-ppm=10000"),
    ("jitter", "jitter-us=3000"),
    ("a short queue", "rate-bits=20000000 queue-packets=15"),
    ("marks", "rate-bits=20000000 queue-packets=200 mark-packets=10"),
    ("a narrow router", "narrow-bytes=1300"),
];

/// Crosses them all, and prints what arrived.
pub fn run() -> Result<(), String> {
    topology::prepare_process()?;
    let pairs = [
        ("Linux to Linux", Tcp::Linux, Tcp::Linux),
        ("weft to Linux", Tcp::Weft, Tcp::Linux),
        ("Linux to weft", Tcp::Linux, Tcp::Weft),
        ("weft to weft", Tcp::Weft, Tcp::Weft),
    ];
    let all: Vec<_> = KINDS.iter().flat_map(|kind| pairs.iter().map(move |pair| (kind, pair))).collect();
    for (number, group) in all.chunks(AT_ONCE).enumerate() {
        let started = group.iter().map(|((kind, words), (pair, sender, receiver))| {
            let words = format!("delay-us=2500 queue-packets=2000 {words}");
            let crossing = Crossing::start(&[*sender], *receiver, &words, number as u64, TIME);
            (kind, pair, crossing)
        });
        for (kind, pair, crossing) in started.collect::<Vec<_>>() {
            let arrived =
                crossing.and_then(Crossing::finish).map_err(|error| format!("{pair}, {kind}: {error}"))?;
            println!("{pair}, {kind}: {:.2} Mbit/s", arrived[0]);
            if arrived[0] == 0.0 {
                return Err(format!("{pair}, {kind}: nothing more arrived"));
            }
        }
    }
    Ok(())
}
