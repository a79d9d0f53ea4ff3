//! Moments of the calendar as RFC 3339 writes them, in UTC: nanoseconds since 1970-01-01.
//!
//! Years are counted from March, so that a leap day is the last of its year, in eras of 400 years, after which the calendar
//! repeats.

use alloc::format;
use alloc::string::String;

const DAY_SECONDS: u64 = 86_400;
const ERA_DAYS: u64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const BEFORE_1970_DAYS: u64 = 719_468;

/// Year, month and day of the month, so many days after 1970-01-01.
///
/// ```
/// assert_eq!(time::calendar::date(20_778), (2026, 11, 21));
/// ```
#[must_use]
pub fn date(days: u64) -> (u64, u64, u64) {
    let since_march_0000 = days + BEFORE_1970_DAYS;
    let (era, day_of_era) = (since_march_0000 / ERA_DAYS, since_march_0000 % ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (400 * era + year_of_era + u64::from(month <= 2), month, day)
}

/// A moment in UTC, with so many digits of a second, 0 to 9.
///
/// ```
/// assert_eq!(time::calendar::to_rfc3339(1_795_228_969_123_456_789, 3), "2026-11-21T02:42:49.123Z");
/// assert_eq!(time::calendar::to_rfc3339(1_795_228_969_123_456_789, 0), "2026-11-21T02:42:49Z");
/// ```
#[must_use]
pub fn to_rfc3339(unix_nanos: u64, digits: usize) -> String {
    let (seconds, nanos) = (unix_nanos / 1_000_000_000, unix_nanos % 1_000_000_000);
    let (year, month, day) = date(seconds / DAY_SECONDS);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if digits > 0 {
        let fraction = format!("{nanos:09}");
        text.push('.');
        text.push_str(&fraction[..digits.min(9)]);
    }
    text.push('Z');
    text
}

/// A moment in UTC or with an offset, with up to nine digits of a second, or a day alone, which is its beginning in UTC.
/// `None` for other text, and before 1970.
///
/// ```
/// use time::calendar::parse_rfc3339;
/// assert_eq!(parse_rfc3339("1970-01-01T01:00:00.5+01:00"), Some(500_000_000));
/// assert_eq!(parse_rfc3339("1970-01-02"), Some(86_400_000_000_000));
/// assert_eq!(parse_rfc3339("2026-02-29"), None);
/// ```
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let (day, clock) = text.split_once(['T', 't', ' ']).unwrap_or((text, "00:00:00Z"));
    let [year, month, day] = numbers(day, '-', [4, 2, 2])?;
    let days = days(year, month, day)?;
    let (clock, offset_minutes) = match clock.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => {
            let (clock, offset) = clock.split_at_checked(clock.len().checked_sub(6)?)?;
            let [hours, minutes] = numbers(offset.strip_prefix(['+', '-'])?, ':', [2, 2])?;
            let ahead = i64::try_from(hours * 60 + minutes).ok().filter(|_| hours < 24 && minutes < 60)?;
            (clock, if offset.starts_with('-') { -ahead } else { ahead })
        }
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    // RFC 3339 §5.6: 60 is a leap second's.
    let is_clock = hour < 24 && minute < 60 && second <= 60 && (1..=9).contains(&fraction.len());
    let nanos = number(fraction, fraction.len())? * 10u64.pow(9u32.checked_sub(fraction.len() as u32)?);
    let seconds = i64::try_from(days * DAY_SECONDS + hour * 3_600 + minute * 60 + second).ok()?;
    let seconds = u64::try_from(seconds - offset_minutes * 60).ok().filter(|_| is_clock)?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// The day, counted from 1970-01-01, of a date from that day on; `None` where there is no such date.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let march_year = year.checked_sub(u64::from(month <= 2))?;
    let (era, year_of_era) = (march_year / 400, march_year % 400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = ((153 * month_from_march + 2) / 5 + day).checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * ERA_DAYS + day_of_era).checked_sub(BEFORE_1970_DAYS)?;
    // Read back, so that a 31st of February is no date.
    (date(days) == (year, month, day)).then_some(days)
}

/// Numbers of so many digits each between separators, and nothing behind the last.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[u64; N]> {
    let mut parts = text.split(separator);
    let mut found = [0; N];
    for (found, digits) in found.iter_mut().zip(digits) {
        *found = number(parts.next()?, digits)?;
    }
    parts.next().is_none().then_some(found)
}

fn number(text: &str, digits: usize) -> Option<u64> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_827_696, "2000-02-29T12:34:56"),
            (951_868_800, "2000-03-01T00:00:00"),
            (1_735_689_599, "2024-12-31T23:59:59"),
            (4_107_542_399, "2100-02-28T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            let nanos = seconds * 1_000_000_000;
            assert_eq!(to_rfc3339(nanos, 0), format!("{text}Z"));
            assert_eq!(to_rfc3339(nanos + 7_999_999, 3), format!("{text}.007Z"));
            assert_eq!(to_rfc3339(nanos + 7_999_999, 9), format!("{text}.007999999Z"));
        }
        assert_eq!(to_rfc3339(u64::MAX, 3), "2554-07-21T23:34:33.709Z");
    }

    #[test]
    fn every_day_follows_the_one_before_and_reads_back() {
        let mut before = date(0);
        for day in 1..150_000 {
            let (year, month, of_month) = date(day);
            let leap =
                before.0.is_multiple_of(4) && (!before.0.is_multiple_of(100) || before.0.is_multiple_of(400));
            let last = match before.1 {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let expected = match before {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, day) if day == last => (year, month + 1, 1),
                (year, month, day) => (year, month, day + 1),
            };
            assert_eq!((year, month, of_month), expected);
            assert_eq!(days(year, month, of_month), Some(day));
            before = expected;
        }
    }

    #[test]
    fn moments_are_read_and_garbage_is_refused() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("1970-01-01T00:00:01Z", 1),
            ("2000-03-01", 951_868_800),
            ("2026-11-21T02:42:49Z", 1_795_228_969),
            ("2026-11-21T04:42:49+02:00", 1_795_228_969),
            ("2026-11-20 21:12:49-05:30", 1_795_228_969),
        ] {
            assert_eq!(parse_rfc3339(text), Some(seconds * 1_000_000_000), "{text}");
        }
        assert_eq!(parse_rfc3339("1970-01-01T00:00:01.25Z"), Some(1_250_000_000));
        for text in [
            "",
            "now",
            "2h",
            "2026",
            "1970-1-1",
            "1970-01-01T00:00:00",
            "2026-02-29",
            "2026-04-31",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "0000-01-01",
            "1969-12-31",
            "1970-01-01T00:00:00+00:01",
            "2026-01-01T24:00:00Z",
            "2026-11-21T25:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00:00Z",
            "2026-11-21T02:42:49+24:00",
            "2026-11-21T02:42:49",
            "2026-01-01-01",
            "9999-01-01",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(nanos: u64) {
            prop_assert_eq!(parse_rfc3339(&to_rfc3339(nanos, 9)), Some(nanos));
        }

        #[test]
        fn no_text_makes_it_panic(text: String, like in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.+Z0-9:-]{0,14}") {
            let _ = (parse_rfc3339(&text), parse_rfc3339(&like));
        }
    }
}
