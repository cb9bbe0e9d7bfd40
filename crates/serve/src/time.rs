//! Times and durations in arguments.
//!
//! A time is, tried in this order: `now`; an offset back from now (`1h`, `-1h`, `now-1h`); four digits, a year; a number: seconds, or by its size
//! milliseconds, microseconds or nanoseconds since 1970; RFC 3339, whole or cut after any part (`2026-11`, `2026-11-02T03`), in UTC unless an
//! offset stands behind it.

use jiff::{civil::DateTime, tz::TimeZone};

const SECOND_MS: f64 = 1e3;
const DAY_MS: i64 = 86_400_000;

/// Above these a number counts milli-, micro- and nanoseconds: the largest seconds, milliseconds, … whose nanoseconds fit 64 bits.
const SECONDS_MAX: f64 = 9_223_372_036.0;
const MILLISECONDS_MAX: f64 = SECONDS_MAX * 1e3;
const MICROSECONDS_MAX: f64 = SECONDS_MAX * 1e6;

/// A year counts 365 days and a week 7.
const UNITS_MS: &[(&str, f64)] = &[
    ("ms", 1.0),
    ("s", SECOND_MS),
    ("m", 60e3),
    ("h", 3_600e3),
    ("d", DAY_MS as f64),
    ("w", 7.0 * DAY_MS as f64),
    ("y", 365.0 * DAY_MS as f64),
];
/// Longer durations (10,000 years) are mistakes.
const DURATION_MS_MAX: f64 = 10_000.0 * 365.0 * DAY_MS as f64;

/// The earliest and the latest time of Go, which Prometheus' clients send for "no bound", and what they mean here: all of the times that are exact
/// in nanoseconds.
pub const MIN_TIME: &str = "-292273086-05-16T16:47:06Z";
/// See [`MIN_TIME`].
pub const MAX_TIME: &str = "292277025-08-18T07:12:54.999999999Z";
/// What [`MIN_TIME`] means.
pub const MIN_TIME_MS: i64 = i64::MIN / 1_000_000;
/// What [`MAX_TIME`] means.
pub const MAX_TIME_MS: i64 = i64::MAX / 1_000_000;

/// What [`parse_time`] wants, for messages.
pub const TIME_FORMS: &str = "seconds since 1970, RFC 3339 or an offset such as -1h";

/// Reads a time into milliseconds since 1970; `None` if it is none.
pub fn parse_time(text: &str, now_ms: i64) -> Option<i64> {
    let text = text.trim();
    match text {
        "now" => return Some(now_ms),
        MIN_TIME => return Some(MIN_TIME_MS),
        MAX_TIME => return Some(MAX_TIME_MS),
        _ => {}
    }
    let first = text.bytes().next()?;
    let last = text.bytes().last()?;
    let is_offset = text.starts_with("now") || first == b'-' || (last.is_ascii_alphabetic() && last != b'Z');
    let back = text.trim_start_matches("now").trim_start_matches('-');
    if is_offset && let Some(back) = parse_duration(back) {
        return now_ms.checked_sub(back);
    }
    let is_year = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_year && let Ok(number) = text.parse::<f64>() {
        return number_ms(number);
    }
    parse_civil(text)
}

/// Reads a duration such as `1h30m`, `1.5d`, or seconds as a bare number, into milliseconds; `None` if it is none.
pub fn parse_duration(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = seconds * SECOND_MS;
        return (ms.abs() <= DURATION_MS_MAX).then_some(ms as i64);
    }
    let mut rest = text;
    let mut sum_ms = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (_, factor) = UNITS_MS.iter().find(|(unit, _)| *unit == &rest[..letters])?;
        sum_ms += number * factor;
        rest = &rest[letters..];
    }
    (!text.is_empty() && sum_ms <= DURATION_MS_MAX).then_some(sum_ms as i64)
}

/// The first millisecond of the UTC day that holds `time`.
pub fn day_start(time: i64) -> i64 {
    time.div_euclid(DAY_MS).saturating_mul(DAY_MS)
}

/// The last millisecond of the UTC day that holds `time`.
pub fn day_end(time: i64) -> i64 {
    day_start(time).saturating_add(DAY_MS - 1)
}

