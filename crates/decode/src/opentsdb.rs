//! OpenTSDB's puts, as telnet lines and as JSON.
//!
//! ```text
//! put sys.cpu.user 1700000000 42.5 host=web01 cpu=0
//! [{"metric":"sys.cpu.user","timestamp":1700000000,"value":42.5,"tags":{"host":"web01"}}]
//! ```
//!
//! Times that fit 32 bits are seconds, longer ones milliseconds; without one, or with zero, the point came now. Of a JSON list, points that cannot be
//! read are counted and left out.

use crate::{
    Malformed,
    graphite::word,
    influx::trim,
    json::{Json, Kind},
    prometheus_text::float,
    rows::{LineReader, NAME, ReadError, Rows, Sink, Skipped},
};

/// Times below are seconds.
const SECONDS_BELOW: f64 = (1u64 << 32) as f64;

/// Reads puts.
#[derive(Debug, Clone, Copy)]
pub struct OpenTsdb {
    now: i64,
    trim_ms: i64,
}

impl OpenTsdb {
    /// A reader of puts that came at `now`; times are cut to multiples of `trim_ms`.
    pub fn new(now: i64, trim_ms: i64) -> Self {
        Self { now, trim_ms }
    }

    fn time(&self, number: f64) -> Option<i64> {
        let time = match number {
            0.0 => self.now,
            seconds if seconds.abs() < SECONDS_BELOW => (seconds * 1000.0) as i64,
            ms if ms.is_finite() => ms as i64,
            _ => return None,
        };
        Some(trim(time, self.trim_ms))
    }

    /// Reads a JSON body: a point, or a list of points.
    pub async fn read_json<S: Sink>(
        &self,
        body: &[u8],
        rows: &mut Rows,
        sink: &mut S,
    ) -> Result<Skipped, ReadError<S::Error>> {
        let mut json = Json::new(body)?;
        let mut skipped = Skipped::default();
        if json.peek()? == Kind::Object {
            self.point(&mut json, rows)?;
        } else {
            let mut points = json.array()?;
            while json.item(&mut points)? {
                skipped.attempt(&mut json, rows, |json, rows| self.point(json, rows))?;
                if rows.is_full() {
                    sink.flush(rows).await.map_err(ReadError::Sink)?;
                }
            }
        }
        json.end()?;
        Ok(skipped)
    }

    fn point(&self, json: &mut Json<'_>, rows: &mut Rows) -> Result<(), Malformed> {
        let (mut named, mut value, mut time) = (false, None, 0.0);
        let mut members = json.object()?;
        while let Some(key) = json.key(&mut members)? {
            match &*key {
                "metric" => {
                    let name = json.string()?;
                    rows.label(NAME, name.as_bytes());
                    named = !name.is_empty();
                }
                "timestamp" => time = json.float_or_text()?,
                "value" => value = Some(json.float_or_text()?),
                "tags" => tags(json, rows)?,
                _ => json.skip()?,
            }
        }
        let (true, Some(value)) = (named, value) else {
            return json.wrong("metric or value are missing");
        };
        let Some(time) = self.time(time) else {
            return json.wrong("broken timestamp");
        };
        rows.sample(time, value);
        rows.finish()
    }
}

fn tags(json: &mut Json<'_>, rows: &mut Rows) -> Result<(), Malformed> {
    if json.null()? {
        return Ok(());
    }
    let mut members = json.object()?;
    while let Some(name) = json.key(&mut members)? {
        match json.peek()? {
            Kind::Number => rows.label(name.as_bytes(), json.number()?.as_bytes()),
            _ => rows.label(name.as_bytes(), json.string()?.as_bytes()),
        }
    }
    Ok(())
}

impl LineReader for OpenTsdb {
    fn read(&mut self, line: &[u8], rows: &mut Rows) -> Result<(), Malformed> {
        let wrong = |what, rest: &[u8]| Malformed { what, at: line.len() - rest.len() };
        let mut rest = line;
        let mut next = || {
            let (found, behind) = word(rest.trim_ascii_start());
            rest = behind;
            found
        };
        let (put, name, time, value) = (next(), next(), next(), next());
        if put != b"put" {
            return Err(wrong("want put", line));
        }
        let time = float(time).and_then(|time| self.time(time)).ok_or(wrong("broken timestamp", rest))?;
        let value = float(value).ok_or(wrong("a value is missing", rest))?;
        if name.is_empty() {
            return Err(wrong("a metric name is missing", rest));
        }
        rows.label(NAME, name);
        loop {
            let (tag, behind) = word(rest.trim_ascii_start());
            if tag.is_empty() {
                break;
            }
            let equals = tag.iter().position(|byte| *byte == b'=').ok_or(wrong("want = in a tag", rest))?;
            rows.label(&tag[..equals], &tag[equals + 1..]);
            rest = behind;
        }
        rows.sample(time, value);
        rows.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::{Batches, read_lines, ready, show};

    const READER: OpenTsdb = OpenTsdb { now: 99_500, trim_ms: 1000 };

    #[test]
    fn lines_become_rows() {
        let text =
            "put m.a 1700000000 5 host=a dc=b\nput m.b 1700000000123 6e1 e=\nput  c 0  7\nput d 1700000000.5 1 a=b";
        let want = [
            "__name__=m.a,host=a,dc=b 5@1700000000000",
            "__name__=m.b 60@1700000000000",
            "__name__=c 7@99000",
            "__name__=d,a=b 1@1700000000000",
        ];
        assert_eq!(read_lines(&mut { READER }, text), want);
        for line in ["version", "put", "put a", "put a 1", "put a x 1", "put a 1 x", "put a 1 1 tag", "set a 1 1 a=b"] {
            let said = read_lines(&mut { READER }, line);
            assert!(said.len() == 1 && said[0].starts_with('!'), "{line}: {said:?}");
        }
    }

    fn read_json(body: &str) -> Result<(Vec<String>, Skipped), ReadError<()>> {
        let (mut rows, mut batches) = (Rows::default(), Batches::default());
        let skipped = ready(READER.read_json(body.as_bytes(), &mut rows, &mut batches))?;
        Ok((show(&rows), skipped))
    }

    #[test]
    fn json_becomes_rows() {
        let body = r#"[
            {"metric":"h.a","timestamp":1700000000,"value":5,"tags":{"x":"y","n":7}},
            {"metric":"h.b","timestamp":"1700000000123","value":"6.5","tags":null,"more":[1]},
            {"value":1},
            {"metric":"h.c","value":1, "tags":{"a":[]}},
            {"metric":"h.d","value":1}
        ]"#;
        let (shown, skipped) = read_json(body).expect("a good body");
        let want = ["__name__=h.a,x=y,n=7 5@1700000000000", "__name__=h.b 6.5@1700000000000", "__name__=h.d 1@99000"];
        assert_eq!(shown, want);
        assert_eq!(skipped.points, 2);
        let one = read_json(r#"{"metric":"m","timestamp":1,"value":2}"#).expect("a good body");
        assert_eq!(one.0, ["__name__=m 2@1000"]);
        for broken in ["", "1", "[1", r#"[{"metric":"#, r#"{"metric":"m"}"#, "[] x"] {
            assert!(read_json(broken).is_err(), "{broken}");
        }
    }
}
