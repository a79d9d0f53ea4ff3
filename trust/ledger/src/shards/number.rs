//! The numbers of shards, and of entries in all of them.

use super::SHARDS_MAX;
use std::fmt;
use std::str::FromStr;

/// The number of a shard, from 1 to [`SHARDS_MAX`].
///
/// ```
/// use ledger::shards::{SHARDS_MAX, ShardNumber};
///
/// assert_eq!(ShardNumber::new(1), Some(ShardNumber::FIRST));
/// assert_eq!(ShardNumber::new(0), None);
/// assert_eq!(ShardNumber::new(SHARDS_MAX + 1), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardNumber(u8);

impl ShardNumber {
    /// The shard that is the ledger's own directory.
    pub const FIRST: Self = Self(1);

    /// The shard of this number; `None` where it is out of range.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        u8::try_from(number).ok().filter(|number| (1..=SHARDS_MAX).contains(&u64::from(*number))).map(Self)
    }

    /// The shard of this text: decimal, without leading zeroes.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let number = text.parse().ok().and_then(Self::new)?;
        (number.to_string() == text).then_some(number)
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> u64 {
        u64::from(self.0)
    }

    /// All that there may be, in their order.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=SHARDS_MAX).filter_map(Self::new)
    }
}

impl fmt::Display for ShardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The full number of an entry: its shard's, and its sequence number there. Written as `SEQUENCE` in the first shard and as
/// `SHARD.SEQUENCE` in the others.
///
/// ```
/// use ledger::shards::EntryNumber;
///
/// let number: EntryNumber = "3.17".parse()?;
/// assert_eq!((number.shard.number(), number.sequence), (3, 17));
/// assert_eq!(number.to_string(), "3.17");
/// assert_eq!("1.17".parse::<EntryNumber>()?.to_string(), "17");
/// # Ok::<(), ledger::shards::EntryNumberError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryNumber {
    /// The shard.
    pub shard: ShardNumber,
    /// The sequence number in it.
    pub sequence: u64,
}

/// Why text is no number of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryNumberError;

impl fmt::Display for EntryNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shard {
            ShardNumber::FIRST => self.sequence.fmt(f),
            shard => write!(f, "{shard}.{}", self.sequence),
        }
    }
}

impl FromStr for EntryNumber {
    type Err = EntryNumberError;

    fn from_str(text: &str) -> Result<Self, EntryNumberError> {
        let (shard, sequence) = match text.split_once('.') {
            Some((shard, sequence)) => (ShardNumber::of_text(shard).ok_or(EntryNumberError)?, sequence),
            None => (ShardNumber::FIRST, text),
        };
        let is_decimal = sequence.bytes().all(|byte| byte.is_ascii_digit());
        let sequence = sequence.parse().ok().filter(|_| is_decimal).ok_or(EntryNumberError)?;
        Ok(Self { shard, sequence })
    }
}

impl fmt::Display for EntryNumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an entry's number is as 17, or as 3.17 in shard 3, of at most {SHARDS_MAX} shards")
    }
}

impl std::error::Error for EntryNumberError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_they_are_written_and_nothing_else_does() {
        for (text, shard, sequence) in
            [("0", 1, 0), ("17", 1, 17), ("2.0", 2, 0), ("64.18446744073709551615", 64, u64::MAX)]
        {
            let number: EntryNumber = text.parse().unwrap();
            assert_eq!(
                (number.shard.number(), number.sequence, number.to_string().as_str()),
                (shard, sequence, text)
            );
        }
        for text in
            ["", ".", "1.", ".1", "0.1", "65.1", "02.1", "+1", "2.+1", "1.2.3", "-1", "18446744073709551616"]
        {
            assert_eq!(text.parse::<EntryNumber>(), Err(EntryNumberError), "{text}");
        }
        assert_eq!(ShardNumber::all().count() as u64, SHARDS_MAX);
    }
}
