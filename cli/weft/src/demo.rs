//! `weft demo`: two HTTPS servers on one address and a resolver that knows both, all on loopback in this process, and
//! a program under `weft run` that may reach one of them.
//!
//! ```text
//!   this process                                     weft run
//!   ┌──────────────────────────────────┐            ┌──────────────────────────┐
//!   │ docs.example ┐                   │  allowed   │                          │
//!   │              ├ 127.0.0.1, port P ┼◄───────────┼─ curl https://docs.…     │
//!   │ ads.example  ┘                   │  refused   │  curl https://ads.…      │
//!   │ resolver, port Q                 │            │  curl https://ads.… at   │
//!   └──────────────────────────────────┘            │    the address of docs.… │
//!                                                   └──────────────────────────┘
//! ```
//!
//! Whether it went as told is judged from outside: by the requests that the servers got and the questions that the
//! resolver was asked, not by what the program or weft say.

mod directory;
mod fetch;
mod program;
mod resolver;
mod servers;

use crate::args::{DemoArguments, RUN_FAILURE_STATUS};
use directory::Directory;
use program::Program;
use resolver::Resolver;
use servers::Servers;
use std::error::Error;
use std::process::{Command, ExitCode};

/// The name that the rules allow.
pub const ALLOWED: &str = "docs.example";
/// The name that they do not, on the same address and port.
pub const REFUSED: &str = "ads.example";

/// Shows it, or fetches where this process is the demonstration's program.
pub fn run(arguments: &DemoArguments) -> ExitCode {
    if let Some(authorities) = &arguments.authorities {
        return fetch::run(&arguments.fetch, authorities);
    }
    match show() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weft demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show() -> Result<(), Box<dyn Error>> {
    let servers = Servers::start([ALLOWED, REFUSED])?;
    let resolver = Resolver::start([ALLOWED, REFUSED])?;
    let directory = Directory::make()?;
    let authorities = directory.write("authorities.pem", servers.certificates())?;
    let address = servers.address();
    println!("Two HTTPS servers answer on {address}: {ALLOWED} and {REFUSED}.");
    println!("Without weft, both can be reached:");
    for name in [ALLOWED, REFUSED] {
        println!("  {name}: {}", fetch::fetch(name, address, &authorities)?.trim_end());
    }
    let before = servers.requests();

    let program = Program::find();
    let own = std::env::current_exe()?;
    let port = address.port();
    let mut options = vec!["--dns".to_owned(), resolver.address().to_string()];
    // A name that leads to loopback is refused unless a rule allows that address too: here that is where the servers are.
    for rule in [format!("{ALLOWED}:{port}"), address.to_string()] {
        options.extend(["--allow".to_owned(), rule]);
    }
    let words = program.words(&own, port, &authorities);
    println!("\nWith weft, {ALLOWED} is allowed and nothing else. {} asks for", program.name());
    println!("  1. {ALLOWED}\n  2. {REFUSED}\n  3. {REFUSED}, at the address of {ALLOWED}\n");
    println!("$ weft run {} \\\n    -- {}\n", shown(&options), program.shown(port));
    let status = Command::new(&own).arg("run").args(&options).arg("--").args(&words).status()?;
    if status.code() == Some(i32::from(RUN_FAILURE_STATUS)) {
        return Err("weft run does not work here: weft doctor tells why".into());
    }
    judge(&servers, before, &resolver)
}

/// The options as they would be typed.
fn shown(options: &[String]) -> String {
    options.chunks(2).map(|pair| pair.join(" ")).collect::<Vec<_>>().join(" ")
}

/// What came through, by those that it came to.
fn judge(servers: &Servers, before: [u32; 2], resolver: &Resolver) -> Result<(), Box<dyn Error>> {
    let after = servers.requests();
    let came = [after[0] - before[0], after[1] - before[1]];
    let asked = resolver.asked();
    println!("\nSeen from outside:");
    println!("  requests to {ALLOWED}: {}, to {REFUSED}: {}", came[0], came[1]);
    println!("  questions about {ALLOWED}: {}, about {REFUSED}: {}", asked[0], asked[1]);
    let fault = if came[0] != 1 {
        "the allowed name was not reached once"
    } else if came[1] != 0 {
        "the refused name was reached"
    } else if asked[1] != 0 {
        "the refused name was looked up"
    } else {
        println!("The allowed name was reached. The other was neither reached nor even looked up.");
        return Ok(());
    };
    Err(fault.into())
}
