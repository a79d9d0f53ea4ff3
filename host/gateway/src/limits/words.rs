//! A limit as it is written after `--limit`, and what is wrong where it cannot be understood.

use filter::{AMOUNT_MAX, Period, Rate, Unit};
use std::fmt;
use std::str::FromStr;

/// Which bytes a limit on bandwidth counts.
///
/// ```
/// use gateway::limits::{Bandwidth, Limit};
/// assert!(matches!("up=1M/s".parse()?, Limit::Bandwidth { of: Bandwidth::Up, .. }));
/// # Ok::<(), gateway::limits::LimitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bandwidth {
    /// From the command and to it, together.
    Both,
    /// From the command.
    Up,
    /// To the command.
    Down,
}

/// One limit of a run.
///
/// ```
/// use gateway::limits::Limit;
/// let limit: Limit = "connections=100/s:20".parse()?;
/// assert_eq!(limit.to_string(), "connections=100/s:20");
/// assert_eq!("bytes=5G".parse::<Limit>()?, Limit::Bytes(5_000_000_000));
/// # Ok::<(), gateway::limits::LimitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// How many connections are begun in a span of time.
    Connections {
        /// So many in that time.
        rate: Rate,
        /// How many may come at once, 1 to 10^15.
        burst: u64,
    },
    /// How many connections there are at once, 1 to 10^15.
    Open(u64),
    /// How many bytes of payload pass in a span of time.
    Bandwidth {
        /// Which bytes.
        of: Bandwidth,
        /// So many in that time.
        rate: Rate,
        /// How many bytes may pass at once, 1 to 10^15.
        burst: u64,
    },
    /// How many bytes of payload the whole run carries, both ways together, 1 to 10^15.
    Bytes(u64),
}

/// A limit cannot be understood: where, and what was expected there.
///
/// ```
/// use gateway::limits::Limit;
/// let wrong = "bandwidth=10X/s".parse::<Limit>().unwrap_err();
/// assert_eq!((wrong.column, wrong.to_string().lines().count()), (13, 3));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitError {
    /// The limit.
    pub text: String,
    /// The first letter that is wrong, counted from 1; one behind the last where more was expected.
    pub column: usize,
    /// What was expected.
    pub message: String,
}

/// What may pass at once, where a limit on bandwidth does not say so: as much as in this part of a second.
const BURST_SHARE: u64 = 10;

/// The least of that, in bytes: one read of the host's socket. Less only where the rate itself is less.
const BURST_BYTES_MIN: u64 = 65_536;

/// The units of bytes: powers of a thousand.
const BYTE_UNITS: [(char, u64); 4] =
    [('T', 1_000_000_000_000), ('G', 1_000_000_000), ('M', 1_000_000), ('K', 1_000)];

impl Limit {
    /// What it limits, as it is written in front of `=`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connections { .. } => "connections",
            Self::Open(_) => "open",
            Self::Bandwidth { of: Bandwidth::Both, .. } => "bandwidth",
            Self::Bandwidth { of: Bandwidth::Up, .. } => "up",
            Self::Bandwidth { of: Bandwidth::Down, .. } => "down",
            Self::Bytes(_) => "bytes",
        }
    }

    /// The same in words: `10 connections a second`, `5G bytes in all`.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Connections { rate, .. } => {
                format!("{} connections a{} {}", rate.amount, article_end(rate.period), rate.period.name())
            }
            Self::Open(most) => format!("{most} connections at once"),
            Self::Bandwidth { rate, .. } => {
                format!("{} bytes a{} {}", Size(rate.amount), article_end(rate.period), rate.period.name())
            }
            Self::Bytes(total) => format!("{} bytes in all", Size(*total)),
        }
    }
}

/// The end of `a` or `an` before a span of time.
const fn article_end(period: Period) -> &'static str {
    match period {
        Period::Hour => "n",
        Period::Second | Period::Minute | Period::Day => "",
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.name())?;
        match self {
            Self::Connections { rate, burst } => {
                write!(f, "{}/{}", rate.amount, letter(rate.period))?;
                if *burst == rate.amount { Ok(()) } else { write!(f, ":{burst}") }
            }
            Self::Open(most) => write!(f, "{most}"),
            Self::Bandwidth { rate, burst, .. } => {
                write!(f, "{}/{}", Size(rate.amount), letter(rate.period))?;
                if *burst == bandwidth_burst(*rate) { Ok(()) } else { write!(f, ":{}", Size(*burst)) }
            }
            Self::Bytes(total) => write!(f, "{}", Size(*total)),
        }
    }
}

