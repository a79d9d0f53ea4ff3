//! Moments as RFC 3339 writes them.

/// Nanoseconds since 1970 as `2026-11-21T02:22:49.123Z`: UTC, milliseconds.
#[must_use]
pub fn rfc3339(unix_nanos: u64) -> String {
    let (days, nanos) = (unix_nanos / 86_400_000_000_000, unix_nanos % 86_400_000_000_000);
    let (year, month, day) = civil(days);
    let millis = nanos / 1_000_000;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        millis / 3_600_000,
        millis / 60_000 % 60,
        millis / 1_000 % 60,
        millis % 1_000
    )
}

/// The date that is this many days after 1970-01-01. Years are counted from March, so that the leap day is the last of
/// its year, in eras of 400 years, after which the calendar repeats.
fn civil(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    let since_march_0000 = days + 719_468;
    let (era, day_of_era) = (since_march_0000 / ERA_DAYS, since_march_0000 % ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_800, "2000-03-01T00:00:00"),
            (1_735_689_599, "2024-12-31T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            assert_eq!(rfc3339(seconds * 1_000_000_000 + 7_999_999), format!("{text}.007Z"));
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = civil(0);
        for days in 1..150_000 {
            let (year, month, day) = civil(days);
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
            assert_eq!((year, month, day), expected);
            before = expected;
        }
    }
}
