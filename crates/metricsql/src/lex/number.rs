//! Numbers and durations.
//!
//! 1. A duration is a row of numbers with a unit each: `1h5m`, `1.5d`, `10i`. Units may be capitals, but for `M`, which is a million.
//!    Where asked for, parts behind the first may be negative.
//! 2. `0x`, `0b` and `0o` begin whole numbers of another base, a leading `0` an octal one if only octal digits follow.
//! 3. Else it is a decimal number, `_` may stand between digits, and a factor may follow: `K`, `Ki`, `KB`, `KiB`, and so on up to `T`.
//! 4. Nothing that could belong to a name may follow directly.

use super::{Kind, text::is_name_continue};
use crate::ast::Unit;

/// The number or duration at the begin of `text` and its length; else the length of what was tried.
pub(super) fn scan(text: &str, negative_parts: bool) -> Result<(Kind, usize), usize> {
    let found = match duration(text, negative_parts) {
        Some((parts, length)) => Some((Kind::Duration(parts), length)),
        None => number(text).map(|(value, length)| (Kind::Number(value), length)),
    };
    let length = found.as_ref().map_or(0, |(_, length)| *length);
    // A colon may part window and step.
    let goes_on = |letter| is_name_continue(letter) && letter != ':';
    let tail = text[length..].find(|letter| !goes_on(letter)).unwrap_or(text.len() - length);
    match found {
        Some(found) if tail == 0 => Ok(found),
        _ => Err((length + tail).max(1)),
    }
}

fn duration(text: &str, negative_parts: bool) -> Option<(Vec<(f64, Unit)>, usize)> {
    let (first, mut length) = part(text)?;
    let mut parts = vec![first];
    loop {
        let rest = &text[length..];
        if let Some((next, more)) = part(rest) {
            parts.push(next);
            length += more;
        } else if let Some(((number, unit), more)) = rest.strip_prefix('-').filter(|_| negative_parts).and_then(part) {
            parts.push((-number, unit));
            length += 1 + more;
        } else {
            return Some((parts, length));
        }
    }
}

fn part(text: &str) -> Option<((f64, Unit), usize)> {
    let bytes = text.as_bytes();
    let mut at = digits(bytes, 0);
    if at == 0 {
        return None;
    }
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1);
    }
    let (unit, unit_length) = unit(&bytes[at..])?;
    let number = text[..at].parse().ok()?;
    Some(((number, unit), at + unit_length))
}

fn unit(bytes: &[u8]) -> Option<(Unit, usize)> {
    let first = *bytes.first()?;
    let second = bytes.get(1).map(u8::to_ascii_lowercase);
    Some(match first.to_ascii_lowercase() {
        b'm' if second == Some(b's') => (Unit::Millisecond, 2),
        // `5Mi` and `5mb` are numbers.
        b'm' if matches!(second, Some(b'i' | b'b')) => return None,
        b'm' if first == b'm' => (Unit::Minute, 1),
        b's' => (Unit::Second, 1),
        b'h' => (Unit::Hour, 1),
        b'd' => (Unit::Day, 1),
        b'w' => (Unit::Week, 1),
        b'y' => (Unit::Year, 1),
        b'i' => (Unit::Step, 1),
        _ => return None,
    })
}

fn number(text: &str) -> Option<(f64, usize)> {
    if let Some(found) = based(text) {
        return Some(found);
    }
    let bytes = text.as_bytes();
    let mut end = digits_or_underscores(bytes, 0);
    if let Some(octal) = octal(&text[..end], bytes.get(end)) {
        return Some((octal, end));
    }
    if bytes.get(end) == Some(&b'.') {
        end = digits_or_underscores(bytes, end + 1);
    }
    let (factor, factor_length) = factor(&text[end..]);
    if factor_length == 0 && matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent_end = digits(bytes, end + 1 + sign);
        if exponent_end == end + 1 + sign {
            return None;
        }
        end = exponent_end;
    }
    let value: f64 = text[..end].replace('_', "").parse().ok()?;
    Some((value * factor, end + factor_length))
}

