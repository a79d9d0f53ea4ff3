//! The command line of `weft why`.

use super::ledger::{Place, parse_run};
use clap::Args;
use ledger::{EntryNumber, RunId};

/// The options of `weft why`.
#[derive(Args, Debug)]
pub struct WhyArguments {
    /// The number of an entry, 17, or 3.17 in shard 3; or the newest refusal
    #[arg(value_name = "ID|last", default_value = "last", value_parser = parse_wanted)]
    pub wanted: Wanted,
    /// Only of this run
    #[arg(long, value_name = "RUN", value_parser = parse_run)]
    pub run: Option<RunId>,
    #[command(flatten)]
    pub place: Place,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Which entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The newest refusal.
    Last,
    /// This one.
    Number(EntryNumber),
}

fn parse_wanted(text: &str) -> Result<Wanted, String> {
    match text {
        "last" => Ok(Wanted::Last),
        number => number
            .parse()
            .map(Wanted::Number)
            .map_err(|error: ledger::shards::EntryNumberError| format!("{error}; or it is the word last")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_number_or_the_last() {
        assert_eq!(parse_wanted("last"), Ok(Wanted::Last));
        assert_eq!(parse_wanted("2.17"), Ok(Wanted::Number("2.17".parse().unwrap())));
        assert!(parse_wanted("first").unwrap_err().ends_with("or it is the word last"));
    }
}
