//! The command line of `weft`: what can be asked for, and how it becomes the gateway's options.
//!
//! The help texts here are also the manual pages (`weft man`) and the completions (`weft completions`), so nothing of
//! them is written twice.

mod filter;
mod fleet;
mod help;
mod ledger;
mod policy;
pub mod values;
mod why;

pub use self::fleet::{CommonArguments, FleetLedgerTask, FleetPolicyTask, FleetTask};
pub use self::ledger::{KeyTask, LedgerTask, Place, Select, SelectedHost};
pub use filter::{FilterTask, TestArguments};
pub use policy::{PolicyFiles, PolicyTask};
pub use why::{Wanted, WhyArguments};

use crate::ledger::{default_path, own_path, policy_homes};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use gateway::limits::{Limit, LimitError};
use gateway::options::{LedgerOptions, OptionError, Pin, Publish, parse_resolver};
use identity::SecretKey;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The status of bad usage, except of `run`: what the command exits with is its own there.
pub const USAGE_STATUS: u8 = 2;

/// The status of `weft run` where weft itself failed, bad usage included.
pub const RUN_FAILURE_STATUS: u8 = 125;

/// Runs a program whose every connection goes through a TCP/IP stack of its own, and only where it is allowed.
#[derive(Debug, Parser)]
#[command(name = "weft", version, propagate_version = true, max_term_width = 100)]
#[command(after_long_help = help::OVERVIEW)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// What `weft` can do.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Run a command that can connect only to what is allowed
    #[command(long_about = help::RUN, after_long_help = help::RUN_AFTER)]
    Run(Box<RunArguments>),
    /// Run a command with everything allowed, and write the policy that it needs
    #[command(long_about = help::LEARN, after_long_help = help::LEARN_AFTER)]
    Learn(Box<LearnArguments>),
    /// Show it: one allowed and one refused name on the same address, without network, root or configuration
    #[command(long_about = help::DEMO)]
    Demo(DemoArguments),
    /// Tell whether `weft run` will work here, and what to do where not
    #[command(long_about = help::DOCTOR)]
    Doctor(DoctorArguments),
    /// Check, list and try rules files of the packet filter
    #[command(long_about = help::FILTER, after_long_help = help::FILTER_AFTER)]
    Filter {
        /// What to do with one.
        #[command(subcommand)]
        task: FilterTask,
    },
    /// Share policies and ledgers of many hosts through NATS JetStream
    #[command(long_about = help::FLEET, after_long_help = help::FLEET_AFTER)]
    Fleet {
        /// What to do.
        #[command(subcommand)]
        task: FleetTask,
    },
    /// Make and show the keys that sign
    #[command(after_long_help = help::KEY_AFTER)]
    Key {
        /// What to do.
        #[command(subcommand)]
        task: KeyTask,
    },
    /// Read, verify and prove what was decided
    #[command(long_about = help::LEDGER, after_long_help = help::LEDGER_AFTER)]
    Ledger {
        /// What to do.
        #[command(subcommand)]
        task: LedgerTask,
    },
    /// Check, explain and test policies
    #[command(long_about = help::POLICY, after_long_help = help::POLICY_AFTER)]
    Policy {
        /// What to do.
        #[command(subcommand)]
        task: PolicyTask,
    },
    /// Explain why something was refused, or allowed, from the ledger
    #[command(long_about = help::WHY, after_long_help = help::WHY_AFTER)]
    Why(WhyArguments),
    /// Print the completions of a shell
    #[command(hide = true)]
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print a manual page
    #[command(hide = true)]
    Man {
        /// The subcommand that it is about; without one, the page of weft itself.
        subcommand: Option<String>,
    },
}