/// Bytes in the largest unit of which they are whole ones.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match BYTE_UNITS.into_iter().find(|(_, size)| self.0.is_multiple_of(*size)) {
            Some((unit, size)) => write!(f, "{}{unit}", self.0 / size),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Display for LimitError {
    /// Three lines: what is wrong, the limit, and a caret below the letter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "limit is wrong at column {}: {}", self.column, self.message)?;
        // One letter for each, so that the caret stands right and a terminal is not driven by a limit.
        let shown = self.text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter });
        writeln!(f, "  {}", shown.collect::<String>())?;
        write!(f, "  {:>width$}", '^', width = self.column)
    }
}

impl std::error::Error for LimitError {}

impl FromStr for Limit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let mut reader = Reader { text, rest: text };
        let Some((name, value)) = text.split_once('=') else {
            reader.rest = "";
            return reader.wrong("expected NAME=VALUE, as in connections=100/s");
        };
        let of = match name {
            "connections" => {
                reader.rest = value;
                let (rate, burst) = reader.rate(Unit::Packets)?;
                return reader.end(Self::Connections { rate, burst: burst.unwrap_or(rate.amount) });
            }
            "open" => {
                reader.rest = value;
                let most = reader.number()?;
                return reader.end(Self::Open(most));
            }
            "bytes" => {
                reader.rest = value;
                let total = reader.size()?;
                return reader.end(Self::Bytes(total));
            }
            "bandwidth" => Bandwidth::Both,
            "up" => Bandwidth::Up,
            "down" => Bandwidth::Down,
            _ => return reader.wrong("expected connections, open, bandwidth, up, down or bytes"),
        };
        reader.rest = value;
        let (rate, burst) = reader.rate(Unit::Bytes)?;
        let burst = burst.unwrap_or_else(|| bandwidth_burst(rate));
        reader.end(Self::Bandwidth { of, rate, burst })
    }
}

/// What may pass at once at a rate of bytes that does not say so.
fn bandwidth_burst(rate: Rate) -> u64 {
    (rate.amount / rate.period.seconds() / BURST_SHARE).max(BURST_BYTES_MIN).min(rate.amount)
}

/// A span of time as one letter.
const fn letter(period: Period) -> char {
    match period {
        Period::Second => 's',
        Period::Minute => 'm',
        Period::Hour => 'h',
        Period::Day => 'd',
    }
}