/// `0x1f`, `0b101`, `0o17`.
fn based(text: &str) -> Option<(f64, usize)> {
    let bytes = text.as_bytes();
    let radix = match bytes.get(1)?.to_ascii_lowercase() {
        _ if bytes[0] != b'0' => return None,
        b'x' => 16,
        b'b' => 2,
        b'o' => 8,
        _ => return None,
    };
    let length = bytes[2..].iter().take_while(|byte| **byte == b'_' || (**byte as char).is_digit(radix)).count();
    let value = u64::from_str_radix(&text[2..2 + length].replace('_', ""), radix).ok()?;
    Some((value as f64, 2 + length))
}

/// `017` is 15, but `018`, `01.5` and `01e2` are decimal.
fn octal(text: &str, next: Option<&u8>) -> Option<f64> {
    if text.len() < 2 || !text.starts_with('0') || matches!(next, Some(b'.' | b'e' | b'E')) {
        return None;
    }
    u64::from_str_radix(&text.replace('_', ""), 8).ok().map(|value| value as f64)
}

fn factor(text: &str) -> (f64, usize) {
    let bytes = text.as_bytes();
    let power = match bytes.first().map(u8::to_ascii_lowercase) {
        Some(b'k') => 1,
        Some(b'm') => 2,
        Some(b'g') => 3,
        Some(b't') => 4,
        _ => return (1.0, 0),
    };
    let lower = |at: usize| bytes.get(at).map(u8::to_ascii_lowercase);
    match (lower(1), lower(2)) {
        (Some(b'i'), Some(b'b')) => (1024f64.powi(power), 3),
        (Some(b'i'), _) => (1024f64.powi(power), 2),
        (Some(b'b'), _) => (1000f64.powi(power), 2),
        _ => (1000f64.powi(power), 1),
    }
}

fn digits(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn digits_or_underscores(bytes: &[u8], from: usize) -> usize {
    from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'_').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_forms() {
        let cases = [
            ("0", 0.0),
            ("42", 42.0),
            ("1_234_567", 1_234_567.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1.5e-3", 0.0015),
            ("1E6", 1e6),
            ("0x1F", 31.0),
            ("0xdead_beef", 3_735_928_559.0),
            ("0b1011", 11.0),
            ("0o17", 15.0),
            ("017", 15.0),
            ("018", 18.0),
            ("01.5", 1.5),
            ("5K", 5e3),
            ("5k", 5e3),
            ("5Ki", 5120.0),
            ("1.5KiB", 1536.0),
            ("2KB", 2e3),
            ("3M", 3e6),
            ("3Mi", 3.0 * 1048576.0),
            ("3mi", 3.0 * 1048576.0),
            ("3mb", 3e6),
            ("1G", 1e9),
            ("1Gi", 1073741824.0),
            ("2T", 2e12),
            ("2TiB", 2.0 * 1099511627776.0),
            ("9999999999", 9_999_999_999.0),
        ];
        for (text, value) in cases {
            assert_eq!(scan(text, false), Ok((Kind::Number(value), text.len())), "{text}");
        }
    }

    #[test]
    fn durations_of_all_forms() {
        use Unit::*;
        let cases: &[(&str, &[(f64, Unit)])] = &[
            ("5m", &[(5.0, Minute)]),
            ("1h5m", &[(1.0, Hour), (5.0, Minute)]),
            ("1.5d", &[(1.5, Day)]),
            ("10i", &[(10.0, Step)]),
            ("30S", &[(30.0, Second)]),
            (
                "1w2d3h4m5s6ms",
                &[(1.0, Week), (2.0, Day), (3.0, Hour), (4.0, Minute), (5.0, Second), (6.0, Millisecond)],
            ),
            ("2h-5m", &[(2.0, Hour), (-5.0, Minute)]),
            ("1y", &[(1.0, Year)]),
        ];
        for (text, parts) in cases {
            assert_eq!(scan(text, true), Ok((Kind::Duration(parts.to_vec()), text.len())), "{text}");
        }
        assert_eq!(scan("2h-5m", false), Ok((Kind::Duration(vec![(2.0, Hour)]), 2)));
        assert_eq!(scan("5m-1", true), Ok((Kind::Duration(vec![(5.0, Minute)]), 2)));
    }

    #[test]
    fn what_is_neither() {
        for text in ["5foo", "1e", "1e+", "0x", "5m5", "1h5", "5min", "0b2", "1_000x"] {
            assert!(scan(text, false).is_err(), "{text}");
        }
    }
}
