//! `weft why`: what was decided, and what would have changed it, from the ledger alone.
//!
//! - [`find`]: the entry, and what other entries tell of it
//! - [`tell`]: the words, and the JSON

mod find;
mod tell;

use crate::args::WhyArguments;
use crate::ledger::{Failure, finish, open, read};
use crate::print;
use std::process::ExitCode;

/// Explains what is asked for.
pub fn run(arguments: &WhyArguments) -> ExitCode {
    finish(explain(arguments))
}

fn explain(arguments: &WhyArguments) -> Result<ExitCode, Failure> {
    let ledger = open(&arguments.place)?;
    let shards = read(&ledger)?;
    let found = find::find(&shards, arguments.wanted, arguments.run)?;
    let text = match arguments.json {
        true => format!("{:#}\n", tell::to_json(&found)),
        false => tell::to_page(&found),
    };
    Ok(print(text.as_bytes()))
}
