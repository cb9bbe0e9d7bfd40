//! The text exposition formats of Prometheus and OpenMetrics, line by line.
//!
//! ```text
//! # HELP http_requests_total How many.
//! # TYPE http_requests_total counter
//! http_requests_total{path="/a",code="200"} 17 1700000000000 # {trace_id="x"} 1
//! {"with blanks", "label name"="v"} 1.5
//! ```
//!
//! 1. A sample is a name, labels, a value, and perhaps a timestamp. What follows a `#` behind them (an exemplar) is skipped.
//! 2. Timestamps in 32 bits are seconds, as OpenMetrics has them, with a fraction; others are milliseconds. Without one it is the request's.
//! 3. `TYPE`, `HELP` and `UNIT` are metadata; they are handed on when a comment turns to another metric.

use std::borrow::Cow;

use memchr::memchr2;

use crate::{
    Malformed,
    rows::{LineReader, NAME, Rows},
};

/// Timestamps below are seconds.
const SECONDS_BELOW: f64 = (1u64 << 31) as f64;

/// The kinds as they are stored.
const KINDS: &[&str] = &["unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];

/// Reads the lines of an exposition.
#[derive(Debug)]
pub struct PrometheusText {
    /// Time of samples that have none.
    default_time: i64,
    /// What the last comments told, as long as they were about one metric.
    family: Family,
}

#[derive(Debug, Default)]
struct Family {
    metric: Vec<u8>,
    kind: Option<&'static str>,
    help: Vec<u8>,
    unit: Vec<u8>,
}

impl PrometheusText {
    /// A reader of lines that came at `default_time`.
    pub fn new(default_time: i64) -> Self {
        Self { default_time, family: Family::default() }
    }

    fn comment(&mut self, text: &[u8], rows: &mut Rows) {
        let mut words = text.splitn(4, |byte| matches!(byte, b' ' | b'\t')).skip_while(|word| word.is_empty());
        let (word, metric, rest) = (words.next(), words.next().unwrap_or(b""), words.next().unwrap_or(b""));
        let rest = rest.trim_ascii();
        let Some(word @ (b"TYPE" | b"HELP" | b"UNIT")) = word else {
            return;
        };
        if self.family.metric != metric {
            self.end(rows);
            self.family.metric = metric.to_vec();
        }
        match word {
            b"TYPE" => self.family.kind = KINDS.iter().find(|kind| kind.as_bytes() == rest).copied(),
            b"HELP" => self.family.help = unescape(rest).into_owned(),
            _ => self.family.unit = rest.to_vec(),
        }
    }
}

impl LineReader for PrometheusText {
    fn read(&mut self, line: &[u8], rows: &mut Rows) -> Result<(), Malformed> {
        let mut line = Line { bytes: line, at: 0 };
        line.skip_blanks();
        match line.peek() {
            None => Ok(()),
            Some(b'#') => {
                self.comment(&line.bytes[line.at + 1..], rows);
                Ok(())
            }
            _ => sample(&mut line, self.default_time, rows),
        }
    }

    fn end(&mut self, rows: &mut Rows) {
        let Family { metric, kind, help, unit } = std::mem::take(&mut self.family);
        rows.metadata(kind.unwrap_or(KINDS[0]), &metric, &help, &unit);
    }
}

fn sample(line: &mut Line<'_>, default_time: i64, rows: &mut Rows) -> Result<(), Malformed> {
    let name = line.name();
    if !name.is_empty() {
        rows.label(NAME, name);
    }
    line.skip_blanks();
    if line.peek() == Some(b'{') {
        line.at += 1;
        labels(line, name.is_empty(), rows)?;
    } else if name.is_empty() {
        return line.wrong("a metric name is missing");
    }
    let value = line.word();
    let Some(value) = float(value) else {
        return line.wrong("a value is missing");
    };
    let time = match line.word() {
        [] | [b'#', ..] => default_time,
        text => match float(text) {
            Some(time) if time.abs() < SECONDS_BELOW => (time * 1000.0).round() as i64,
            Some(time) if time.is_finite() => integer(text).unwrap_or(time as i64),
            _ => return line.wrong("broken timestamp"),
        },
    };
    if !matches!(line.word(), [] | [b'#', ..]) {
        return line.wrong("more behind the timestamp");
    }
    rows.sample(time, value);
    rows.finish()
}

fn labels(line: &mut Line<'_>, mut unnamed: bool, rows: &mut Rows) -> Result<(), Malformed> {
    loop {
        line.skip_blanks();
        if line.peek() == Some(b'}') {
            line.at += 1;
            return if unnamed { line.wrong("a metric name is missing") } else { Ok(()) };
        }
        let quoted = line.peek() == Some(b'"');
        let name = if quoted { line.quoted()? } else { Cow::Borrowed(line.label_name()) };
        line.skip_blanks();
        match line.peek() {
            Some(b'=') => {
                line.at += 1;
                line.skip_blanks();
                let value = line.quoted()?;
                unnamed &= &*name != NAME;
                if !name.is_empty() {
                    rows.label(&name, &value);
                }
            }
            // A metric name that needs quotes stands among the labels.
            Some(b',' | b'}') if quoted => {
                if unnamed {
                    rows.label(NAME, &name);
                }
                unnamed = false;
            }
            _ => return line.wrong("want = behind a label name"),
        }
        line.skip_blanks();
        match line.peek() {
            Some(b',') => line.at += 1,
            Some(b'}') => {}
            _ => return line.wrong("want , or } behind a label"),
        }
    }
}

/// A line and how far it was read.
struct Line<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Line<'a> {
    fn wrong<T>(&self, what: &'static str) -> Result<T, Malformed> {
        Err(Malformed { what, at: self.at })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn until(&mut self, ends: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|byte| ends(*byte)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn name(&mut self) -> &'a [u8] {
        self.until(|byte| matches!(byte, b'{' | b' ' | b'\t' | b'\r'))
    }

    fn label_name(&mut self) -> &'a [u8] {
        self.until(|byte| matches!(byte, b'=' | b',' | b'}' | b'"' | b' ' | b'\t'))
    }

    /// The next word; a `#` ends one.
    fn word(&mut self) -> &'a [u8] {
        self.skip_blanks();
        if self.peek() == Some(b'#') {
            return &self.bytes[self.at..];
        }
        self.until(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'#'))
    }

    fn quoted(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        if self.peek() != Some(b'"') {
            return self.wrong("want a quoted text");
        }
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            match memchr2(b'"', b'\\', &self.bytes[at.min(self.bytes.len())..]) {
                Some(len) if self.bytes[at + len] == b'"' => {
                    self.at = at + len + 1;
                    let text = &self.bytes[start..at + len];
                    return Ok(if escaped { unescape(text) } else { Cow::Borrowed(text) });
                }
                Some(len) => {
                    escaped = true;
                    at += len + 2;
                }
                None => return self.wrong("a text without end"),
            }
        }
    }
}

