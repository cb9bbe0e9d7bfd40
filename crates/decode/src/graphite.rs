//! Graphite's plaintext protocol, with tags.
//!
//! ```text
//! servers.web01.load;dc=eu;rack=7 0.5 1700000000
//! ```
//!
//! Times are seconds, cut to a multiple of a unit; without one, or with `-1`, the line came now. Empty tags are left away.

use crate::{
    Malformed,
    influx::trim,
    prometheus_text::float,
    rows::{LineReader, NAME, Rows},
};

/// Reads lines.
#[derive(Debug)]
pub struct Graphite {
    now: i64,
    trim_ms: i64,
}

impl Graphite {
    /// A reader of lines that came at `now`; times are cut to multiples of `trim_ms`.
    pub fn new(now: i64, trim_ms: i64) -> Self {
        Self { now, trim_ms }
    }
}

impl LineReader for Graphite {
    fn read(&mut self, line: &[u8], rows: &mut Rows) -> Result<(), Malformed> {
        let wrong = |what, rest: &[u8]| Err(Malformed { what, at: line.len() - rest.len() });
        let (metric, rest) = word(line);
        let (value, rest) = word(rest.trim_ascii_start());
        let (time, rest) = word(rest.trim_ascii_start());
        if !rest.trim_ascii().is_empty() {
            return wrong("more behind the timestamp", rest);
        }
        let mut parts = metric.split(|byte| *byte == b';');
        let name = parts.next().unwrap_or(b"");
        if name.is_empty() {
            return wrong("a metric name is missing", line);
        }
        let Some(value) = float(value) else {
            return wrong("a value is missing", rest);
        };
        let time = match time {
            b"" => self.now,
            text => match float(text) {
                // Minus one is how some senders say now.
                Some(-1.0 | 0.0) => self.now,
                Some(seconds) if seconds.is_finite() => (seconds * 1000.0) as i64,
                _ => return wrong("broken timestamp", rest),
            },
        };
        rows.label(NAME, name);
        for tag in parts {
            let (tag, value) = match tag.iter().position(|byte| *byte == b'=') {
                Some(at) => (&tag[..at], &tag[at + 1..]),
                None => (tag, &b""[..]),
            };
            if !tag.is_empty() {
                rows.label(tag, value);
            }
        }
        rows.sample(trim(time, self.trim_ms), value);
        rows.finish()
    }
}

/// What stands before the next blank, and the rest with it.
pub(crate) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let len = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    text.split_at(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::read_lines;

    fn read(text: &str) -> Vec<String> {
        read_lines(&mut Graphite::new(99_500, 1000), text)
    }

    #[test]
    fn lines_become_rows() {
        let text = "foo.bar -123.456 1700000000\na 1\nb 1 -1\nc;x=y;e=;=z;t 1 4294.943\nd\t1\t2 \nf \t1  2 \t";
        let want = [
            "__name__=foo.bar -123.456@1700000000000",
            "__name__=a 1@99000",
            "__name__=b 1@99000",
            "__name__=c,x=y 1@4294000",
            "__name__=d 1@2000",
            "__name__=f 1@2000",
        ];
        assert_eq!(read(text), want);
    }

    #[test]
    fn broken_lines_are_refused() {
        for line in [" 123 455", "aaa", "s;a=b;c=d e;f=g 1", "aa bb", "aa 1 bar", ";a=b 1", "a 1 2 3", "a 1 inf"] {
            let said = read(line);
            assert!(said.len() == 1 && said[0].starts_with('!'), "{line}: {said:?}");
        }
    }
}
