//! What one segment costs the stack, without a device, a kernel or a socket around it.
//!
//! Many connections are opened by a peer that is no TCP, only frames; then each is used in turn, so that what is
//! measured was not just in the cache. Every operation stands in a function of its own, in [`operation`]: that is what
//! an instruction counter is pointed at.
//!
//! - [`arguments`]: the command line
//! - [`peer`]: the frames of the other side
//! - [`load`]: the stack and its connections
//! - [`operation`]: what is counted
//! - [`judging`]: what the packet filter costs
//! - [`memory`]: what the process holds

#![forbid(unsafe_code)]

mod arguments;
mod judging;
mod load;
mod memory;
mod operation;
mod peer;

use arguments::{Request, Settings, Ways};
use load::Load;
use std::process::ExitCode;
use std::time::Instant;

/// Rounds over all connections before anything is measured: windows and estimates are then what they stay.
const WARM_UP_ROUNDS: usize = 2;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match arguments::parse(&words) {
        Ok(Request::Help) => print!("{}", arguments::HELP),
        Ok(Request::Cost(ways, settings)) => cost(ways, &settings),
        Ok(Request::Memory(settings)) => hold(&settings),
        Ok(Request::Filter { packets }) => judging::run(packets),
        Err(reason) => {
            eprintln!("hotpath: {reason}; see --help");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Prints nanoseconds a segment for each way. Under an instruction counter the times mean nothing, and the operations are
/// run as often all the same.
fn cost(ways: Ways, settings: &Settings) {
    let mut load = Load::open(settings.connections);
    let warm_up = (WARM_UP_ROUNDS * settings.connections).min(settings.segments);
    let mut time = |name: &str, run: fn(&mut Load, usize)| {
        run(&mut load, warm_up);
        let start = Instant::now();
        run(&mut load, settings.segments);
        println!("{name} {:.1} ns", start.elapsed().as_nanos() as f64 / settings.segments as f64);
    };
    if ways.receive {
        time("receive", operation::receive);
    }
    if ways.send {
        time("send", operation::send);
    }
}

/// Prints how many bytes the process holds for each idle connection, but for what this program keeps of its peer.
fn hold(settings: &Settings) {
    let before = memory::resident_bytes();
    let load = Load::open(settings.connections);
    let after = memory::resident_bytes();
    match before.zip(after) {
        Some((before, after)) => {
            let kept = load.len() * size_of::<load::Line>();
            let held = after.saturating_sub(before).saturating_sub(kept as u64);
            println!("connections {}", load.len());
            println!("bytes {held}");
            println!("each {:.1}", held as f64 / load.len() as f64);
        }
        None => println!("the system does not tell"),
    }
}