/// Undoes `\\`, `\"` and `\n`; other backslashes stand for themselves, as some exporters forget to escape them.
fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let escaped = if byte == b'\\' { bytes.peek().copied() } else { None };
        match escaped {
            Some(b'\\' | b'"') => out.extend(bytes.next()),
            Some(b'n') => {
                bytes.next();
                out.push(b'\n');
            }
            _ => out.push(byte),
        }
    }
    Cow::Owned(out)
}

/// A value; `Inf` and `NaN` in any case.
pub(crate) fn float(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::{read_lines, show};

    fn read(text: &str) -> Vec<String> {
        read_lines(&mut PrometheusText::new(99), text)
    }

    #[test]
    fn samples_of_every_form() {
        let text = r##"
            foobar 78.9
            a{} 1 1700000000000
            b{x="#1 az",y="q\"\\\n\d",} -Inf 42949.567 # {trace="}"} 9
            	c	{   n="v", i = "1" , p=	"1"   } 0x
            c	{   n="v", i = "1" , p=	"1"   } +Infinity 2
            {"utf 8", "l l"="ü"} nan
            {__name__="inside",a="b"} 3
            d{"e"} 344#bar
            f 1 -5
            colon:name 1e3 # comment"##;
        let want = [
            "__name__=foobar 78.9@99",
            "__name__=a 1@1700000000000",
            "__name__=b,x=#1 az,y=q\"\\\n\\d -inf@42949567",
            "! a value is missing at byte 41",
            "__name__=c,n=v,i=1,p=1 inf@2000",
            "__name__=utf 8,l l=ü NaN@99",
            "__name__=inside,a=b 3@99",
            "__name__=d 344@99",
            "__name__=f 1@-5000",
            "__name__=colon:name 1000@99",
        ];
        let got = read(text);
        assert_eq!(got.len(), want.len(), "{got:#?}");
        for (got, want) in got.iter().zip(want) {
            assert!(got == want || want.starts_with('!') && got.starts_with("! a value is missing"), "{got} {want}");
        }
    }

    #[test]
    fn comments_are_metadata() {
        let text = "# HELP m Two\\nlines.\n# TYPE m counter\n# UNIT m seconds\nm 1\n# TYPE odd strange\n# hello\n#\n#TYPE last gauge";
        let mut rows = Rows::default();
        let mut reader = PrometheusText::new(99);
        text.lines().for_each(|line| reader.read(line.as_bytes(), &mut rows).expect("a good line"));
        reader.end(&mut rows);
        let want = ["__name__=m 1@99", "m is counter: Two\nlines. seconds", "odd is unknown:", "last is gauge:"];
        assert_eq!(show(&rows), want);
    }

    #[test]
    fn broken_lines_are_refused() {
        for line in [
            "a{",
            "a {foo",
            "a {foo} 3",
            "a {foo  =",
            "a {foo  =\"bar",
            "a {foo = \"bar\",",
            "a{host:\"m\"} 12",
            "{foo=\"bar\"} 1",
            "{foo='bar'} 23",
            "aaa",
            "aa{foo=\"bar\"}",
            "foo bar",
            "foo bar 124",
            "foo 123 bar",
            "foo 1 2 3",
            "{} 1",
            "a{b=\"\\",
        ] {
            let said = read(line);
            assert!(said.len() == 1 && said[0].starts_with('!'), "{line}: {said:?}");
        }
    }
}
