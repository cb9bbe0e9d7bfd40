//! InfluxDB's line protocol.
//!
//! ```text
//! measurement,tag=value,other=value field=1.5,whole=2i,yes=true,text="3" 1700000000000000000
//! ```
//!
//! 1. A line becomes one row for each field: `measurement_field` with the tags as labels, and the database as another one unless a tag has its name.
//! 2. Commas, blanks and equals signs are escaped by backslashes. Backslashes before anything else stand for themselves.
//! 3. Booleans are 1 and 0; a text that is a number is that number, any other is 0, as VictoriaMetrics has it.
//! 4. Times are in the request's precision; without one their number of digits tells it. A line without a time came now.

use std::borrow::Cow;

use crate::{
    Malformed,
    prometheus_text::{float, integer},
    rows::{LineReader, NAME, Rows},
};

/// How names are made and times are cut.
#[derive(Debug, Clone)]
pub struct InfluxStyle {
    /// What stands between measurement and field.
    pub separator: String,
    /// Whether a line with a single field is named by its measurement alone.
    pub skip_single_field: bool,
    /// Whether series are named by the field alone.
    pub skip_measurement: bool,
    /// The label that holds the database.
    pub database_label: String,
    /// Times are cut to multiples of so many milliseconds.
    pub trim_ms: i64,
}

impl Default for InfluxStyle {
    fn default() -> Self {
        Self {
            separator: "_".into(),
            skip_single_field: false,
            skip_measurement: false,
            database_label: "db".into(),
            trim_ms: 1,
        }
    }
}

/// What a unit of time is in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// It shows in the number of digits.
    Guess,
    /// So many units are a millisecond.
    PerMillisecond(i64),
    /// A unit is so many milliseconds.
    Milliseconds(i64),
}

impl Precision {
    /// The precision of this name.
    pub fn named(name: &str) -> Self {
        match name {
            "ns" | "n" => Self::PerMillisecond(1_000_000),
            "u" | "us" | "µ" => Self::PerMillisecond(1000),
            "ms" => Self::Milliseconds(1),
            "s" => Self::Milliseconds(1000),
            "m" => Self::Milliseconds(60_000),
            "h" => Self::Milliseconds(3_600_000),
            _ => Self::Guess,
        }
    }

    fn milliseconds(self, time: i64) -> i64 {
        match self {
            Self::PerMillisecond(units) => time.div_euclid(units),
            Self::Milliseconds(ms) => time.saturating_mul(ms),
            Self::Guess => match time.unsigned_abs() {
                100_000_000_000_000_000.. => time.div_euclid(1_000_000),
                100_000_000_000_000.. => time.div_euclid(1000),
                100_000_000_000.. => time,
                _ => time.saturating_mul(1000),
            },
        }
    }
}

/// Reads lines.
#[derive(Debug)]
pub struct Influx<'a> {
    style: &'a InfluxStyle,
    database: String,
    precision: Precision,
    now: i64,
}

impl<'a> Influx<'a> {
    /// A reader of lines for a database that came at `now`.
    pub fn new(style: &'a InfluxStyle, database: String, precision: Precision, now: i64) -> Self {
        // Without a time, the precision still says to what the present is cut.
        let unit = if let Precision::Milliseconds(ms) = precision { ms } else { 1 };
        Self { style, database, precision, now: trim(now, unit) }
    }

    fn time(&self, text: &[u8], at: usize) -> Result<i64, Malformed> {
        let time = match text {
            b"" => 0,
            text => integer(text).ok_or(Malformed { what: "broken timestamp", at })?,
        };
        let time = if time == 0 { self.now } else { self.precision.milliseconds(time) };
        Ok(trim(time, self.style.trim_ms))
    }

