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
use std::fmt;
use std::io::{self, Write};
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
        // The reader has seen enough, as in `weft demo | head`.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weft demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<OutputError>()
        .is_some_and(|OutputError(error)| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Standard output could not be written.
#[derive(Debug)]
struct OutputError(io::Error);

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "standard output: {}", self.0)
    }
}

impl Error for OutputError {}

/// A line to standard output, whose reader may be gone.
fn say(line: fmt::Arguments<'_>) -> Result<(), OutputError> {
    writeln!(io::stdout(), "{line}").map_err(OutputError)
}

fn show() -> Result<(), Box<dyn Error>> {
    let servers = Servers::start([ALLOWED, REFUSED])?;
    let resolver = Resolver::start([ALLOWED, REFUSED])?;
    let directory = Directory::make()?;
    let authorities = directory.write("authorities.pem", servers.certificates())?;
    let address = servers.address();
    say(format_args!("Two HTTPS servers answer on {address}: {ALLOWED} and {REFUSED}."))?;
    say(format_args!("Without weft, both can be reached:"))?;
    for name in [ALLOWED, REFUSED] {
        say(format_args!("  {name}: {}", fetch::fetch(name, address, &authorities)?.trim_end()))?;
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
    say(format_args!("\nWith weft, {ALLOWED} is allowed and nothing else. {} asks for", program.name()))?;
    say(format_args!("  1. {ALLOWED}\n  2. {REFUSED}\n  3. {REFUSED}, at the address of {ALLOWED}\n"))?;
    say(format_args!("$ weft run {} \\\n    -- {}\n", shown(&options), program.shown(port)))?;
    let mut run = Command::new(&own);
    // The demonstration leaves nothing behind, in nobody's record either.
    run.env("WEFT_LEDGER", directory.join("ledger"));
    let status = run.arg("run").args(&options).arg("--").args(&words).status()?;
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
    say(format_args!("\nSeen from outside:"))?;
    say(format_args!("  requests to {ALLOWED}: {}, to {REFUSED}: {}", came[0], came[1]))?;
    say(format_args!("  questions about {ALLOWED}: {}, about {REFUSED}: {}", asked[0], asked[1]))?;
    let fault = if came[0] != 1 {
        "the allowed name was not reached once"
    } else if came[1] != 0 {
        "the refused name was reached"
    } else if asked[1] != 0 {
        "the refused name was looked up"
    } else {
        say(format_args!("The allowed name was reached. The other was neither reached nor even looked up."))?;
        return Ok(());
    };
    Err(fault.into())
}
