//! Connect, one byte there and one back, close.

use super::{ADDRESS, Bench, Better, Candidate, Goal, Lan, Layout, Measure, Purpose, STACKS, table, time};
use crate::server::ECHO;

const RATE: &[Goal] = &[Goal::Times(2.0, Candidate::Kernel)];

pub const CONNECTIONS: Measure = Measure {
    name: "tcp-connections",
    about: "connect, one byte there and one byte back, close by the client; each client one at a time.",
    tables: &[
        table("connections, 1 client", "1/s", Better::Higher, RATE),
        table("connections, 16 clients", "1/s", Better::Higher, RATE),
    ],
    candidates: STACKS,
    rounds_factor: 1,
    sandboxed: false,
    layout: Layout::Tables,
    once,
};

fn once(bench: &Bench, candidate: Candidate, figures: &mut Vec<f64>) -> Result<(), String> {
    let (address, seconds) = (ADDRESS.to_string(), bench.settings.seconds.to_string());
    let (first, last) = (ECHO.start().to_string(), ECHO.end().to_string());
    for clients in ["1", "16"] {
        let lan = Lan::open(candidate, Purpose::Connections)?;
        let words = ["connections", &address, &first, &last, clients, &seconds];
        figures.extend(lan.run(&words, time(bench))?);
    }
    Ok(())
}
