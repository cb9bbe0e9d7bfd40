//! How the text of each kind of flag reads.

use std::time::Duration;

/// A month counts 31 days and a year 365, as in VictoriaMetrics.
const UNITS_MS: &[(&str, f64)] = &[
    ("us", 1e-3),
    ("ms", 1.0),
    ("s", 1e3),
    ("m", 60e3),
    ("h", 3_600e3),
    ("d", 86_400e3),
    ("w", 7.0 * 86_400e3),
    ("M", 31.0 * 86_400e3),
    ("y", 365.0 * 86_400e3),
];
/// Longer durations than this (1000 years) are mistakes.
const DURATION_MS_MAX: f64 = 1000.0 * 365.0 * 86_400e3;

const BYTE_UNITS: &[(&str, f64)] = &[
    ("KiB", 1024.0),
    ("MiB", 1024.0 * 1024.0),
    ("GiB", 1024.0 * 1024.0 * 1024.0),
    ("TiB", 1024.0 * 1024.0 * 1024.0 * 1024.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("", 1.0),
];

/// Reads a boolean.
pub fn switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("want true or false".to_string()),
    }
}

/// Reads a size such as `1048576`, `100MB`, `1.5GiB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "want a size such as 1048576, 100MB or 1.5GiB".to_string();
    let (unit, factor) = BYTE_UNITS.iter().find(|(unit, _)| text.ends_with(unit)).expect("BUG: the empty unit fits");
    let number: f64 = text[..text.len() - unit.len()].trim_end().parse().map_err(|_| wrong())?;
    let bytes = number * factor;
    if !(0.0..9e15).contains(&bytes) { Err(wrong()) } else { Ok(bytes as u64) }
}

/// Reads a duration such as `30s`, `1h30m`, `3d`, `1y`; a bare number is only taken if it is zero.
pub fn duration(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(0.0) => Ok(Duration::ZERO),
        Ok(_) => Err("want a duration with a unit, such as 30s, 1h30m or 3d".to_string()),
        Err(_) => with_units(text),
    }
}

/// Reads a duration; a bare number counts months.
pub fn retention(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(_) => with_units(&format!("{text}M")),
        Err(_) => with_units(text),
    }
}

fn with_units(text: &str) -> Result<Duration, String> {
    let wrong = || "want a duration such as 30s, 1h30m, 3d, 6M or 1y".to_string();
    let mut rest = text;
    let mut sum_ms = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (_, factor) = UNITS_MS.iter().find(|(unit, _)| *unit == &rest[..letters]).ok_or_else(wrong)?;
        sum_ms += number * factor;
        rest = &rest[letters..];
    }
    if text.is_empty() || sum_ms > DURATION_MS_MAX {
        Err(wrong())
    } else {
        Ok(Duration::from_micros((sum_ms * 1e3).round() as u64))
    }
}

/// Splits at commas; quotes keep commas, as VictoriaMetrics' lists do.
pub fn list(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == ',' => items.push(String::new()),
            _ => items.last_mut().expect("BUG: there is always an item").push(c),
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, seconds) in [
            ("0", 0),
            ("30s", 30),
            ("1h30m", 5400),
            ("3d", 259_200),
            ("1y", 31_536_000),
            ("1.5h", 5400),
            ("2w", 1_209_600),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "5", "h", "5x", "1h30", "-3d", "9999y"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("0.5ms"), duration("500us"));
        assert_eq!(duration("500us"), Ok(Duration::from_micros(500)));
    }

    #[test]
    fn a_bare_retention_counts_months() {
        assert_eq!(retention("6"), Ok(Duration::from_secs(6 * 31 * 86_400)));
        assert_eq!(retention("6"), retention("6M"));
        assert_eq!(retention("100y"), Ok(Duration::from_secs(100 * 365 * 86_400)));
    }

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        for (text, want) in [("0", 0), ("100MB", 100_000_000), ("1.5KiB", 1536), ("32 MiB", 32 << 20), ("7", 7)] {
            assert_eq!(bytes(text), Ok(want), "{text}");
        }
        for text in ["", "MB", "-1", "1XB", "1e30"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quotes_keep_commas() {
        assert_eq!(list("a,\"b,c\",'d'"), ["a", "b,c", "d"]);
    }
}
