//! JSON that goes out.

use std::io::Write;

use model::{BUCKET_BOUND, LabelBytes, METRIC_NAME, SeriesKey};

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
    put_text_bytes(out, text.as_bytes());
}

/// Appends a string whose bytes are UTF-8.
fn put_text_bytes(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if is_plain(text) {
        out.extend_from_slice(text);
    } else {
        put_escaped(out, text);
    }
    out.push(b'"');
}

fn put_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut plain_start = 0;
    for (at, byte) in text.iter().enumerate().filter(|(_, byte)| is_special(**byte)) {
        out.extend_from_slice(&text[plain_start..at]);
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
    out.extend_from_slice(&text[plain_start..]);
}

/// Whether a byte cannot stand in a string as it is.
#[inline]
fn is_special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

/// Whether a text goes out as it is, as nearly all do: looked at in blocks, without a branch a byte.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    none_is(text, b' ', is_special)
}

/// Whether no byte of a text is as `is_wanted` says, which `filler` is not.
#[inline]
fn none_is(text: &[u8], filler: u8, is_wanted: impl Fn(u8) -> bool) -> bool {
    const BLOCK: usize = 16;
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let mut found = [false; BLOCK];
    let mut look =
        |block: &[u8; BLOCK]| found.iter_mut().zip(block).for_each(|(found, byte)| *found |= is_wanted(*byte));
    blocks.iter().for_each(&mut look);
    match text.last_chunk::<BLOCK>() {
        Some(last) => look(last),
        None => {
            let mut last = [filler; BLOCK];
            last[..rest.len()].copy_from_slice(rest);
            look(&last);
        }
    }
    !found.iter().any(|found| *found)
}

/// Appends the labels of a series as an object: the metric's name first, then by name.
pub fn put_labels(out: &mut Vec<u8>, key: &SeriesKey) {
    out.push(b'{');
    match key.label_bytes() {
        Some(labels) => put_label_bytes(out, labels),
        None => {
            let mut labels: Vec<_> = key.labels().collect();
            let from = usize::from(labels.first().is_some_and(|(name, _)| name == METRIC_NAME));
            labels[from..].sort_by(|one, other| one.0.cmp(&other.0));
            for (name, value) in &labels {
                put_text(out, name);
                out.push(b':');
                put_text(out, value);
                out.push(b',');
            }
        }
    }
    match out.last_mut() {
        Some(last) if *last == b',' => *last = b'}',
        _ => out.push(b'}'),
    }
}

/// Each label with a comma behind it.
fn put_label_bytes(out: &mut Vec<u8>, labels: LabelBytes<'_>) {
    // Zeros stand between the texts. The number of a bound may hold anything: then each text is looked at.
    let all_plain = none_is(labels.rest(), 0, |byte| (byte != 0) & is_special(byte));
    let mut behind_bound = None;
    for (name, value) in labels {
        let start = out.len();
        if all_plain {
            put_plain_label(out, name, value);
        } else {
            put_text_bytes(out, name);
            out.push(b':');
            put_text_bytes(out, value);
            out.push(b',');
        }
        // In the key `le` stands last, for its numeric order; here nothing is special about it.
        match behind_bound {
            Some(place) if name == BUCKET_BOUND.as_bytes() => {
                let bytes = out.len() - start;
                out[place..].rotate_right(bytes);
            }
            None if name > BUCKET_BOUND.as_bytes() => behind_bound = Some(start),
            _ => {}
        }
    }
}

#[inline]
fn put_plain_label(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 6);
    out.push(b'"');
    out.extend_from_slice(name);
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\",");
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
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn labels_are_the_same_with_and_without_escapes_in_the_key(
            labels in prop::collection::btree_map("[a-z\"\u{e4}\\\\]{1,20}|le|__name__", "[ -~\u{0}-\u{3}\u{e4}\n\"]{1,40}", 1..6)
        ) {
            let mut builder = KeyBuilder::new();
            labels.iter().for_each(|(name, value)| builder.push(name, value));
            let key = builder.build(Tenant::DEFAULT).expect("a series");
            let mut ordered: Vec<_> = labels.iter().collect();
            ordered.sort_by_key(|(name, _)| (*name != METRIC_NAME, *name));
            let pairs: Vec<_> = ordered.iter().map(|(name, value)| format!("{}:{}", in_quotes(name), in_quotes(value))).collect();
            prop_assert_eq!(text_of(|out| put_labels(out, &key)), format!("{{{}}}", pairs.join(",")));
        }
    }

    /// A string, byte for byte.
    fn in_quotes(text: &str) -> String {
        let each = |c: char| match c {
            '"' => "\\\"".to_string(),
            '\\' => "\\\\".to_string(),
            '\n' => "\\n".to_string(),
            '\r' => "\\r".to_string(),
            '\t' => "\\t".to_string(),
            c if c < ' ' => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        };
        format!("\"{}\"", text.chars().map(each).collect::<String>())
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