/// The options of `weft run`.
#[derive(Args, Debug)]
pub struct RunArguments {
    /// Allow connections to this; repeatable
    #[arg(long, value_name = "RULE", help_heading = "Rules")]
    pub allow: Vec<String>,
    /// Deny connections to this, whatever else allows them; repeatable
    #[arg(long, value_name = "RULE", help_heading = "Rules")]
    pub deny: Vec<String>,
    /// Allow and deny what this file says: Cedar where its name ends in .cedar, else one rule a line; repeatable
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub policy: Vec<String>,
    /// A list that policies in Cedar name as List::"NAME"; repeatable
    #[arg(long = "list", value_name = "NAME=FILE", value_parser = policy::parse_list, help_heading = "Rules")]
    pub lists: Vec<policy::NamedList>,
    /// Make this directory read-only for the command, so that changes of a policy in it count while it runs; repeatable
    #[arg(long, value_name = "DIR", help_heading = "Rules")]
    pub read_only: Vec<PathBuf>,
    /// What becomes of open connections that a changed policy file does not allow any more
    #[arg(long, value_name = "WHAT", value_enum, default_value_t, help_heading = "Rules")]
    pub on_revoke: OnRevoke,
    /// Let TLS without a server name pass where a connection was opened for an allowed name
    #[arg(long, help_heading = "Rules")]
    pub tls_opaque: bool,
    /// Refuse to run where something that closes a way out cannot be done here, as `weft doctor` tells
    #[arg(long, help_heading = "Rules")]
    pub strict: bool,
    /// Ask this resolver instead of the host's
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = parse_resolver, help_heading = "Names")]
    pub dns: Option<SocketAddr>,
    /// Resolve this name to this address, and allow that address for it; repeatable
    #[arg(long, value_name = "NAME=ADDR", value_parser = parse_pin, help_heading = "Names")]
    pub resolve: Vec<Pin>,
    /// Lead a port of the host to a port inside; ADDR is 127.0.0.1 unless given; repeatable
    #[arg(long, value_name = "[ADDR:]PORT:PORT[/udp]", value_parser = parse_publish, help_heading = "Link")]
    pub publish: Vec<Publish>,
    /// Bound how much of the network the command may use; repeatable
    #[arg(long = "limit", value_name = "WHAT=HOW-MUCH", value_parser = parse_limit, help_heading = "Limits")]
    pub limits: Vec<Limit>,
    /// Judge packets between the command and the stack by this file of rules, and tell at the end what each rule has met
    #[arg(long, value_name = "FILE", help_heading = "Limits")]
    pub filter: Option<PathBuf>,
    /// How the command's network is attached
    #[arg(long, value_name = "HOW", value_enum, default_value_t, help_heading = "Link")]
    pub attach: Attach,
    /// Write every frame between the command and the stack to this file
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub pcap: Option<PathBuf>,
    /// Write what happens to this file, one JSON object a line
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub events: Option<PathBuf>,
    /// Write nothing to standard error but failures of weft itself
    #[arg(long, help_heading = "Reports")]
    pub quiet: bool,
    /// Write what is decided into the ledger in this directory, instead of this user's own
    #[arg(long, value_name = "DIR", conflicts_with = "no_ledger", help_heading = "Ledger")]
    pub ledger: Option<PathBuf>,
    /// Keep no record of what is decided
    #[arg(long, help_heading = "Ledger")]
    pub no_ledger: bool,
    /// When a connection may proceed: once its entry is on disk, or at once, with the entry in a file within 5 ms
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, help_heading = "Ledger")]
    pub durability: Durability,
    /// Go on in a new log once one has this many bytes of entries, as in 100M; at least 2M [default: 1 GiB]
    #[arg(long, value_name = "BYTES", value_parser = parse_log_bytes, conflicts_with = "no_ledger", help_heading = "Ledger")]
    pub rotate_size: Option<u64>,
    /// Go on in a new log once one is this old, as in 7d [default: 30d]
    #[arg(long, value_name = "DURATION", value_parser = values::parse_duration, conflicts_with = "no_ledger", help_heading = "Ledger")]
    pub rotate_age: Option<Duration>,
    /// Keep so many logs when a new one begins, the new one included [default: all]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "no_ledger", help_heading = "Ledger")]
    pub keep_logs: Option<u64>,
    /// Let logs go that ended longer ago than this when a new one begins, as in 365d [default: never]
    #[arg(long, value_name = "DURATION", value_parser = values::parse_duration, conflicts_with = "no_ledger", help_heading = "Ledger")]
    pub keep_age: Option<Duration>,
    /// End the command after this long, as in 90, 90s, 2m or 1h30m, and exit with 124
    #[arg(long, value_name = "DURATION", value_parser = values::parse_duration, help_heading = "End")]
    pub timeout: Option<Duration>,
    /// Exit with 100 where something was refused, whatever the command exits with
    #[arg(long, help_heading = "End")]
    pub fail_on_deny: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// The options of `weft learn`.
