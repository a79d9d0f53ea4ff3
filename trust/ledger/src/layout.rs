//! Where things are in a ledger.
//!
//! ```text
//! 1/checkpoint  1/tile/..    the first log, as C2SP tlog-tiles has it
//! 2/checkpoint  2/tile/..    the log that goes on from it
//! journal/17                 what is durable and not yet in the newest log's tiles
//! lock                       held by who writes
//! shards/2/..                a shard, with all of the above
//! ```

use crate::journal;
use crate::note::Note;
use crate::shards::ShardNumber;
use crate::storage::Source;
use identity::PublicKey;
use std::io;

/// The bound of a ledger's logs that are there at once; the oldest go first.
pub const LOGS_MAX: usize = 4_096;

/// The folder of the shards but the first.
pub const SHARDS: &str = "shards";
/// What stands before a shard's number in the names of its logs.
const SHARD_PREFIX: &str = "shard-";

/// Which log of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// The shard that it is in.
    pub shard: ShardNumber,
    /// Its number there, the first being 1.
    pub log: u64,
}

/// The folder of a log, followed by a path in it.
#[must_use]
pub fn in_log(log: u64, path: impl std::fmt::Display) -> String {
    format!("{log}/{path}")
}

/// The path of a journal.
#[must_use]
pub fn journal(number: u64) -> String {
    format!("{}/{number}", journal::FOLDER)
}

/// The name of a log: the ledger's own for the first of the first shard, so that it is its key's (C2SP tlog-checkpoint,
/// Signatures), with the shard behind it for the others, and with a number behind that for logs that go on: no two logs may
/// have one name.
#[must_use]
pub fn origin(name: &str, place: LogPlace) -> String {
    let shard = match place.shard {
        ShardNumber::FIRST => name.to_owned(),
        shard => format!("{name}/{SHARD_PREFIX}{shard}"),
    };
    if place.log == 1 { shard } else { format!("{shard}/{}", place.log) }
}

/// Which log of the ledger of this name it is that has this name itself; `None` where it is none.
#[must_use]
pub fn place_of_origin(origin: &str, name: &str) -> Option<LogPlace> {
    let number =
        |text: &str| text.parse::<u64>().ok().filter(|number| *number > 1 && number.to_string() == text);
    let rest = origin.strip_prefix(name)?;
    let (shard, rest) = match rest.strip_prefix('/').and_then(|rest| rest.strip_prefix(SHARD_PREFIX)) {
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let shard = ShardNumber::of_text(&rest[..end]).filter(|shard| *shard != ShardNumber::FIRST);
            (shard?, &rest[end..])
        }
        None => (ShardNumber::FIRST, rest),
    };
    let log = if rest.is_empty() { 1 } else { number(rest.strip_prefix('/')?)? };
    Some(LogPlace { shard, log })
}

/// Which ledger the checkpoint of this note is of, by its name, and which of its logs; `None` where it is of none. The name
/// is that of one of the keys, or of who signed: what a name looks like tells nothing, as it may look like a log's.
#[must_use]
pub fn place_of_note(note: &str, keys: Option<&[PublicKey]>) -> Option<(String, LogPlace)> {
    let note = Note::parse(note).ok()?;
    let origin = note.text.split('\n').next()?;
    let of_keys = keys.unwrap_or_default().iter().map(PublicKey::name);
    let signed = note.signatures.iter().map(|signature| signature.name);
    let place = |name: &str| place_of_origin(origin, name).map(|place| (name.to_owned(), place));
    of_keys.chain(signed).find_map(place)
}

/// The path of a shard in a ledger; empty for the first, which is the ledger's own directory.
#[must_use]
pub fn shard(shard: ShardNumber) -> String {
    match shard {
        ShardNumber::FIRST => String::new(),
        shard => format!("{SHARDS}/{shard}"),
    }
}

/// The numbers of the shards in the folder of shards, the first not included, which has no folder; `None` where there is no
/// such folder, or nothing in it.
///
/// # Errors
///
/// Where the folder cannot be read.
pub fn shards(source: &impl Source) -> io::Result<Option<Vec<ShardNumber>>> {
    let names = source.list(SHARDS)?;
    if names.is_empty() && !source.list("")?.iter().any(|name| name == SHARDS) {
        return Ok(None);
    }
    let mut numbers: Vec<ShardNumber> = names.iter().filter_map(|name| ShardNumber::of_text(name)).collect();
    numbers.retain(|shard| *shard != ShardNumber::FIRST);
    numbers.sort_unstable();
    Ok(Some(numbers))
}

/// The numbers of the logs that are there, the oldest first.
///
/// # Errors
///
/// Where the folder cannot be read.
pub fn logs(source: &impl Source) -> io::Result<Vec<u64>> {
    numbers(source, "")
}

/// The numbers of the journals that are there, the oldest first.
///
/// # Errors
///
/// Where the folder cannot be read.
pub fn journals(source: &impl Source) -> io::Result<Vec<u64>> {
    numbers(source, journal::FOLDER)
}

fn numbers(source: &impl Source, folder: &str) -> io::Result<Vec<u64>> {
    let parse = |name: &String| name.parse::<u64>().ok().filter(|number| number.to_string() == *name);
    let mut numbers: Vec<u64> = source.list(folder)?.iter().filter_map(parse).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(shard: u64, log: u64) -> LogPlace {
        LogPlace { shard: ShardNumber::new(shard).unwrap(), log }
    }

    #[test]
    fn the_names_of_logs_tell_their_places() {
        for name in ["a", "a/b", "a/2", "a/shard-2", "a/shard-2/2"] {
            for (shard, log) in [(1, 1), (1, 12), (2, 1), (2, 2), (64, 4_096)] {
                let place = place(shard, log);
                assert_eq!(place_of_origin(&origin(name, place), name), Some(place), "{name}");
            }
        }
        assert_eq!(origin("a/b", place(1, 12)), "a/b/12");
        assert_eq!(
            (origin("a", place(3, 1)), origin("a", place(3, 2))),
            ("a/shard-3".into(), "a/shard-3/2".into())
        );
        for other in [
            "a/02",
            "a/1",
            "b",
            "ab",
            "a/",
            "a/shard-1",
            "a/shard-65",
            "a/shard-02",
            "a/shard-",
            "a/shard-2/1",
            "a/shard-2/",
            "a/shard-2/shard-2",
            "a/2/2",
        ] {
            assert_eq!(place_of_origin(other, "a"), None, "{other}");
        }
    }

    #[test]
    fn a_name_that_looks_like_a_log_is_told_by_who_signed() {
        let note = |origin: &str, name: &str| {
            format!("{origin}\n1\n{}\n\n— {name} AAAAAAE=\n", crate::hash::Hash([0; 32]))
        };
        for (origin, name, shard, log) in [
            ("a/shard-2", "a", 2, 1),
            ("a/shard-2", "a/shard-2", 1, 1),
            ("a/shard-2/3", "a", 2, 3),
            ("a/shard-2/3", "a/shard-2", 1, 3),
            ("a/shard-2/3", "a/shard-2/3", 1, 1),
            ("a/2", "a", 1, 2),
            ("a/2", "a/2", 1, 1),
        ] {
            assert_eq!(
                place_of_note(&note(origin, name), None),
                Some((name.to_owned(), place(shard, log))),
                "{origin} of {name}"
            );
        }
        assert_eq!(place_of_note(&note("b", "a"), None), None);
    }
}
