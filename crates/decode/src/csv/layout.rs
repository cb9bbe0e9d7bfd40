//! Layouts of times in the way of Go, `2006-01-02 15:04:05`, turned into those of `strptime`.

use jiff::{Timestamp, fmt::strtime::BrokenDownTime, tz::TimeZone};

/// The parts of a layout, longest first where one begins like another, and what they are for `strptime`.
const PARTS: &[(&str, &str)] = &[
    ("2006", "%Y"),
    ("January", "%B"),
    ("Jan", "%b"),
    ("Monday", "%A"),
    ("Mon", "%a"),
    ("Z07:00", "%:z"),
    ("-07:00", "%:z"),
    ("Z0700", "%z"),
    ("-0700", "%z"),
    ("002", "%j"),
    ("01", "%m"),
    ("02", "%d"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("PM", "%p"),
    ("pm", "%p"),
    ("_2", "%e"),
    ("%", "%%"),
    ("1", "%m"),
    ("2", "%d"),
    ("3", "%I"),
    ("4", "%M"),
    ("5", "%S"),
];

/// A layout as patterns, of which one has to fit: a time zone may be written `Z`.
#[derive(Debug)]
pub(super) struct Layout(Vec<String>);

impl Layout {
    /// Reads a layout; `None` without a date in it.
    pub(super) fn from_go(layout: &str) -> Option<Self> {
        let mut pattern = String::new();
        let mut rest = layout;
        let mut zulu = false;
        while !rest.is_empty() {
            if let Some((part, meaning)) = PARTS.iter().find(|(part, _)| rest.starts_with(part)) {
                zulu |= part.starts_with("Z0");
                pattern.push_str(meaning);
                rest = &rest[part.len()..];
            } else if let Some(len) = fraction(rest) {
                pattern.push_str("%.f");
                rest = &rest[len..];
            } else {
                let char = rest.chars().next()?;
                pattern.push(char);
                rest = &rest[char.len_utf8()..];
            }
        }
        let has_date = pattern.contains("%Y") || pattern.contains("%y");
        let with_z = zulu.then(|| pattern.replace("%:z", "Z").replace("%z", "Z"));
        has_date.then(|| Self(std::iter::once(pattern).chain(with_z).collect()))
    }

    /// Milliseconds since 1970; without a zone the time is UTC.
    pub(super) fn parse(&self, text: &str) -> Option<i64> {
        self.0.iter().find_map(|pattern| {
            let parts = BrokenDownTime::parse(pattern, text).ok()?;
            let zoned = |parts: &BrokenDownTime| -> Option<Timestamp> {
                let date = parts.to_date().ok()?;
                let time = parts.to_time().unwrap_or_default();
                date.to_datetime(time).to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
            };
            let time = parts.to_timestamp().ok().or_else(|| zoned(&parts))?;
            Some(time.as_millisecond())
        })
    }
}

/// The length of a fraction of a second, `.000` or `.999`, that the rest of a layout begins with.
fn fraction(rest: &str) -> Option<usize> {
    let digits = rest.strip_prefix(['.', ','])?;
    let len = digits.bytes().take_while(|byte| matches!(byte, b'0' | b'9')).count();
    (len > 0).then_some(len + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_of_go_are_understood() {
        let parse = |layout: &str, text: &str| Layout::from_go(layout).expect("a layout").parse(text);
        for (layout, text, want) in [
            ("2006-01-02 15:04:05", "2026-11-20 10:00:00", Some(1_795_168_800_000)),
            ("2006-01-02T15:04:05.000Z07:00", "2026-11-20T10:00:00.250+01:00", Some(1_795_165_200_250)),
            ("2006-01-02T15:04:05Z07:00", "2026-11-20T10:00:00Z", Some(1_795_168_800_000)),
            ("02/Jan/2006:15:04:05 -0700", "20/Nov/2026:10:00:00 +0000", Some(1_795_168_800_000)),
            ("Mon Jan _2 03:04:05 PM 2006", "Fri Nov 20 10:00:00 AM 2026", Some(1_795_168_800_000)),
            ("1/2/2006", "11/20/2026", Some(1_795_132_800_000)),
            ("2006-01-02", "2026-13-20", None),
            ("2006-01-02", "2026-11-20 rest", None),
        ] {
            assert_eq!(parse(layout, text), want, "{layout} {text}");
        }
        assert!(Layout::from_go("15:04:05").is_none());
    }
}