    /// Adds the tags as labels; `text` begins behind the measurement.
    fn tags(&self, text: &[u8], rows: &mut Rows) -> Result<(), Malformed> {
        let mut has_database = self.database.is_empty();
        let mut rest = text;
        while let Some(tags) = rest.strip_prefix(b",") {
            let end = find(tags, b',', false).unwrap_or(tags.len());
            let equals = find(&tags[..end], b'=', false);
            let equals = equals.ok_or(Malformed { what: "a tag without a value", at: text.len() - tags.len() })?;
            let (name, value) = (unescape(&tags[..equals]), unescape(&tags[equals + 1..end]));
            has_database |= *name == *self.style.database_label.as_bytes();
            if !name.is_empty() {
                rows.label(&name, &value);
            }
            rest = &tags[end..];
        }
        if !has_database {
            rows.label(self.style.database_label.as_bytes(), self.database.as_bytes());
        }
        Ok(())
    }
}

/// Cuts a time to a multiple of `unit` milliseconds.
pub(crate) fn trim(time: i64, unit: i64) -> i64 {
    if unit > 1 { time - time % unit } else { time }
}

impl LineReader for Influx<'_> {
    fn read(&mut self, line: &[u8], rows: &mut Rows) -> Result<(), Malformed> {
        let wrong = |what, rest: &[u8]| Malformed { what, at: line.len() - rest.len() };
        if line.trim_ascii_start().starts_with(b"#") {
            return Ok(());
        }
        let blank = find(line, b' ', false).ok_or(wrong("a line without fields", b""))?;
        let measurement_end = find(&line[..blank], b',', false).unwrap_or(blank);
        let measurement = unescape(&line[..measurement_end]);
        let fields = line[blank..].trim_ascii();
        let fields_end = find(fields, b' ', true).unwrap_or(fields.len());
        let time = self.time(fields[fields_end..].trim_ascii(), line.len())?;
        self.tags(&line[measurement_end..blank], rows)?;
        let labels = rows.prefix();

        let named = if self.style.skip_measurement { &b""[..] } else { &*measurement };
        let mut rest = &fields[..fields_end];
        let skip_field = self.style.skip_single_field && !measurement.is_empty() && find(rest, b',', true).is_none();
        let start = if named.is_empty() || skip_field {
            named.to_vec()
        } else {
            [named, self.style.separator.as_bytes()].concat()
        };
        loop {
            let end = find(rest, b',', true).unwrap_or(rest.len());
            let field = &rest[..end];
            let equals = find(field, b'=', false).ok_or(wrong("a field without a value", rest))?;
            let name = unescape(&field[..equals]);
            if name.is_empty() {
                return Err(wrong("a field without a name", rest));
            }
            let value = value(&field[equals + 1..]).ok_or(wrong("a field whose value cannot be read", rest))?;
            rows.repeat(labels.clone());
            rows.label_of_two(NAME, &start, if skip_field { b"" } else { &name });
            rows.sample(time, value);
            rows.finish()?;
            match rest[end..].strip_prefix(b",") {
                Some(more) => rest = more,
                None => return Ok(()),
            }
        }
    }
}

/// Where `wanted` stands outside of escapes and, if `quotes` count, outside of quoted texts.
fn find(text: &[u8], wanted: u8, quotes: bool) -> Option<usize> {
    let mut quoted = false;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 1,
            b'"' if quotes => quoted = !quoted,
            byte if *byte == wanted && !quoted => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match bytes.peek() {
            Some(b',' | b'=' | b' ' | b'\\') if byte == b'\\' => out.extend(bytes.next()),
            _ => out.push(byte),
        }
    }
    Cow::Owned(out)
}