#[derive(Args, Debug)]
pub struct LearnArguments {
    /// Where to write the policy: in Cedar, each program by itself, where its name ends in .cedar; else one rule a line
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Allow nothing that no rule allows before you have said so at the terminal: once, always or never
    #[arg(long)]
    pub ask: bool,
    #[command(flatten)]
    pub run: RunArguments,
}

/// How the command's network is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Attach {
    /// TAP where /dev/net/tun can be opened, else veth
    #[default]
    Auto,
    /// A TAP device
    Tap,
    /// A veth pair with a packet socket at its far end
    Veth,
}

/// What becomes of connections that a changed policy does not allow any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnRevoke {
    /// They are closed
    #[default]
    Close,
    /// They go on
    Leave,
}

/// When an entry of the ledger counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Durability {
    /// At once; a file has it within 5 ms, and the disk as soon as it can
    #[default]
    Batch,
    /// Once it is on disk
    Sync,
}

/// The options of `weft demo`.
#[derive(Args, Debug)]
pub struct DemoArguments {
    /// Fetch these as the demonstration's program does where there is no curl: NAME:PORT, or NAME:PORT@HOST to connect to
    /// another host for it; repeatable.
    #[arg(long, hide = true, value_name = "NAME:PORT[@HOST]", requires = "authorities")]
    pub fetch: Vec<String>,
    /// The file of the certificates to trust with `--fetch`.
    #[arg(long, hide = true, value_name = "FILE")]
    pub authorities: Option<PathBuf>,
}

