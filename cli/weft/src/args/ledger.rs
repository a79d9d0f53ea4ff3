//! The command line of `weft ledger` and `weft key`.

use super::values::parse_duration;
use axiom::domain::DomainName;
use axiom::rules::Network;
use clap::{Args, Subcommand, ValueEnum};
use identity::Algorithm;
use ledger::{EntryNumber, RunId, Verdict};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeyTask {
    /// Make a key in a new file that only you can read, and print its public half
    New {
        /// The name of whoever signs, which stands in every checkpoint and must be no other's. HOST/weft/ and a part that
        /// the key makes unique, unless given
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// An algorithm; repeatable. Both unless given
        #[arg(long, value_name = "ALGORITHM", value_parser = parse_algorithm)]
        algorithm: Vec<Algorithm>,
        /// The file to make
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the public half of a file of keys
    Show {
        /// The file
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What can be done with a ledger.
#[derive(Debug, Subcommand)]
pub enum LedgerTask {
    /// Print the entries, one a line
    List {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        select: Select,
        /// Print at most so many
        #[arg(long, value_name = "COUNT")]
        limit: Option<usize>,
        /// Print JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Print one entry with all its fields
    Show {
        /// Its number: 17, or 3.17 in shard 3
        number: EntryNumber,
        #[command(flatten)]
        place: Place,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the last entries, and what comes
    Tail {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        select: Select,
        /// How many of the entries that are there
        #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 10)]
        lines: u64,
        /// Go on as entries come, until interrupted
        #[arg(long, short)]
        follow: bool,
        /// Print JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Check that nothing was changed since it was signed, and name the first entry that was
    Verify {
        /// A ledger's directory, a copy of one, an exported file, or a proof; the host's own ledger unless given
        path: Option<PathBuf>,
        /// A public key that must have signed, as text or a file of such; repeatable
        #[arg(long, value_name = "KEY", required = true)]
        key: Vec<String>,
        /// A file with earlier or later checkpoints, or the line ORIGIN SIZE ROOT that a run ends with: they must be of this
        /// ledger's history; repeatable
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
        /// What is there is a part, as of one shard, or without the journal: tell what is missing, and do not call it wrong
        #[arg(long)]
        partial: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Prove one entry, or all since a checkpoint, by a file for `verify`, which takes the latter with that checkpoint
    Prove {
        /// The number of the entry: 17, or 3.17 in shard 3
        #[arg(required_unless_present = "since")]
        number: Option<EntryNumber>,
        /// A file with earlier checkpoints, or such a line of a run: prove that the ledger goes on from them
        #[arg(long, value_name = "FILE", conflicts_with = "number")]
        since: Option<PathBuf>,
        /// A public key that must have signed them, as text or a file of such; repeatable. Those beside the ledger, in
        /// PATH.pub, unless given
        #[arg(long, value_name = "KEY", requires = "since")]
        key: Vec<String>,
        #[command(flatten)]
        place: Place,
        /// The file to make, instead of printing the proof
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write all of it into one file, a tar archive of C2SP tiles
    Export {
        #[command(flatten)]
        place: Place,
        /// The file to make
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the newest checkpoint of each shard, to keep them elsewhere
    Checkpoint {
        #[command(flatten)]
        place: Place,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which ledger.
#[derive(Args, Debug)]
pub struct Place {
    /// The ledger: a directory or an exported file. $WEFT_LEDGER unless given, else weft/ledger in $XDG_STATE_HOME or
    /// ~/.local/state
    #[arg(long, value_name = "PATH")]
    pub ledger: Option<PathBuf>,
}

/// Which entries.
#[derive(Args, Clone, Debug, Default)]
pub struct Select {
    /// Only from this time on, as 2026-11-21, 2026-11-21T10:00:00Z, or 2h for two hours ago
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<u64>,
    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub until: Option<u64>,
    /// Only of this program: its path, or its file's name
    #[arg(long, value_name = "PROGRAM", value_parser = parse_program)]
    pub program: Option<String>,
    /// Only to or from this host: a name, *.name for those below it, an address or a network, or the path of a Unix socket
    #[arg(long, value_name = "HOST", value_parser = parse_host)]
    pub host: Option<SelectedHost>,
    /// Only what was decided so
    #[arg(long, value_name = "VERDICT", value_enum)]
    pub verdict: Option<SelectedVerdict>,
    /// Only of this run
    #[arg(long, value_name = "ID", value_parser = parse_run)]
    pub run: Option<RunId>,
}

/// Hosts, on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectedHost {
    /// This name.
    Name(DomainName),
    /// All names below this one.
    Below(DomainName),
    /// The addresses of this network.
    Network(Network),
    /// The Unix socket of this path.
    Unix(String),
}

/// A verdict, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SelectedVerdict {
    /// It may be
    Allowed,
    /// It may not be
    Refused,
}

impl SelectedVerdict {
    /// Whether a verdict is this one.
    #[must_use]
    pub fn is(self, verdict: Verdict) -> bool {
        match self {
            Self::Allowed => verdict == Verdict::Allowed,
            Self::Refused => verdict == Verdict::Refused,
        }
    }
}

/// A host that an entry can have.
fn parse_host(text: &str) -> Result<SelectedHost, String> {
    if text.starts_with('/') {
        return Ok(SelectedHost::Unix(text.to_owned()));
    }
    let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Some(network) = Network::parse(address) {
        return Ok(SelectedHost::Network(network));
    }
    let no_name = |error: axiom::domain::DomainError| {
        let why = match text {
            "" => "it is empty".to_owned(),
            "*" => "every host is meant where --host is left out".to_owned(),
            _ if text.contains("://") => "a protocol is no part of a host".to_owned(),
            _ if text.contains(':') => "a port is no part of a host".to_owned(),
            _ if text.contains('/') => "a network has no bit set behind its prefix".to_owned(),
            _ => error.to_string(),
        };
        format!("{why}; give a name, *.name, an address, a network or /PATH")
    };
    match text.strip_prefix("*.") {
        Some(parent) => DomainName::parse(parent).map(SelectedHost::Below).map_err(no_name),
        None => DomainName::parse(text).map(SelectedHost::Name).map_err(no_name),
    }
}

/// A program that an entry can have.
fn parse_program(text: &str) -> Result<String, String> {
    let name = text.rsplit('/').next().unwrap_or_default();
    match name.is_empty() || text.contains('/') && !text.starts_with('/') {
        true => Err("no program is called so; give its whole path, or its file's name".to_owned()),
        false => Ok(text.to_owned()),
    }
}

fn parse_algorithm(text: &str) -> Result<Algorithm, String> {
    text.parse().map_err(|error: identity::algorithm::AlgorithmError| error.to_string())
}

pub(super) fn parse_run(text: &str) -> Result<RunId, String> {
    text.parse().map_err(|error: ledger::entry::RunIdError| error.to_string())
}

/// A time, in nanoseconds since 1970.
fn parse_time(text: &str) -> Result<u64, String> {
    if let Some(moment) = time::calendar::parse_rfc3339(text) {
        return Ok(moment);
    }
    let ago: Duration = parse_duration(text).map_err(|_| {
        format!("'{text}' is no time: expected as in 2026-11-21, 2026-11-21T10:00:00Z, or 2h")
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(u64::try_from(now.saturating_sub(ago).as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_entry_can_have_is_no_filter() {
        for (text, why) in [
            ("", "it is empty"),
            ("*", "left out"),
            ("*.", "a label"),
            ("a.example:443", "a port"),
            ("192.0.2.1:443", "a port"),
            ("tcp://a.example", "a protocol"),
            ("10.0.0.1/8", "behind its prefix"),
            ("a..example", "a label"),
            ("10.0.0", "a number"),
        ] {
            let error = parse_host(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let name = |text| DomainName::parse(text).unwrap();
        assert_eq!(parse_host("A.example."), Ok(SelectedHost::Name(name("a.example"))));
        assert_eq!(parse_host("*.a.example"), Ok(SelectedHost::Below(name("a.example"))));
        assert_eq!(parse_host("[::1]"), parse_host("::1"));
        assert_eq!(parse_host("/run/a"), Ok(SelectedHost::Unix("/run/a".into())));
        for text in ["", "/", "bin/curl", "/usr/bin/"] {
            assert!(parse_program(text).is_err(), "{text}");
        }
        assert!(parse_program("curl").is_ok() && parse_program("/usr/bin/curl").is_ok());
    }
}
