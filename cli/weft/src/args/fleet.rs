//! The command line of `weft fleet`.

use super::values::parse_duration;
use clap::{Args, Subcommand};
use fleet::HostName;
use std::path::PathBuf;
use std::time::Duration;

/// What can be done with a fleet.
#[derive(Debug, Subcommand)]
pub enum FleetTask {
    /// Make the stream and the buckets; where they are there, change only what is told
    Setup {
        #[command(flatten)]
        common: CommonArguments,
        /// On how many servers each message is kept, from 1 to 5; a new one on 1
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=5))]
        replicas: Option<u8>,
        /// How many bytes of ledgers the stream holds, as 500M or 2T; a new one as many as the server allows
        #[arg(long, value_name = "BYTES", value_parser = super::values::parse_bytes)]
        ledger_bytes: Option<u64>,
        /// For how long the server itself drops what comes twice; a new one for 2m
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        duplicate_window: Option<Duration>,
        /// How many policies of each key are kept, up to 64; a new one keeps 16
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=64))]
        policy_history: Option<u8>,
    },
    /// Keep this host's policy, and ship its ledger, until ended by a signal
    Agent {
        #[command(flatten)]
        common: CommonArguments,
        /// What this host is called in the fleet
        #[arg(long, value_name = "NAME")]
        host: HostName,
        /// Ship the ledger in this directory
        #[arg(long, value_name = "DIRECTORY", required_unless_present = "policy")]
        ledger: Option<PathBuf>,
        /// Keep the host's policy in this file, for `weft run --policy`; its name ends in .cedar where the policy is in Cedar
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Take no policy that this public key has not signed: its text, or a file of such, all of which must have;
        /// repeatable
        #[arg(long, value_name = "KEY", requires = "policy")]
        policy_key: Vec<String>,
        /// Where the agent keeps how far it has shipped; weft/fleet in $XDG_STATE_HOME or ~/.local/state unless given
        #[arg(long, value_name = "DIRECTORY")]
        directory: Option<PathBuf>,
    },
    /// Tell of each host what its agent told last
    Status {
        #[command(flatten)]
        common: CommonArguments,
        /// Only of this host
        #[arg(long, value_name = "NAME")]
        host: Option<HostName>,
    },
    /// Hand out policies
    Policy {
        /// What to do.
        #[command(subcommand)]
        task: FleetPolicyTask,
    },
    /// Read ledgers out of the stream, and verify them
    Ledger {
        /// What to do.
        #[command(subcommand)]
        task: FleetLedgerTask,
    },
}

/// What can be done with policies.
#[derive(Debug, Subcommand)]
pub enum FleetPolicyTask {
    /// Check a policy and hand it out to all hosts, or to one
    Push {
        /// The policy: a list of rules, or policies in Cedar where its name ends in .cedar
        file: PathBuf,
        #[command(flatten)]
        common: CommonArguments,
        /// Only for this host, in place of the policy for all
        #[arg(long, value_name = "NAME")]
        host: Option<HostName>,
        /// Sign it with the keys in this file, as `weft key new` makes it, for agents with --policy-key
        #[arg(long, value_name = "FILE")]
        sign: Option<PathBuf>,
    },
    /// Print the policy that is handed out
    Show {
        #[command(flatten)]
        common: CommonArguments,
        /// That of this host: its own, or where it has none the one for all
        #[arg(long, value_name = "NAME")]
        host: Option<HostName>,
    },
    /// Take a host's own policy away, so that it has the one for all
    Remove {
        #[command(flatten)]
        common: CommonArguments,
        /// The host
        #[arg(long, value_name = "NAME")]
        host: HostName,
    },
}

/// What can be done with ledgers.
#[derive(Debug, Subcommand)]
pub enum FleetLedgerTask {
    /// Check a host's ledger by the stream and the public key alone
    Verify {
        #[command(flatten)]
        common: CommonArguments,
        /// The host
        #[arg(long, value_name = "NAME")]
        host: HostName,
        /// A public key that must have signed, as text or a file of such; repeatable
        #[arg(long, value_name = "KEY", required = true)]
        key: Vec<String>,
        /// A file with checkpoints, or the line ORIGIN SIZE ROOT that a run ends with: they must be of this ledger's history;
        /// repeatable
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
    },
    /// Write a host's ledger out of the stream into a new directory, which every `weft ledger` command reads
    Fetch {
        #[command(flatten)]
        common: CommonArguments,
        /// The host
        #[arg(long, value_name = "NAME")]
        host: HostName,
        /// The directory to make
        #[arg(long, short, value_name = "DIRECTORY")]
        output: PathBuf,
    },
}

/// What every task takes.
#[derive(Args, Clone, Debug)]
pub struct CommonArguments {
    #[command(flatten)]
    access: AccessArguments,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How the servers are reached.
#[derive(Args, Clone, Debug)]
struct AccessArguments {
    /// A NATS server with JetStream; repeatable
    #[arg(
        long,
        value_name = "URL",
        required = true,
        help_heading = "Server",
        long_help = "A NATS server with JetStream, as nats://HOST[:PORT] or tls://HOST[:PORT]; repeatable"
    )]
    server: Vec<String>,
    /// A file with the authorities whose certificates a server may show; those of the system unless given
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    tls_ca: Option<PathBuf>,
    /// A file with the certificate to show
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "Server")]
    tls_cert: Option<PathBuf>,
    /// The file with its key, which others cannot read
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "Server")]
    tls_key: Option<PathBuf>,
    /// A file of credentials, which others cannot read
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    credentials: Option<PathBuf>,
}

impl CommonArguments {
    /// How the servers are reached, as the fleet has it.
    #[must_use]
    pub fn into_access(self) -> fleet::Access {
        let AccessArguments { server, tls_ca, tls_cert, tls_key, credentials } = self.access;
        fleet::Access {
            servers: server,
            authorities: tls_ca,
            certificate: tls_cert.zip(tls_key),
            credentials,
            inbox: None,
        }
    }
}
