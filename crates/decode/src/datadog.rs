//! Datadog's series, versions 1 and 2, and sketches.
//!
//! ```text
//! v1  {"series":[{"metric":"a.b","points":[[1700000000,1.5]],"host":"h","device":"d","tags":["env:prod"]}]}
//! v2  {"series":[{"metric":"a.b","points":[{"timestamp":1700000000,"value":1.5}],
//!      "resources":[{"type":"host","name":"h"}],"source_type_name":"s","tags":["env:prod"]}]}
//! ```
//!
//! 1. A series is one row with all its points. Times are seconds; without one, or with zero, the point came now.
//! 2. Tags are split at their first colon; one without has the value `no_label_value`. A tag `host` makes way for the series' own host.
//! 3. Names lose what Datadog does not allow in them, if that is wanted.
//! 4. Agents send version 2 in protobuf: series 1; of a series 1 resources, 2 metric, 3 tags, 4 points, 7 source type.

mod protobuf;
mod sketches;

use crate::{
    Malformed,
    json::{Json, Kind},
    rows::{NAME, ReadError, Rows, Sink, Skipped},
};

const SECOND_MS: f64 = 1000.0;
const NO_VALUE: &[u8] = b"no_label_value";

/// Which API a body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `/api/v1/series`
    One,
    /// `/api/v2/series`
    Two,
}

/// Reads bodies.
#[derive(Debug, Clone, Copy)]
pub struct Datadog {
    version: Version,
    now: i64,
    sanitize: bool,
}

impl Datadog {
    /// A reader of a body that came at `now`; `sanitize` says whether names lose what Datadog does not allow in them.
    pub fn new(version: Version, now: i64, sanitize: bool) -> Self {
        Self { version, now, sanitize }
    }

    /// Reads a JSON body. Points and series that cannot be read are counted and left out.
    pub async fn read_json<S: Sink>(
        &self,
        body: &[u8],
        rows: &mut Rows,
        sink: &mut S,
    ) -> Result<Skipped, ReadError<S::Error>> {
        let mut json = Json::new(body)?;
        let mut skipped = Skipped::default();
        let mut members = json.object()?;
        while let Some(key) = json.key(&mut members)? {
            if json.null()? {
                continue;
            }
            if key != "series" {
                json.skip()?;
                continue;
            }
            let mut series = json.array()?;
            while json.item(&mut series)? {
                let mut points = Skipped::default();
                skipped.attempt(&mut json, rows, |json, rows| self.series(json, rows, &mut points))?;
                skipped.merge(points);
                if rows.is_full() {
                    sink.flush(rows).await.map_err(ReadError::Sink)?;
                }
            }
        }
        json.end()?;
        Ok(skipped)
    }

    fn series(&self, json: &mut Json<'_>, rows: &mut Rows, skipped: &mut Skipped) -> Result<(), Malformed> {
        let mut named = false;
        let mut members = json.object()?;
        while let Some(key) = json.key(&mut members)? {
            if json.null()? {
                continue;
            }
            match &*key {
                "metric" => {
                    let name = json.string()?;
                    named = self.name(name.as_bytes(), rows);
                }
                "points" => self.points(json, rows, skipped)?,
                "host" | "device" if self.version == Version::One => {
                    let value = json.string()?;
                    rows.label(key.as_bytes(), value.as_bytes());
                }
                "source_type_name" if self.version == Version::Two => {
                    let value = json.string()?;
                    rows.label(key.as_bytes(), value.as_bytes());
                }
                "tags" => {
                    let mut tags = json.array()?;
                    while json.item(&mut tags)? {
                        tag(json.string()?.as_bytes(), rows);
                    }
                }
                "resources" if self.version == Version::Two => {
                    let mut resources = json.array()?;
                    while json.item(&mut resources)? {
                        resource(json, rows)?;
                    }
                }
                _ => json.skip()?,
            }
        }
        if !named {
            return json.wrong("a series without a metric");
        }
        rows.finish()
    }

    fn points(&self, json: &mut Json<'_>, rows: &mut Rows, skipped: &mut Skipped) -> Result<(), Malformed> {
        let mut points = json.array()?;
        while json.item(&mut points)? {
            let point = skipped.attempt_value(json, |json| match self.version {
                Version::One => pair(json),
                Version::Two => point(json),
            })?;
            if let Some((time, value)) = point {
                self.sample(time, value, rows);
            }
        }
        Ok(())
    }

    fn sample(&self, seconds: f64, value: f64, rows: &mut Rows) {
        let time = if seconds > 0.0 { (seconds * SECOND_MS) as i64 } else { self.now };
        rows.sample(time, value);
    }

    /// Adds the metric's name; false if nothing is left of it.
    fn name(&self, name: &[u8], rows: &mut Rows) -> bool {
        if !self.sanitize {
            rows.label(NAME, name);
            return !name.is_empty();
        }
        let name = sanitized(name);
        rows.label(NAME, &name);
        !name.is_empty()
    }
}

/// `[time, value]`
fn pair(json: &mut Json<'_>) -> Result<(f64, f64), Malformed> {
    let mut halves = json.array()?;
    let mut read = [0.0; 2];
    let mut count = 0;
    while json.item(&mut halves)? {
        let number = json.float_or_text()?;
        if let Some(half) = read.get_mut(count) {
            *half = number;
        }
        count += 1;
    }
    if count == 2 { Ok((read[0], read[1])) } else { json.wrong("a point that is no pair of time and value") }
}

