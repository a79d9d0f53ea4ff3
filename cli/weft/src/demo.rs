//! `weft demo`: two HTTPS servers on one address and a resolver that knows both, all on loopback in this process; a policy
//! that is learned from one program, and another program under `weft run` that keeps to it; and the record of that, which
//! somebody changes.
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
//! resolver was asked, not by what the program or weft say. That a changed record is found, `weft ledger verify` has to say.

mod directory;
mod fetch;
mod program;
mod record;
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
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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
    let scene =
        Scene { own: std::env::current_exe()?, program: Program::find(), directory, authorities, address };
    let policy = scene.learn(&resolver)?;
    let before = (servers.requests(), resolver.asked());
    scene.enforce(&resolver, &policy)?;
    judge(before, (servers.requests(), resolver.asked()))?;
    record::tamper(&scene.own, &scene.directory)
}

/// What is run, and where.
struct Scene {
    own: PathBuf,
    program: Program,
    directory: Directory,
    authorities: PathBuf,
    address: SocketAddr,
}

impl Scene {
    /// Has the program ask for the name that will be allowed; what it needed is the policy.
    fn learn(&self, resolver: &Resolver) -> Result<PathBuf, Box<dyn Error>> {
        let (port, policy) = (self.address.port(), self.directory.join("docs.rules"));
        say(format_args!("\n1. Learn what a program needs, while everything is allowed:\n"))?;
        let shown = self.program.shown_request(port);
        say(format_args!("$ weft learn --dns {} -o docs.rules -- {shown}", resolver.address()))?;
        let mut learn = self.weft();
        learn.args(["learn", "--quiet", "--dns", &resolver.address().to_string(), "-o"]).arg(&policy);
        self.run(learn.arg("--").args(self.program.request(&self.own, port, &self.authorities)))?;
        let learned = std::fs::read_to_string(&policy)?;
        let rules = learned.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        say(format_args!("\n$ cat docs.rules"))?;
        rules.into_iter().try_for_each(|rule| say(format_args!("{rule}")))?;
        Ok(policy)
    }

    /// Runs a program that asks for more than that.
    fn enforce(&self, resolver: &Resolver, policy: &Path) -> Result<(), Box<dyn Error>> {
        let (port, name) = (self.address.port(), self.program.name());
        say(format_args!(
            "\n2. Allow that and nothing else. {name} asks for {ALLOWED}, for {REFUSED}, and for"
        ))?;
        say(format_args!("   {REFUSED} at the address of {ALLOWED}:\n"))?;
        let shown = self.program.shown(port);
        say(format_args!(
            "$ weft run --dns {} --policy docs.rules \\\n    -- {shown}\n",
            resolver.address()
        ))?;
        let mut run = self.weft();
        run.args(["run", "--dns", &resolver.address().to_string(), "--policy"]).arg(policy);
        self.run(run.arg("--").args(self.program.words(&self.own, port, &self.authorities)))
    }

    /// This program. The demonstration leaves nothing behind, in nobody's record either.
    fn weft(&self) -> Command {
        let mut weft = Command::new(&self.own);
        weft.env("WEFT_LEDGER", self.directory.join("ledger"));
        weft
    }

    fn run(&self, command: &mut Command) -> Result<(), Box<dyn Error>> {
        match command.status()?.code() == Some(i32::from(RUN_FAILURE_STATUS)) {
            true => Err("weft run does not work here: weft doctor tells why".into()),
            false => Ok(()),
        }
    }
}

/// Requests to either name, and questions about either.
type Seen = ([u32; 2], [u32; 2]);

/// What came through, by those that it came to.
fn judge(before: Seen, after: Seen) -> Result<(), Box<dyn Error>> {
    let came = [after.0[0] - before.0[0], after.0[1] - before.0[1]];
    let asked = [after.1[0] - before.1[0], after.1[1] - before.1[1]];
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
