//! The record of the run, as somebody else gets it: whole, and changed.

use super::directory::Directory;
use super::{REFUSED, say};
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What stands in the place of the refused name: as long, so that the record still has its shape.
const FORGED: &str = "api.example";

/// Exports the record, verifies it with the public key alone, changes a name in it, and verifies it again.
pub fn tamper(own: &Path, directory: &Directory) -> Result<(), Box<dyn Error>> {
    say(format_args!(
        "\n3. Give the record to somebody who has the public key. Nobody can change it unseen:\n"
    ))?;
    let (record, key) = (directory.join("record"), directory.join("ledger.pub"));
    let in_it = |words: &[&str]| {
        let mut weft = Command::new(own);
        weft.env("WEFT_LEDGER", directory.join("ledger")).current_dir(directory.path()).args(words);
        weft
    };
    say(format_args!("$ weft ledger export -o record && weft ledger verify --key ledger.pub record"))?;
    let is_exported = in_it(&["ledger", "export", "-o", "record"]).status()?.success();
    let verify = || in_it(&["ledger", "verify", "--key", "ledger.pub", "record"]).status();
    if !is_exported || !key.exists() || !verify()?.success() {
        return Err("the record of the run does not verify".into());
    }
    say(format_args!(
        "\n$ sed -i s/{REFUSED}/{FORGED}/g record && weft ledger verify --key ledger.pub record"
    ))?;
    let mut bytes = fs::read(&record)?;
    if forge(&mut bytes) == 0 {
        return Err("the record does not tell of the refused name".into());
    }
    fs::write(&record, bytes)?;
    match verify()?.success() {
        true => Err("a record that was changed verifies".into()),
        false => Ok(()),
    }
}

/// Puts the one name in the place of the other, everywhere; how often.
fn forge(bytes: &mut [u8]) -> usize {
    let (from, to) = (REFUSED.as_bytes(), FORGED.as_bytes());
    let places: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, word)| *word == from).map(|(at, _)| at).collect();
    places.iter().for_each(|at| bytes[*at..*at + from.len()].copy_from_slice(to));
    places.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_exchanged_for_another_of_its_length() {
        assert_eq!(REFUSED.len(), FORGED.len());
        let mut bytes = b"to ads.example, ads.example".to_vec();
        assert_eq!(forge(&mut bytes), 2);
        assert_eq!(bytes, b"to api.example, api.example");
    }
}