/// The options of `weft doctor`.
#[derive(Args, Debug)]
pub struct DoctorArguments {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Arguments {
    /// Reads a command line.
    ///
    /// # Errors
    ///
    /// What to print, and the status to exit with: help and version are in here too, with status 0.
    pub fn read(words: Vec<OsString>) -> Result<Self, (clap::Error, u8)> {
        let is_run =
            words.get(1).is_some_and(|word| word == OsStr::new("run") || word == OsStr::new("learn"));
        let failure = if is_run { RUN_FAILURE_STATUS } else { USAGE_STATUS };
        // What is behind it is the command's own.
        let mut own = words.iter().take_while(|word| !is_run || *word != OsStr::new("--"));
        if own.any(|word| SecretKey::is_in(&word.to_string_lossy())) {
            let text = "there is a secret key among the arguments, where others see it and a shell remembers it: keep it in \
                        a file that only you can read. What verifies takes the public key, as `weft key show FILE` prints it\n";
            return Err((clap::Error::raw(clap::error::ErrorKind::InvalidValue, text), failure));
        }
        Self::try_parse_from(words).map_err(|error| {
            let status = if error.use_stderr() { failure } else { 0 };
            (error, status)
        })
    }
}

impl RunArguments {
    /// The same, as the gateway has it.
    ///
    /// # Errors
    ///
    /// Where there is no place for the ledger.
    pub fn into_options(self) -> Result<gateway::Options, String> {
        let is_default = self.ledger.is_none() && !self.no_ledger;
        let place = self.ledger.clone().or_else(|| default_path().filter(|_| is_default));
        // In a run, that run's ledger has it all.
        let is_kept_outside = is_default && place.as_deref().is_some_and(gateway::is_covered);
        let durability = match self.durability {
            Durability::Batch => ::ledger::Durability::Batch,
            Durability::Sync => ::ledger::Durability::Sync,
        };
        let ledger = match place {
            None if is_default => {
                return Err("nothing says where the ledger is: give --ledger DIR, or --no-ledger, \
                            or set WEFT_LEDGER or HOME"
                    .to_owned());
            }
            place => place.filter(|_| !is_kept_outside).map(|directory| LedgerOptions {
                directory,
                durability,
                rotate_bytes: self.rotate_size,
                rotate_age: self.rotate_age,
                keep_logs: self.keep_logs.map(|count| usize::try_from(count).unwrap_or(usize::MAX)),
                keep_age: self.keep_age,
            }),
        };
        Ok(gateway::Options {
            command: self.command,
            allow: self.allow,
            deny: self.deny,
            policy: self.policy,
            lists: self.lists.into_iter().map(|list| (list.name, list.path)).collect(),
            read_only: self.read_only.into_iter().chain(policy_homes()).collect(),
            // Of this user, whichever ledger this run writes.
            hidden: default_path()
                .into_iter()
                .chain(own_path())
                .flat_map(|path| gateway::ledger_files(&path))
                .collect(),
            on_revoke: match self.on_revoke {
                OnRevoke::Close => gateway::options::OnRevoke::Close,
                OnRevoke::Leave => gateway::options::OnRevoke::Leave,
            },
            dns: self.dns,
            resolve: self.resolve,
            events: self.events,
            quiet: self.quiet,
            tls_opaque: self.tls_opaque,
            strict: self.strict,
            timeout: self.timeout,
            fail_on_deny: self.fail_on_deny,
            publish: self.publish,
            limits: self.limits,
            filter: self.filter,
            attach: match self.attach {
                Attach::Auto => gateway::options::Attach::Auto,
                Attach::Tap => gateway::options::Attach::Tap,
                Attach::Veth => gateway::options::Attach::Veth,
            },
            pcap: self.pcap,
            ledger,
            learn: None,
            ask: false,
        })
    }
}

fn parse_pin(text: &str) -> Result<Pin, OptionError> {
    text.parse()
}

fn parse_publish(text: &str) -> Result<Publish, OptionError> {
    text.parse()
}

fn parse_limit(text: &str) -> Result<Limit, LimitError> {
    text.parse()
}

/// The completions of a shell, as a script.
#[must_use]
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "weft", &mut script);
    script
}

/// The manual page of `weft` or of one of its subcommands, as roff; `None` where there is no such subcommand.
#[must_use]
pub fn manual(subcommand: Option<&str>) -> Option<Vec<u8>> {
    let mut command = Arguments::command();
    command.build();
    let subject = match subcommand {
        None => command,
        Some(name) => {
            let found = command.find_subcommand(name)?.clone();
            let title = format!("weft-{name}");
            found.display_name(title)
        }
    };
    let mut page = Vec::new();
    // Writing to memory cannot fail.
    clap_mangen::Man::new(subject).render(&mut page).ok()?;
    Some(page)
}

