//! Names as Prometheus wants them: units spelled out, `_total` behind counters, nothing but letters, digits and underscores.

use std::borrow::Cow;

/// Units as OpenTelemetry abbreviates them, and the words for them.
const UNITS: &[(&str, &str)] = &[
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

/// What stands behind a slash in a unit.
const PER_UNITS: &[(&str, &str)] =
    &[("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

/// The name of a metric with its unit, for a kind.
pub(super) fn metric(name: &[u8], unit: &[u8], kind: &str) -> Vec<u8> {
    let (name, unit) = (String::from_utf8_lossy(name), String::from_utf8_lossy(unit));
    let mut words: Vec<&str> = name.split(['/', '_', '.', '-', ':', ' ']).filter(|word| !word.is_empty()).collect();
    let (main, per) = unit.split_once('/').unwrap_or((&unit, ""));
    if let Some(main) = spelled(main, UNITS).filter(|main| !words.contains(main)) {
        words.push(main);
    }
    if let Some(per) = spelled(per, PER_UNITS).filter(|per| !words.contains(per)) {
        words.extend(["per", per]);
    }
    let last = match kind {
        "counter" => Some("total"),
        "gauge" if unit == "1" => Some("ratio"),
        _ => None,
    };
    if let Some(last) = last {
        if let Some(at) = words.iter().position(|word| *word == last) {
            words.remove(at);
        }
        words.push(last);
    }
    words.join("_").into_bytes()
}

/// The word for a unit; annotations in braces are none.
fn spelled<'a>(unit: &'a str, words: &[(&str, &'static str)]) -> Option<&'a str> {
    let unit = unit.trim();
    let word = words.iter().find(|(short, _)| *short == unit).map_or(unit, |(_, word)| *word);
    Some(word).filter(|word| !word.is_empty() && !word.contains('{'))
}

/// The name of a label.
pub(super) fn label(name: &[u8]) -> Cow<'_, [u8]> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let prefix: &[u8] = match name {
        [b'0'..=b'9', ..] => b"key_",
        [b'_', b'_', ..] => b"",
        [b'_', ..] => b"key",
        _ => b"",
    };
    if prefix.is_empty() && name.iter().all(fits) {
        return Cow::Borrowed(name);
    }
    let mut out = prefix.to_vec();
    // A character becomes one underscore, however many bytes it has.
    let first_bytes = name.iter().filter(|byte| **byte & 0xc0 != 0x80);
    out.extend(first_bytes.map(|byte| if fits(byte) { *byte } else { b'_' }));
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_get_their_units() {
        for (name, unit, kind, want) in [
            ("", "", "gauge", ""),
            ("foo", "", "gauge", "foo"),
            ("foo", "s", "gauge", "foo_seconds"),
            ("foo_seconds", "s", "gauge", "foo_seconds"),
            ("foo", "", "counter", "foo_total"),
            ("foo_total", "", "counter", "foo_total"),
            ("foo_total", "s", "counter", "foo_seconds_total"),
            ("foo_total_seconds", "s", "counter", "foo_seconds_total"),
            ("foo", "1", "gauge", "foo_ratio"),
            ("foo", "m/s", "gauge", "foo_meters_per_second"),
            ("foo_second", "m/s", "gauge", "foo_second_meters"),
            ("http.server-requests: x", "{request}", "counter", "http_server_requests_x_total"),
            ("foo", "widgets", "gauge", "foo_widgets"),
        ] {
            assert_eq!(String::from_utf8_lossy(&metric(name.as_bytes(), unit.as_bytes(), kind)), want, "{name} {unit}");
        }
    }

    #[test]
    fn labels_lose_what_prometheus_does_not_allow() {
        for (name, want) in [
            ("", ""),
            ("foo", "foo"),
            ("foo_bar/baz:abc", "foo_bar_baz_abc"),
            ("1foo", "key_1foo"),
            ("_foo", "key_foo"),
            ("__bar", "__bar"),
            ("grün", "gr_n"),
        ] {
            assert_eq!(String::from_utf8_lossy(&label(name.as_bytes())), want, "{name}");
        }
    }
}
