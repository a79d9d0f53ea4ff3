//! Values of options that only the command line has.

use std::time::Duration;

/// Longer than any run: a hundred years, so that a deadline never overflows the clock.
const DURATION_SECONDS_MAX: u64 = 100 * 365 * 24 * 3600;

/// The units, largest first, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A duration: seconds as a plain number, or numbers with units `d`, `h`, `m`, `s`, `ms`, each at most once and the
/// larger before the smaller, as in `1h30m`.
///
/// # Errors
///
/// What was expected, where it is neither, is zero, or is longer than a hundred years.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no duration: expected seconds, or as in 90s, 2m, 1h30m, 500ms");
    let mut milliseconds = 0u64;
    let mut units = UNITS.iter();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, tail) = tail.split_at(letters);
        let is_plain = unit.is_empty() && rest.len() == text.len() && tail.is_empty();
        let unit = if is_plain { "s" } else { unit };
        let (_, length) = units.find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let part =
            number.parse::<u64>().ok().and_then(|number| number.checked_mul(*length)).ok_or_else(wrong)?;
        milliseconds = milliseconds.checked_add(part).ok_or_else(wrong)?;
        rest = tail;
    }
    match Duration::from_millis(milliseconds) {
        Duration::ZERO if !text.is_empty() => Err(format!("'{text}' is no time at all: at least 1ms")),
        Duration::ZERO => Err(wrong()),
        long if long.as_secs() > DURATION_SECONDS_MAX => {
            Err(format!("'{text}' is more than a hundred years"))
        }
        duration => Ok(duration),
    }
}

/// A number of bytes, with K, M, G or T behind it for thousands.
///
/// # Errors
///
/// What was expected.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no number of bytes: expected as in 500M, 20G or 1000000");
    let (number, factor) = match text.char_indices().last() {
        Some((at, 'K')) => (&text[..at], 1_000),
        Some((at, 'M')) => (&text[..at], 1_000_000),
        Some((at, 'G')) => (&text[..at], 1_000_000_000),
        Some((at, 'T')) => (&text[..at], 1_000_000_000_000),
        _ => (text, 1),
    };
    let is_decimal = number.bytes().all(|byte| byte.is_ascii_digit());
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    // The server counts in 63 bits.
    bytes.filter(|bytes| is_decimal && *bytes > 0 && i64::try_from(*bytes).is_ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_bytes_are_read_and_garbage_is_refused() {
        for (text, bytes) in [("1", 1), ("20K", 20_000), ("500M", 500_000_000), ("2T", 2_000_000_000_000)] {
            assert_eq!(parse_bytes(text), Ok(bytes));
        }
        for text in ["", "0", "M", "-1", "+1", "1.5G", "1k", "1GB", "99999999T", "18446744073709551615"] {
            assert!(parse_bytes(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn durations_are_read_and_garbage_is_refused() {
        for (text, milliseconds) in [
            ("90", 90_000),
            ("90s", 90_000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("1s500ms", 1_500),
            ("2d", 172_800_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in [
            "",
            "0",
            "0s",
            "-1",
            "+1",
            "1.5s",
            "s",
            "1x",
            "1m1h",
            "1s1s",
            "1m30",
            "99999999999999999999",
            "1 s",
            "40000d",
        ] {
            assert!(parse_duration(text).is_err(), "{text} was taken");
        }
        assert!(parse_duration("0").unwrap_err().contains("at least 1ms"));
    }
}
