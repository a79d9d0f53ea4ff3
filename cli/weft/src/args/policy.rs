//! The command line of `weft policy`.

use clap::{Args, Subcommand};

/// What can be done with a policy.
#[derive(Debug, Subcommand)]
pub enum PolicyTask {
    /// Tell everything that is wrong with a policy, with file, line and column
    Check {
        #[command(flatten)]
        policy: PolicyFiles,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a file in the one way of writing it; what it means and its comments stay
    Fmt {
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<String>,
        /// Change nothing; exit with 1 where something would be changed
        #[arg(long)]
        check: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Hold a file of expected verdicts against a policy
    Test {
        #[command(flatten)]
        policy: PolicyFiles,
        /// The file of expected verdicts
        expectations: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell which rule would decide a connection, and why
    Explain {
        #[command(flatten)]
        policy: PolicyFiles,
        /// An action, an endpoint, and what else is known, as in: connect tcp://example.com:443 program=/usr/bin/curl
        #[arg(required = true, value_name = "QUESTION")]
        question: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What a policy is read from.
#[derive(Args, Debug)]
pub struct PolicyFiles {
    /// The policy: Cedar where its name ends in .cedar, else one rule a line
    #[arg(value_name = "FILE")]
    pub file: String,
    /// A list that policies in Cedar name as List::"NAME"; repeatable
    #[arg(long = "list", value_name = "NAME=FILE", value_parser = parse_list)]
    pub lists: Vec<NamedList>,
}

/// A list and its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedList {
    /// The name.
    pub name: String,
    /// The path.
    pub path: String,
}

pub(super) fn parse_list(text: &str) -> Result<NamedList, String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok(NamedList { name: name.to_owned(), path: path.to_owned() })
        }
        _ => Err("expected NAME=FILE, as in team=team.list".to_owned()),
    }
}