/// A limit that is being read.
struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Reader<'_> {
    fn wrong<T>(&self, message: &str) -> Result<T, LimitError> {
        let read = &self.text[..self.text.len() - self.rest.len()];
        Err(LimitError {
            text: self.text.to_owned(),
            column: read.chars().count() + 1,
            message: message.to_owned(),
        })
    }

    /// An amount for each span of time, and what may come at once where that is said.
    fn rate(&mut self, unit: Unit) -> Result<(Rate, Option<u64>), LimitError> {
        let amount = self.amount(unit)?;
        let period = self.rest.strip_prefix('/').and_then(|rest| {
            let period = Period::ALL.into_iter().find(|period| rest.starts_with(letter(*period)))?;
            Some((period, &rest[1..]))
        });
        let Some((period, rest)) = period else {
            return self.wrong(match unit {
                Unit::Packets => "expected /s, /m, /h or /d, as in connections=100/s",
                Unit::Bytes => "expected K, M, G or T, and /s, /m, /h or /d: bytes, as in bandwidth=10M/s",
            });
        };
        self.rest = rest;
        let burst = match self.rest.strip_prefix(':') {
            Some(rest) => {
                self.rest = rest;
                Some(self.amount(unit)?)
            }
            None => None,
        };
        Ok((Rate { amount, unit, period }, burst))
    }

    fn amount(&mut self, unit: Unit) -> Result<u64, LimitError> {
        match unit {
            Unit::Packets => self.number(),
            Unit::Bytes => self.size(),
        }
    }

    /// Bytes.
    fn size(&mut self) -> Result<u64, LimitError> {
        let start = self.rest;
        let number = self.number()?;
        let unit = BYTE_UNITS.into_iter().find(|(unit, _)| self.rest.starts_with(*unit));
        let Some((_, size)) = unit else { return Ok(number) };
        match number.checked_mul(size).filter(|bytes| *bytes <= AMOUNT_MAX) {
            Some(bytes) => {
                self.rest = &self.rest[1..];
                Ok(bytes)
            }
            None => {
                self.rest = start;
                self.wrong("expected at most 1000T")
            }
        }
    }

    fn number(&mut self) -> Result<u64, LimitError> {
        let digits = self.rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(self.rest.len());
        let number = self.rest[..digits].parse::<u64>();
        match number {
            Ok(number) if (1..=AMOUNT_MAX).contains(&number) => {
                self.rest = &self.rest[digits..];
                Ok(number)
            }
            _ => self.wrong("expected a whole number, 1 to 1000000000000000"),
        }
    }

    fn end(&self, limit: Limit) -> Result<Limit, LimitError> {
        match (self.rest.is_empty(), limit) {
            (true, _) => Ok(limit),
            (false, Limit::Connections { .. } | Limit::Bandwidth { .. }) => {
                self.wrong("expected the end, or : and how much may come at once")
            }
            (false, Limit::Bytes(_)) => self.wrong("expected K, M, G, T or the end, as in bytes=5G"),
            (false, Limit::Open(_)) => self.wrong("expected the end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(amount: u64, unit: Unit, period: Period) -> Rate {
        Rate { amount, unit, period }
    }

    #[test]
    fn limits_are_read_and_written_as_they_were() {
        let count = |amount, period| rate(amount, Unit::Packets, period);
        let bytes = |amount, period| rate(amount, Unit::Bytes, period);
        let (second, minute) = (Period::Second, Period::Minute);
        for (text, limit, words) in [
            (
                "connections=100/s",
                Limit::Connections { rate: count(100, second), burst: 100 },
                "100 connections a second",
            ),
            (
                "connections=100/m:20",
                Limit::Connections { rate: count(100, minute), burst: 20 },
                "100 connections a minute",
            ),
            ("open=64", Limit::Open(64), "64 connections at once"),
            (
                "bandwidth=10M/s",
                Limit::Bandwidth { of: Bandwidth::Both, rate: bytes(10_000_000, second), burst: 1_000_000 },
                "10M bytes a second",
            ),
            (
                "up=20K/s",
                Limit::Bandwidth { of: Bandwidth::Up, rate: bytes(20_000, second), burst: 20_000 },
                "20K bytes a second",
            ),
            (
                "down=1G/h:5M",
                Limit::Bandwidth {
                    of: Bandwidth::Down,
                    rate: bytes(1_000_000_000, Period::Hour),
                    burst: 5_000_000,
                },
                "1G bytes an hour",
            ),
            ("bytes=5G", Limit::Bytes(5_000_000_000), "5G bytes in all"),
            ("bytes=1234", Limit::Bytes(1_234), "1234 bytes in all"),
        ] {
            assert_eq!(text.parse(), Ok(limit), "{text}");
            assert_eq!((limit.to_string(), limit.words()), (text.to_owned(), words.to_owned()));
        }
    }

    #[test]
    fn what_is_wrong_is_shown_with_what_was_expected() {
        for (text, column, expected) in [
            ("", 1, "NAME=VALUE"),
            ("connections", 12, "NAME=VALUE"),
            ("speed=1/s", 1, "connections, open, bandwidth"),
            ("connections=", 13, "whole number"),
            ("connections=0/s", 13, "whole number"),
            ("connections=-1/s", 13, "whole number"),
            ("connections=1.5/s", 14, "/s, /m, /h or /d"),
            ("connections=10", 15, "/s, /m, /h or /d"),
            ("connections=10/y", 15, "/s, /m, /h or /d"),
            ("connections=10/s:", 18, "whole number"),
            ("connections=10/sec", 17, "the end"),
            ("connections=10K/s", 15, "/s, /m"),
            ("bandwidth=10X/s", 13, "K, M, G or T"),
            ("bandwidth=80Mbit/s", 14, "bytes"),
            ("up=1M", 6, "/s"),
            ("bytes=5G/s", 9, "the end"),
            ("bytes=1001T", 7, "1000T"),
            ("bytes=99999999999999999999", 7, "whole number"),
            ("open=64é", 8, "the end"),
        ] {
            let wrong = text.parse::<Limit>().expect_err(text);
            assert_eq!(wrong.column, column, "{wrong}");
            assert!(wrong.message.contains(expected), "{wrong}");
            let shown = wrong.to_string();
            let caret = shown.lines().last().expect("three lines");
            assert_eq!(caret.chars().count(), column + 2, "{shown}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_inside_itself(text in "(connections|bandwidth|bytes|open|x)?=?[0-9]{0,20}[KMGTé]?/?[smhdx]?:?[0-9]{0,3}K?") {
            match text.parse::<Limit>() {
                Ok(limit) => prop_assert_eq!(limit.to_string().parse(), Ok(limit)),
                Err(wrong) => prop_assert!((1..=text.chars().count() + 1).contains(&wrong.column)),
            }
        }
    }
}
