//! The command line of `bench`.

use std::path::PathBuf;

/// What `bench --help` prints.
pub const HELP: &str = "\
Measures weft and its peers side by side in one run, in network namespaces of its own. Needs root.

Usage: cargo xtask bench [OPTIONS] [NAME]...

Names (all when none is given):
  startup      wall time of an empty command, over the bare command
  bulk         iperf3, one stream, upload and download
  latency      one byte there and back over one connection
  connections  connect, one byte there and back, close; 1 and 16 clients
  memory       of the gateway at 1, 1,000 and 10,000 idle connections
  tcp          all of these, of stacks by themselves, each on one processor with the client on another:
    tcp-bulk         one stream, received and sent; processor time for each gigabyte
    tcp-requests     one byte there and back, on 1 and 64 connections
    tcp-connections  connect, one byte there and back, close; 1 and 16 clients
    tcp-http         small answers on 64 connections that stay, beside nginx
    tcp-scale        cost of a segment and memory of a connection, up to a million of them, without a device
    tcp-scale-held   100,000 connections in one process over a TAP, and a byte there and back on each
  impair       one stream between Linux and weft, each way, across 24 links that lose, delay and limit (10 minutes a round)
  filter       what the packet filter costs a packet, by how much it knows
  fairness     weft beside Linux at one bottleneck
  policy       decisions of a policy: for the first time with 10 and 10,000 hosts, remembered, written down

Without a measure: `crossings` sends for a second between Linux and weft, each way, across every kind of harm, and fails
where a byte does not arrive as it was sent. `ledger` appends a million entries to a ledger and verifies them; it has options
of its own.

Options:
  --rounds N    rounds of each candidate, interleaved (default 5, 1 to 100; start-up takes five times as many)
  --seconds S   length of one bulk or connections round (default 3, 1 to 60)
  --json        print JSON instead of tables
  --runs DIR    where to keep the run (default testing/bench/runs)
  --no-keep     do not keep the run as files
  --help        this text
";

/// What the caller asks for.
#[derive(Debug)]
pub enum Request {
    /// Print the help text.
    Help,
    /// Measure and report.
    Measure(Settings),
}

/// How to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Names of the measures to take; all when empty.
    pub names: Vec<String>,
    /// Interleaved rounds, 1 to 100.
    pub rounds: usize,
    /// Length of one bulk or connections round in seconds, 1 to 60.
    pub seconds: u64,
    /// Print JSON instead of tables.
    pub json: bool,
    /// Where the run is kept; not kept when `None`.
    pub runs: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            rounds: 5,
            seconds: 3,
            json: false,
            runs: Some(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("runs")),
        }
    }
}

/// Reads the command line; an error says what is wrong with it.
pub fn parse(arguments: &[String]) -> Result<Request, String> {
    let mut settings = Settings::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--help" | "-h" => return Ok(Request::Help),
            "--rounds" => settings.rounds = number(argument, value()?, 1, 100)? as usize,
            "--seconds" => settings.seconds = number(argument, value()?, 1, 60)?,
            "--json" => settings.json = true,
            "--runs" => settings.runs = Some(PathBuf::from(value()?)),
            "--no-keep" => settings.runs = None,
            option if option.starts_with('-') => return Err(format!("unknown option {option}, see --help")),
            name if crate::measure::find(name).next().is_some() => {
                settings.names.extend(crate::measure::find(name).map(|measure| measure.name.to_owned()));
            }
            name => return Err(format!("no measure is called {name}, see --help")),
        }
    }
    Ok(Request::Measure(settings))
}

/// What is wrong with a command line of a person, if something is. The other programs of this one are started by itself.
pub fn wrong(arguments: &[String]) -> Option<String> {
    match arguments.split_first() {
        Some((first, _)) if matches!(first.as_str(), "workload" | "impair-link" | "endpoint" | "server") => {
            None
        }
        Some((first, rest)) if first == "ledger" => crate::ledger::wrong(rest),
        Some((first, rest)) if first == "crossings" => {
            (!rest.is_empty()).then(|| format!("crossings takes nothing, not {}; see --help", rest.join(" ")))
        }
        _ => parse(arguments).err(),
    }
}

fn number(option: &str, text: &str, low: u64, high: u64) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(format!("{option} takes a number from {low} to {high}, not {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &str) -> Result<Request, String> {
        parse(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn names_and_options_mix() {
        let Ok(Request::Measure(settings)) = parse_words("bulk --rounds 7 latency --json --no-keep") else {
            panic!("a good command line was refused");
        };
        assert_eq!(settings.names, ["bulk", "latency"]);
        assert_eq!((settings.rounds, settings.json, settings.runs), (7, true, None));
    }

    #[test]
    fn what_a_person_types_is_checked_first_and_crossings_stands_alone() {
        let wrong_words =
            |words: &str| wrong(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        for words in
            ["", "--help", "bulk --rounds 1", "crossings", "ledger --entries 5000", "endpoint any words"]
        {
            assert_eq!(wrong_words(words), None, "{words}");
        }
        let reason = wrong_words("crossings --no-keep").expect("an option is refused");
        assert!(reason.contains("crossings takes nothing, not --no-keep"), "{reason}");
        assert!(wrong_words("--fast").is_some() && wrong_words("ledger --fast").is_some());
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        for words in ["--rounds 0", "--rounds 101", "--rounds", "--seconds x", "--fast", "speed"] {
            assert!(parse_words(words).is_err(), "{words} was taken");
        }
    }
}
