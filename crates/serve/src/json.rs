//! JSON that goes out.

use std::io::Write;

use model::{METRIC_NAME, SeriesKey};

use crate::number::{Layout, put_float, put_whole};

/// Writes JSON piece by piece.
#[derive(Debug, Default)]
pub struct Json(Vec<u8>);

impl Json {
    /// Writes as it stands.
    pub fn raw(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// A string.
    pub fn text(&mut self, text: &str) -> &mut Self {
        put_text(&mut self.0, text);
        self
    }

    /// A whole number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        put_whole(&mut self.0, number);
        self
    }

    /// The labels of a series as an object.
    pub fn labels(&mut self, key: &SeriesKey) -> &mut Self {
        put_labels(&mut self.0, key);
        self
    }

    /// Items with commas between them, in brackets.
    pub fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut Self, T)) -> &mut Self {
        self.raw("[");
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.raw(",");
            }
            each(self, item);
        }
        self.raw("]")
    }

    /// A list of strings.
    pub fn texts(&mut self, texts: &[String]) -> &mut Self {
        self.list(texts, |out, text| {
            out.text(text);
        })
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Makes room for so many bytes.
    pub fn reserve(&mut self, bytes: usize) {
        self.0.reserve(bytes);
    }

    /// How many bytes there are so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("BUG: writing to memory cannot fail");
}

/// Appends a string.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    // Without a branch a byte, as nearly all texts go out as they are.
    let is_special = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    if !text.bytes().fold(false, |found, byte| found | is_special(byte)) {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    let mut plain_start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain_start..at]);
        plain_start = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => put(out, format_args!("\\u{byte:04x}")),
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain_start..]);
    out.push(b'"');
}

/// Appends the labels of a series as an object: the metric's name first, then by name.
pub fn put_labels(out: &mut Vec<u8>, key: &SeriesKey) {
    // In the key `le` stands last, for its numeric order; here nothing is special about it.
    let mut labels: Vec<_> = key.labels().collect();
    let from = usize::from(labels.first().is_some_and(|(name, _)| name == METRIC_NAME));
    labels[from..].sort_by(|one, other| one.0.cmp(&other.0));
    out.push(b'{');
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_text(out, name);
        out.push(b':');
        put_text(out, value);
    }
    out.push(b'}');
}

/// Appends a value so that the same bits can be read back: the shortest digits without exponent. JSON has no infinities, which become strings, and
/// no NaN (stale markers are one), which becomes null, as in VictoriaMetrics.
pub fn put_value(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        put_float(out, value, Layout::Plain);
    } else if value.is_nan() {
        out.extend_from_slice(b"null");
    } else {
        out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    }
}

#[cfg(test)]
mod tests {
    use model::{KeyBuilder, STALE_NAN_BITS, Tenant};

    use super::*;

    fn text_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("JSON is text")
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(text_of(|out| put_text(out, "a\"b\\c\n\u{1}ü")), "\"a\\\"b\\\\c\\n\\u0001ü\"");
    }

    #[test]
    fn values_that_json_lacks_have_stand_ins() {
        let value = |value| text_of(|out| put_value(out, value));
        assert_eq!(value(f64::from_bits(STALE_NAN_BITS)), "null");
        assert_eq!(value(f64::NEG_INFINITY), "\"-Infinity\"");
        assert_eq!(value(-0.0), "-0");
        assert_eq!(value(1e21), "1000000000000000000000");
        assert_eq!(value(0.1), "0.1");
    }

    #[test]
    fn labels_stand_by_name_behind_the_metric() {
        let mut builder = KeyBuilder::new();
        for (name, value) in [("le", "5"), ("zone", "z"), ("job", "j"), ("__name__", "m"), ("A", "a")] {
            builder.push(name, value);
        }
        let key = builder.build(Tenant::DEFAULT).expect("a series");
        assert_eq!(text_of(|out| put_labels(out, &key)), r#"{"__name__":"m","A":"a","job":"j","le":"5","zone":"z"}"#);
    }
}
