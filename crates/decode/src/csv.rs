//! `/api/v1/import/csv`: comma-separated values, with a format that says what each column is.
//!
//! ```text
//! format=2:metric:ask,3:metric:bid,1:label:ticker,4:time:rfc3339
//! GOOG,1.23,4.56,2026-11-20T10:00:00Z
//! ```
//!
//! 1. [`CsvFormat`] names for each column, counted from 1, a metric, a label, or the time.
//! 2. A line becomes one row for each metric column that is not empty, with all labels.
//! 3. Fields may be in double or single quotes; a doubled quote stands for one.

mod format;
mod layout;

use std::borrow::Cow;

use crate::{
    Malformed,
    influx::trim,
    prometheus_text::float,
    rows::{LineReader, NAME, Rows},
};

pub use format::{CsvFormat, CsvFormatError};

use format::Column;

/// Reads lines of a format.
#[derive(Debug)]
pub struct Csv {
    format: CsvFormat,
    default_time: i64,
    trim_ms: i64,
    /// Values of a line by the number of their column.
    values: Vec<(usize, f64)>,
}

impl Csv {
    /// A reader of lines that came at `default_time`; times are cut to multiples of `trim_ms`.
    pub fn new(format: CsvFormat, default_time: i64, trim_ms: i64) -> Self {
        Self { format, default_time, trim_ms, values: Vec::new() }
    }
}

impl LineReader for Csv {
    fn read(&mut self, line: &[u8], rows: &mut Rows) -> Result<(), Malformed> {
        self.values.clear();
        let mut time = self.default_time;
        let mut fields = Fields { line: line.trim_ascii_end(), at: 0, ended: false };
        for (number, column) in self.format.columns.iter().enumerate() {
            let at = fields.at;
            let Some(field) = fields.next()? else {
                return Err(Malformed { what: "fewer columns than the format names", at });
            };
            match column {
                Column::Skip => {}
                Column::Label(name) => rows.label(name.as_bytes(), &field),
                Column::Time(form) => {
                    let parsed = std::str::from_utf8(&field).ok().and_then(|text| form.parse(text.trim()));
                    time = parsed.ok_or(Malformed { what: "a time that is not of the format", at })?;
                }
                Column::Metric(_) if field.trim_ascii().is_empty() => {}
                Column::Metric(_) => {
                    let value = float(field.trim_ascii()).ok_or(Malformed { what: "a value that is no number", at })?;
                    self.values.push((number, value));
                }
            }
        }
        let time = trim(time, self.trim_ms);
        let labels = rows.prefix();
        for (number, value) in &self.values {
            if let Column::Metric(name) = &self.format.columns[*number] {
                rows.label(NAME, name.as_bytes());
                rows.repeat(labels.clone());
                rows.sample(time, *value);
                rows.finish()?;
            }
        }
        Ok(())
    }
}

struct Fields<'a> {
    line: &'a [u8],
    at: usize,
    ended: bool,
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<Cow<'a, [u8]>>, Malformed> {
        if self.ended {
            return Ok(None);
        }
        let field = match self.line.get(self.at) {
            Some(quote @ (b'"' | b'\'')) => self.quoted(*quote)?,
            _ => {
                let rest = &self.line[self.at..];
                let len = memchr::memchr(b',', rest).unwrap_or(rest.len());
                self.at += len;
                Cow::Borrowed(&rest[..len])
            }
        };
        match self.line.get(self.at) {
            Some(b',') => self.at += 1,
            None => self.ended = true,
            Some(_) => return Err(Malformed { what: "want a comma behind a quoted field", at: self.at }),
        }
        Ok(Some(field))
    }

    fn quoted(&mut self, quote: u8) -> Result<Cow<'a, [u8]>, Malformed> {
        let mut start = self.at + 1;
        let mut owned: Option<Vec<u8>> = None;
        loop {
            let Some(len) = memchr::memchr(quote, &self.line[start..]) else {
                return Err(Malformed { what: "a quoted field without end", at: self.at });
            };
            let piece = &self.line[start..start + len];
            let end = start + len + 1;
            if self.line.get(end) != Some(&quote) {
                self.at = end;
                return Ok(match owned {
                    None => Cow::Borrowed(piece),
                    Some(mut all) => {
                        all.extend_from_slice(piece);
                        Cow::Owned(all)
                    }
                });
            }
            let all = owned.get_or_insert_default();
            all.extend_from_slice(piece);
            all.push(quote);
            start = end + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::read_lines;

    fn read(format: &str, text: &str) -> Vec<String> {
        read_lines(&mut Csv::new(CsvFormat::parse(format).expect("a good format"), 99, 1), text)
    }

    #[test]
    fn columns_become_rows() {
        assert_eq!(read("1:metric:foo", "123\n123,456,x"), ["__name__=foo 123@99", "__name__=foo 123@99"]);
        assert_eq!(
            read("1:metric:foo,2:time:unix_s,3:label:foo,4:label:bar", "123,456,xxx,"),
            ["__name__=foo,foo=xxx 123@456000"]
        );
        assert_eq!(
            read(
                "2:metric:bar,1:metric:foo,3:label:foo,4:label:bar,5:time:custom:2006-01-02 15:04:05.999Z",
                "\"2.34\",5.6,\"foo\"\",bar\",'a''a',2015-08-10 20:04:40.123Z"
            ),
            [
                "__name__=foo,foo=foo\",bar,bar=a'a 2.34@1439237080123",
                "__name__=bar,foo=foo\",bar,bar=a'a 5.6@1439237080123"
            ]
        );
        assert_eq!(
            read("2:metric:m,1:time:rfc3339", "2026-11-20T10:00:00.5Z,\n2026-11-20T10:00:00+01:00,1"),
            ["__name__=m 1@1795165200000"]
        );
        assert_eq!(
            read("1:metric:m,2:time:unix_ns,3:label:x", "1,1700000000123456789,"),
            ["__name__=m 1@1700000000123"]
        );
        assert_eq!(read("1:metric:m,2:time:unix_ms", "1,1700000000123"), ["__name__=m 1@1700000000123"]);
    }

    #[test]
    fn broken_lines_are_refused() {
        for (format, line) in [
            ("1:metric:foo,2:time:rfc3339", "234,foobar"),
            ("3:metric:aaa", "123,456"),
            ("1:metric:m", "x"),
            ("1:metric:m,2:label:l", "1,\"x"),
            ("1:metric:m,2:label:l", "1,\"x\"y"),
            ("1:metric:m,2:time:unix_s", "1,x"),
        ] {
            let said = read(format, line);
            assert!(said.len() == 1 && said[0].starts_with('!'), "{line}: {said:?}");
        }
    }
}