fn value(text: &[u8]) -> Option<f64> {
    match text {
        b"t" | b"T" | b"true" | b"True" | b"TRUE" => Some(1.0),
        b"f" | b"F" | b"false" | b"False" | b"FALSE" => Some(0.0),
        [b'"', inner @ .., b'"'] => Some(float(inner).unwrap_or(0.0)),
        [number @ .., b'i'] => std::str::from_utf8(number).ok()?.parse::<i64>().ok().map(|number| number as f64),
        [number @ .., b'u'] => std::str::from_utf8(number).ok()?.parse::<u64>().ok().map(|number| number as f64),
        number => float(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::read_lines;

    fn read(style: &InfluxStyle, text: &str) -> Vec<String> {
        read_lines(&mut Influx::new(style, "base".into(), Precision::Guess, 99_999), text)
    }

    fn usual(text: &str) -> Vec<String> {
        read(&InfluxStyle::default(), text)
    }

    #[test]
    fn fields_become_rows() {
        assert_eq!(
            usual("m,t=a,u=\\ b\\,c,e= f=1,g=2i,h=true,s=\"x, y \\\" z\",n=\"12\",w=5u   1700000000000000000"),
            ["f 1", "g 2", "h 1", "s 0", "n 12", "w 5"].map(|field| {
                let (name, value) = field.split_once(' ').expect("a name and a value");
                format!("t=a,u= b,c,db=base,__name__=m_{name} {value}@1700000000000")
            })
        );
        assert_eq!(
            usual(r"fo\,bar\=b\ az,x\=\ b=\\a\,\=\q\  \\\a\ b\=\,=4.34 -345"),
            [r"x= b=\a,=\q ,db=base,__name__=fo,bar=b az_\\a b=, 4.34@-345000"]
        );
        assert_eq!(usual("m,db=own f=1"), ["db=own,__name__=m_f 1@99999"]);
        assert_eq!(usual(" f=1\n,a=b f=1"), ["db=base,__name__=f 1@99999", "a=b,db=base,__name__=f 1@99999"]);
        assert_eq!(usual("m f=-1.5e3 1700000000   "), ["db=base,__name__=m_f -1500@1700000000000"]);
        assert!(usual("# a comment\n  # another").is_empty());
    }

    #[test]
    fn names_and_times_are_made_as_asked() {
        let single = InfluxStyle { skip_single_field: true, ..InfluxStyle::default() };
        assert_eq!(
            read(&single, "m f=1\nm f=1,g=2"),
            ["db=base,__name__=m 1@99999", "db=base,__name__=m_f 1@99999", "db=base,__name__=m_g 2@99999"]
        );
        let bare =
            InfluxStyle { skip_measurement: true, database_label: "d".into(), trim_ms: 1000, ..InfluxStyle::default() };
        assert_eq!(read(&bare, "m f=1 1700000000123"), ["d=base,__name__=f 1@1700000000000"]);
        let dotted = InfluxStyle { separator: ".".into(), ..InfluxStyle::default() };
        assert_eq!(read(&dotted, "m f=1"), ["db=base,__name__=m.f 1@99999"]);
        for (name, time, want) in [
            ("ns", 1_700_000_000_123_456_789, 1_700_000_000_123),
            ("us", 1_700_000_000_123_456, 1_700_000_000_123),
            ("ms", 5, 5),
            ("s", 5, 5000),
            ("m", 5, 300_000),
            ("h", i64::MAX, i64::MAX),
            ("", 1_700_000_000_123_456, 1_700_000_000_123),
            ("", 1_700_000_000_123, 1_700_000_000_123),
            ("", 1_700_000_000, 1_700_000_000_000),
        ] {
            assert_eq!(Precision::named(name).milliseconds(time), want, "{name} {time}");
        }
        let mut seconds = Influx::new(&dotted, String::new(), Precision::named("s"), 99_999);
        assert_eq!(read_lines(&mut seconds, "m f=1"), ["__name__=m.f 1@99000"]);
    }

    #[test]
    fn broken_lines_are_refused() {
        for line in [
            "foo",
            "foo,bar=baz 1234",
            "foo,bar b=1",
            "foo,bar=123, b=1",
            "foo bar",
            "foo bar=",
            "foo bar=,baz=23 123",
            "foo bar=1, 123",
            "foo bar=\" 123",
            "foo bar=\"123",
            "foo =123",
            "foo bar=123 baz",
            "foo bar=1abci",
            "foo bar=-3u",
            "GET /foo HTTP/1.1",
            "foo bar=1 2 3",
        ] {
            let said = usual(line);
            assert!(said.len() == 1 && said[0].starts_with('!'), "{line}: {said:?}");
        }
    }

    #[test]
    fn a_line_that_unfolds_too_far_is_refused() {
        let fields: Vec<String> = (0..20_000).map(|n| format!("f{n}=1")).collect();
        let line = format!("m,t={} {}", "x".repeat(100_000), fields.join(","));
        let said = usual(&line);
        assert!(said.len() == 1 && said[0].contains("unfolds"), "{}", said.len());
    }
}
