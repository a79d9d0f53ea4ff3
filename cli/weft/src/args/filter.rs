//! The command line of `weft filter`.

use ::filter::Verdict;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// What can be done with a rules file.
#[derive(Debug, Subcommand)]
pub enum FilterTask {
    /// Tell every error of a rules file, with its line and column
    Check {
        /// The rules file
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the rules as they are understood
    List {
        /// The rules file
        file: PathBuf,
        /// Print the file as it would be written by hand
        #[arg(long, conflicts_with = "json")]
        formatted: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell what becomes of packets, one after the other, and by which rule
    Test(TestArguments),
}

/// The options of `weft filter test`.
#[derive(Args, Debug)]
pub struct TestArguments {
    /// The rules file
    pub file: PathBuf,
    /// A packet, in words or as hexadecimal digits; repeatable
    #[arg(long = "packet", value_name = "PACKET", required = true)]
    pub packets: Vec<String>,
    /// What has to become of every packet
    #[arg(long, value_name = "VERDICT", value_enum)]
    pub expect: Option<Expected>,
    /// Print what each rule has met in the end
    #[arg(long)]
    pub counters: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What is expected to become of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Expected {
    /// It passes
    Accept,
    /// It vanishes by a rule or a default
    Drop,
    /// It vanishes beyond a rate
    Limit,
    /// It vanishes, and its sender is told
    Reject,
}

impl Expected {
    /// Whether a verdict is this one.
    #[must_use]
    pub const fn is(self, verdict: Verdict) -> bool {
        matches!(
            (self, verdict),
            (Self::Accept, Verdict::Accepted)
                | (Self::Drop, Verdict::Dropped)
                | (Self::Limit, Verdict::Limited)
                | (Self::Reject, Verdict::Rejected(_))
        )
    }
}