fn number_ms(number: f64) -> Option<i64> {
    if !number.is_finite() {
        return None;
    }
    let ms = match number.abs() {
        seconds if seconds <= SECONDS_MAX => number * SECOND_MS,
        milliseconds if milliseconds <= MILLISECONDS_MAX => number,
        microseconds if microseconds <= MICROSECONDS_MAX => number / 1e3,
        _ => number / 1e6,
    };
    Some(ms.round() as i64)
}

/// RFC 3339, whole or cut.
fn parse_civil(text: &str) -> Option<i64> {
    const WHOLE: &str = "0000-01-01T00:00:00";
    let (text, offset_ms) = split_offset(text)?;
    let text = text.replacen(' ', "T", 1);
    let filled = match text.len() {
        4 | 7 | 10 | 13 | 16 | 19 => format!("{text}{}", &WHOLE[text.len()..]),
        20.. => text,
        _ => return None,
    };
    // The library would read more behind the time, an offset in another form for example, and leave it out of account.
    let plain = |c: char| c.is_ascii_digit() || matches!(c, 'T' | ':' | '.');
    filled.get(10..).filter(|time| time.chars().all(plain))?;
    let civil: DateTime = filled.parse().ok()?;
    let local = civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    local.checked_sub(offset_ms)
}

/// Splits `Z` or `+02:00` off.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(utc) = text.strip_suffix('Z') {
        return Some((utc, 0));
    }
    let Some((head, tail)) = text.len().checked_sub(6).and_then(|at| text.split_at_checked(at)) else {
        return Some((text, 0));
    };
    let bytes = tail.as_bytes();
    if !head.contains('T') || !matches!(bytes[0], b'+' | b'-') || bytes[3] != b':' {
        return Some((text, 0));
    }
    let hours: i64 = tail[1..3].parse().ok()?;
    let minutes: i64 = tail[4..].parse().ok()?;
    let offset = (hours * 60 + minutes) * 60_000;
    Some((head, if bytes[0] == b'-' { -offset } else { offset }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_767_323_045_678;

    #[test]
    fn times_have_many_forms() {
        for (text, want) in [
            ("now", NOW),
            ("1700000000", 1_700_000_000_000),
            ("1700000000.123", 1_700_000_000_123),
            ("1700000000123", 1_700_000_000_123),
            ("1700000000123456", 1_700_000_000_123),
            ("1700000000123456789", 1_700_000_000_123),
            ("1.7e9", 1_700_000_000_000),
            ("0", 0),
            ("2026", 1_767_225_600_000),
            ("2026-01", 1_767_225_600_000),
            ("2026-01-02", 1_767_312_000_000),
            ("2026-01-02T03", 1_767_322_800_000),
            ("2026-01-02T03:04", 1_767_322_980_000 + 60_000),
            ("2026-01-02T03:04:05Z", 1_767_323_045_000),
            ("2026-01-02T03:04:05.678Z", NOW),
            ("2026-01-02T05:04:05.678+02:00", NOW),
            ("2026-01-02 03:04:05", 1_767_323_045_000),
            ("-1h", NOW - 3_600_000),
            ("now-1h30m", NOW - 5_400_000),
            ("90s", NOW - 90_000),
            (MIN_TIME, MIN_TIME_MS),
            (MAX_TIME, MAX_TIME_MS),
        ] {
            assert_eq!(parse_time(text, NOW), Some(want), "{text}");
        }
        for text in
            ["", "x", "2026-13", "2026-01-02T25", "now+", "1h2", "20260", "é", "-", "inf", "2026-01-02T03:04:05+0200"]
        {
            assert!(parse_time(text, NOW).is_none_or(|time| text == "20260" && time == 20_260_000), "{text}");
        }
    }

    #[test]
    fn days_are_utc() {
        assert_eq!(day_start(NOW), 1_767_312_000_000);
        assert_eq!(day_end(NOW) - day_start(NOW), DAY_MS - 1);
        assert_eq!(day_start(-1), -DAY_MS);
        assert_eq!(day_end(i64::MAX), i64::MAX);
    }
}