/// A log has room for some entries at least.
fn parse_log_bytes(text: &str) -> Result<u64, String> {
    match values::parse_bytes(text)? {
        small if small < 2_000_000 => Err(format!("'{text}' is too few: at least 2M")),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Arguments, (clap::Error, u8)> {
        Arguments::read(words.split_whitespace().map(OsString::from).collect())
    }

    fn options(words: &str) -> gateway::Options {
        match read(words).expect("a good command line").task {
            Task::Run(run) => run.into_options().expect("there is a place for the ledger"),
            other => panic!("not a run: {other:?}"),
        }
    }

    #[test]
    fn definitions_hold_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_is_laid_out_by_hand_is_not_wrapped_again() {
        for line in [help::OVERVIEW, help::RUN_AFTER, help::LEARN_AFTER].iter().flat_map(|text| text.lines())
        {
            assert!(line.len() <= 100, "more than `max_term_width`: {line}");
        }
    }

    #[test]
    fn every_option_of_run_reaches_the_gateway() {
        let options = options(
            "weft run --allow a.example:443 --allow *.b.example --deny 10.0.0.0/8 --dns 127.0.0.1:5353 \
             --resolve a.example=127.0.0.1 --events e.json --quiet --tls-opaque --timeout 1m30s --fail-on-deny \
             --strict --publish 8080:80 --limit open=8 --limit bytes=5G --attach veth --pcap f.pcap --ledger l --durability sync \
             --rotate-size 100M --rotate-age 7d --keep-logs 12 --keep-age 365d \
             --policy p.cedar --policy q --list team=t --read-only d --on-revoke leave -- curl -v --quiet",
        );
        assert_eq!(options.allow, ["a.example:443", "*.b.example"]);
        assert_eq!(options.deny, ["10.0.0.0/8"]);
        assert_eq!(options.dns, Some("127.0.0.1:5353".parse().unwrap()));
        assert_eq!(options.resolve, ["a.example=127.0.0.1".parse().unwrap()]);
        assert_eq!(options.events, Some("e.json".into()));
        assert_eq!(options.timeout, Some(Duration::from_secs(90)));
        assert_eq!(options.publish, ["8080:80".parse().unwrap()]);
        assert_eq!(options.limits, [Limit::Open(8), Limit::Bytes(5_000_000_000)]);
        assert_eq!(options.attach, gateway::options::Attach::Veth);
        assert_eq!(options.pcap, Some("f.pcap".into()));
        assert_eq!(options.policy, ["p.cedar", "q"]);
        assert_eq!(options.lists, [("team".to_owned(), "t".to_owned())]);
        assert_eq!(options.read_only[0], std::path::Path::new("d"));
        assert_eq!(options.on_revoke, gateway::options::OnRevoke::Leave);
        let ledger = options.ledger.expect("a ledger");
        let day = Duration::from_secs(86_400);
        assert_eq!((ledger.rotate_bytes, ledger.rotate_age), (Some(100_000_000), Some(7 * day)));
        assert_eq!((ledger.keep_logs, ledger.keep_age), (Some(12), Some(365 * day)));
        assert_eq!((ledger.directory, ledger.durability), ("l".into(), ::ledger::Durability::Sync));
        assert!(options.quiet && options.tls_opaque && options.fail_on_deny && options.strict);
        assert_eq!(options.command, ["curl", "-v", "--quiet"]);
    }

    #[test]
    fn learn_has_the_options_of_run_and_two_of_its_own() {
        match read("weft learn --ask -o f.cedar --deny a.example -- true").expect("a good command line").task
        {
            Task::Learn(learn) => {
                assert!(learn.ask && learn.output == *"f.cedar");
                assert_eq!(learn.run.deny, ["a.example"]);
            }
            other => panic!("not learn: {other:?}"),
        }
        assert!(read("weft run --ask -- true").is_err(), "only what is learned is asked about");
    }

    #[test]
    fn bad_usage_of_run_is_a_failure_of_weft_and_not_of_the_command() {
        for words in [
            "weft run",
            "weft run curl",
            "weft run --alow x -- true",
            "weft run --limit 5 -- true",
            "weft run --timeout x -- true",
        ] {
            let (error, status) = read(words).expect_err(words);
            assert_eq!(status, RUN_FAILURE_STATUS, "{words}: {error}");
        }
        for words in ["weft", "weft walk", "weft doctor --xml"] {
            assert_eq!(read(words).expect_err(words).1, USAGE_STATUS, "{words}");
        }
        for words in ["weft --help", "weft run --help", "weft --version"] {
            assert_eq!(read(words).expect_err(words).1, 0, "{words}");
        }
    }

    #[test]
    fn completions_and_manual_pages_come_from_the_definitions() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(completions(*shell)).expect("text");
            assert!(script.contains("tls-opaque"), "{shell}");
        }
        let page = |name| String::from_utf8(manual(name).expect("a page")).expect("text");
        assert!(page(None).contains(".TH weft 1"));
        assert!(page(Some("run")).contains("fail\\-on\\-deny"));
        assert!(manual(Some("walk")).is_none());
    }
}
