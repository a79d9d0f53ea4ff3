//! How far a host's ledgers are shipped, in a small file, so that an agent goes on where the last one ended.
//!
//! The file may be behind what the stream has, by what was published since it was written: that is published again, and
//! dropped by the server or by whoever reads. It is never ahead: it tells only of what the server has acknowledged.

use ledger::checkpoint::Checkpoint;
use ledger::{ShardNumber, layout};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The bound of the file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// How far one ledger is shipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The sequence number of the next entry to ship.
    pub next: u64,
    /// The last checkpoint that was shipped, as a signed note; the ledger must go on from it.
    pub note: Option<String>,
    /// The last message that the server has acknowledged.
    pub last: Option<Acknowledged>,
    /// The place in the stream of the first one, or one before that: since it all that was shipped is there; 0 where that is
    /// not known.
    pub begin: u64,
}

/// A message that the server says it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Its place in the stream.
    pub stream_sequence: u64,
    /// Its id.
    pub id: String,
}

impl Position {
    /// The log of the last checkpoint that was shipped, and how many entries that tells of; zeros where there is none.
    #[must_use]
    pub fn signed(&self) -> (u64, u64) {
        let note = self.note.as_deref();
        let log = note.and_then(|note| layout::place_of_note(note, None)).map_or(0, |(_, place)| place.log);
        let size = note.and_then(|note| Checkpoint::parse_unverified(note).ok()).map_or(0, |note| note.size);
        (log, size)
    }
}

/// All shards of a host's ledger.
///
/// ```
/// use fleet::position::{Position, Positions};
///
/// let mut positions = Positions::default();
/// positions.shards.insert(ledger::ShardNumber::FIRST, Position { next: 4_711, ..Position::default() });
/// assert_eq!(Positions::decode(&positions.encode()), Some(positions));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// Each shard's.
    pub shards: BTreeMap<ShardNumber, Position>,
}

impl Positions {
    /// The positions of a file; none where there is no file.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, or is not what an agent has written.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = Vec::new();
        match File::open(path) {
            Ok(file) => file.take(FILE_BYTES_MAX).read_to_end(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let wrong =
            "it is not what an agent has written; without it, the agent asks the stream where to go on";
        Self::decode(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, wrong))
    }

    /// The bytes of the file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let tell = |position: &Position| {
            let last = position.last.as_ref();
            json!({
                "next": position.next,
                "checkpoint": position.note,
                "begin": position.begin,
                "acknowledged": last.map(|last| json!({ "at": last.stream_sequence, "id": last.id })),
            })
        };
        let shards: Map<String, Value> =
            self.shards.iter().map(|(shard, position)| (shard.to_string(), tell(position))).collect();
        format!("{:#}\n", json!({ "shards": shards })).into_bytes()
    }

    /// The positions of a file's bytes; `None` where they are none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let mut shards = BTreeMap::new();
        for (shard, value) in value["shards"].as_object()? {
            let last = match &value["acknowledged"] {
                Value::Null => None,
                last => Some(Acknowledged {
                    stream_sequence: last["at"].as_u64()?,
                    id: last["id"].as_str()?.to_owned(),
                }),
            };
            let note = value["checkpoint"].as_str().map(str::to_owned);
            // One of an earlier version has none.
            let begin = value["begin"].as_u64().unwrap_or(0);
            let position = Position { next: value["next"].as_u64()?, note, last, begin };
            shards.insert(ShardNumber::of_text(shard)?, position);
        }
        Some(Self { shards })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_was_written_and_nothing_else_is() {
        let path = std::env::temp_dir().join(format!("weft-fleet-position-{}", std::process::id()));
        assert_eq!(Positions::read(&path).unwrap(), Positions::default());
        let last = Acknowledged { stream_sequence: 9, id: "a/1/1/3".into() };
        let position = Position { next: 4, note: Some("note\n".into()), last: Some(last), begin: 7 };
        let positions = Positions {
            shards: [1, 12]
                .map(ShardNumber::new)
                .map(Option::unwrap)
                .map(|shard| (shard, position.clone()))
                .into(),
        };
        crate::policy::install(&path, &positions.encode()).unwrap();
        assert_eq!(Positions::read(&path).unwrap(), positions);
        for text in ["", "{}", r#"{"shards":{"x":{"next":1}}}"#, r#"{"shards":{"1":{"next":-1}}}"#] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Positions::read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData, "{text}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