/// `{"timestamp":…,"value":…}`
fn point(json: &mut Json<'_>) -> Result<(f64, f64), Malformed> {
    let (mut time, mut value) = (0.0, None);
    let mut members = json.object()?;
    while let Some(key) = json.key(&mut members)? {
        match &*key {
            "timestamp" if json.peek()? != Kind::Null => time = json.float_or_text()?,
            "value" if json.peek()? != Kind::Null => value = Some(json.float_or_text()?),
            _ => json.skip()?,
        }
    }
    value.map_or_else(|| json.wrong("a point without a value"), |value| Ok((time, value)))
}

/// `{"type":"host","name":"h"}` becomes a label of the type's name.
fn resource(json: &mut Json<'_>, rows: &mut Rows) -> Result<(), Malformed> {
    let (mut kind, mut name) = (Default::default(), Default::default());
    let mut members = json.object()?;
    while let Some(key) = json.key(&mut members)? {
        match &*key {
            "type" => kind = json.string()?,
            "name" => name = json.string()?,
            _ => json.skip()?,
        }
    }
    if !kind.is_empty() {
        rows.label(kind.as_bytes(), name.as_bytes());
    }
    Ok(())
}

/// Adds a tag as a label.
fn tag(text: &[u8], rows: &mut Rows) {
    let (name, value) = match text.iter().position(|byte| *byte == b':') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, NO_VALUE),
    };
    match name {
        b"" => {}
        b"host" => rows.label(b"exported_host", value),
        name => rows.label(name, value),
    }
}

/// A name of letters, digits, dots and single underscores, none of which stand beside a dot.
fn sanitized(name: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'.' => {
                if out.last() == Some(&b'_') {
                    out.pop();
                }
                out.push(b'.');
            }
            byte if byte.is_ascii_alphanumeric() => out.push(*byte),
            // What is not allowed counts as an underscore, of which one is enough, and none behind a dot.
            _ if matches!(out.last(), Some(b'_' | b'.')) => {}
            _ => out.push(b'_'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::{Batches, ready, show};

    fn read(version: Version, body: &str) -> Result<(Vec<String>, u64), ReadError<()>> {
        let (mut rows, mut batches) = (Rows::default(), Batches::default());
        let reader = Datadog::new(version, 99, true);
        let skipped = ready(reader.read_json(body.as_bytes(), &mut rows, &mut batches))?;
        Ok((show(&rows), skipped.points))
    }

    #[test]
    fn series_of_version_1() {
        let body = r#"{"x":null,"series":[
            {"metric":"sys.load!1","points":[[1700000000,1.5],[1700000010.5,"2"],[0,3]],"host":"h","device":"d","interval":null,
             "tags":["env:prod","bare","host:own","a:b:c",":x"],"type":"rate"},
            {"points":[[1,2]]},
            {"metric":"odd","points":[[1]]},
            {"tags":null,"points":[[1,2]],"metric":"m"}
        ]}"#;
        let (rows, skipped) = read(Version::One, body).expect("a good body");
        assert_eq!(
            rows,
            [
                "__name__=sys.load_1,host=h,device=d,env=prod,bare=no_label_value,exported_host=own,a=b:c \
                 1.5@1700000000000 2@1700000010500 3@99",
                "__name__=m 2@1000"
            ]
        );
        assert_eq!(skipped, 2);
        for broken in ["", "[]", "{", r#"{"series":[}"#, r#"{"series":{}}"#] {
            assert!(read(Version::One, broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn series_of_version_2() {
        let body = r#"{"series":[{"metric":"m","type":0,"points":[{"timestamp":1700000000,"value":0.7},{"value":1}],
            "resources":[{"name":"h","type":"host"},{"name":"x"}],"source_type_name":"s","tags":["a:b"],"unit":"u"}]}"#;
        let (rows, skipped) = read(Version::Two, body).expect("a good body");
        assert_eq!(rows, ["__name__=m,host=h,source_type_name=s,a=b 0.7@1700000000000 1@99"]);
        assert_eq!(skipped, 0);
    }

    #[test]
    fn points_that_cannot_be_read_are_left_out() {
        let body = r#"{"series":[{"metric":"m","points":[[1,1],[2,2],[3,"x"],[4,4],[5,null],[6],7,[8,8]]}]}"#;
        let (rows, skipped) = read(Version::One, body).expect("a good body");
        assert_eq!((rows, skipped), (vec!["__name__=m 1@1000 2@2000 4@4000 8@8000".to_string()], 4));
        let body = r#"{"series":[{"points":[{"timestamp":1,"value":1},{"timestamp":2,"value":null},{"timestamp":"x","value":3},
            {"timestamp":4,"value":4}],"metric":"m"}]}"#;
        let (rows, skipped) = read(Version::Two, body).expect("a good body");
        assert_eq!((rows, skipped), (vec!["__name__=m 1@1000 4@4000".to_string()], 2));
        assert!(read(Version::One, r#"{"series":[{"metric":"m","points":[[1,1],[2,}]}]}"#).is_err());
    }

    #[test]
    fn names_become_those_of_datadog() {
        for (name, want) in [
            ("before.dot.metric!.name", "before.dot.metric.name"),
            ("after.dot.metric.!name", "after.dot.metric.name"),
            ("in.the.middle.met!ric.name", "in.the.middle.met_ric.name"),
            ("many.consecutive.met!!!!ric!!.!!name", "many.consecutive.met_ric.name"),
            ("how.about.underscores_.!_metric!_!.__!!name", "how.about.underscores.metric.name"),
        ] {
            assert_eq!(String::from_utf8_lossy(&sanitized(name.as_bytes())), want);
        }
    }
}
