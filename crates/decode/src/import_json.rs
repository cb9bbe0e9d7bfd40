//! `/api/v1/import`: JSON lines, as `/api/v1/export` gives them.
//!
//! ```text
//! {"metric":{"__name__":"up","job":"a"},"values":[1,0,null],"timestamps":[1700000000000,1700000015000,1700000030000]}
//! ```
//!
//! 1. A line is one series. Its keys may come in any order, others are skipped.
//! 2. `null` is the stale marker, as exports write it; `NaN`, `Infinity`, `+Inf` and `-Inf` are what they say, in quotes or, as older exporters write them, without.
//! 3. As many timestamps as values, or the line is refused as a whole.

use model::{STALE_NAN_BITS, Sample};

use crate::{
    Malformed,
    json::{Json, Kind},
    rows::{LineReader, Rows},
};

/// Reads the lines of an import.
#[derive(Debug, Default)]
pub struct ImportJson;

impl LineReader for ImportJson {
    fn read(&mut self, line: &[u8], rows: &mut Rows) -> Result<(), Malformed> {
        let mut json = Json::new(line)?;
        let start = rows.samples.len();
        let (mut values, mut times) = (None, None);
        let mut labelled = false;
        let mut members = json.object()?;
        while let Some(key) = json.key(&mut members)? {
            match &*key {
                "metric" if !labelled => {
                    labels(&mut json, rows)?;
                    labelled = true;
                }
                "values" if values.is_none() => {
                    values = Some(column(&mut json, rows, start, |json, sample| {
                        sample.value = value(json)?;
                        Ok(())
                    })?);
                }
                "timestamps" if times.is_none() => {
                    times = Some(column(&mut json, rows, start, |json, sample| {
                        sample.time = json.integer()?;
                        Ok(())
                    })?);
                }
                "metric" | "values" | "timestamps" => return json.wrong("a key that stands there twice"),
                _ => json.skip()?,
            }
        }
        json.end()?;
        match (labelled, values, times) {
            (true, Some(values), Some(times)) if values == times => rows.finish(),
            (true, Some(_), Some(_)) => json.wrong("not as many timestamps as values"),
            _ => json.wrong("metric, values or timestamps are missing"),
        }
    }
}

fn labels(json: &mut Json<'_>, rows: &mut Rows) -> Result<(), Malformed> {
    let mut members = json.object()?;
    while let Some(name) = json.key(&mut members)? {
        let value = json.string()?;
        rows.label(name.as_bytes(), value.as_bytes());
    }
    Ok(())
}

/// Reads an array into one half of the samples behind `start`; gives how many there are.
fn column(
    json: &mut Json<'_>,
    rows: &mut Rows,
    start: usize,
    set: fn(&mut Json<'_>, &mut Sample) -> Result<(), Malformed>,
) -> Result<usize, Malformed> {
    let mut members = json.array()?;
    let mut count = 0;
    while json.item(&mut members)? {
        if start + count == rows.samples.len() {
            rows.sample(0, 0.0);
        }
        let Some(sample) = rows.samples.get_mut(start + count) else {
            return json.wrong("more samples than are taken at once");
        };
        set(json, sample)?;
        count += 1;
    }
    Ok(count)
}

fn value(json: &mut Json<'_>) -> Result<f64, Malformed> {
    if let Some(value) = json.bare_word(special) {
        return Ok(value);
    }
    match json.peek()? {
        Kind::Number => json.float(),
        Kind::Null => json.null().map(|_| f64::from_bits(STALE_NAN_BITS)),
        Kind::String => {
            let text = json.string()?;
            special(&text).map_or_else(|| json.wrong("a text that is no value"), Ok)
        }
        _ => json.wrong("want a value"),
    }
}

fn special(text: &str) -> Option<f64> {
    match text {
        "null" | "Null" => Some(f64::from_bits(STALE_NAN_BITS)),
        "NaN" | "nan" => Some(f64::NAN),
        text => match text.strip_prefix(['-', '+']).unwrap_or(text) {
            "Infinity" | "infinity" | "Inf" | "inf" if text.starts_with('-') => Some(f64::NEG_INFINITY),
            "Infinity" | "infinity" | "Inf" | "inf" => Some(f64::INFINITY),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::read_lines;

    #[test]
    fn lines_become_series() {
        let text = r#"
            {"metric":{"__name__":"up","job":"a\n"},"values":[1,0.5,-1e300],"timestamps":[1,2,-3]}
            {"timestamps":[7, 8],"x":[{}],"values":["Infinity","-Inf"],"metric":{"a":"b","e":""}}
            {"metric":{"a":"b"},"values":[],"timestamps":[]}
        "#;
        let want = ["__name__=up,job=a\n 1@1 0.5@2 -1e300@-3", "a=b inf@7 -inf@8"];
        let want = want.map(|row| row.replace("-1e300", &(-1e300f64).to_string()));
        assert_eq!(read_lines(&mut ImportJson, text), want);
        let mut rows = Rows::default();
        let line = br#"{"metric":{"a":"b"},"values":[null,"NaN"],"timestamps":[1,2]}"#;
        ImportJson.read(line, &mut rows).expect("a good line");
        assert_eq!(rows.samples()[0].value.to_bits(), STALE_NAN_BITS);
        let bare = r#"{"metric":{"a":"b"},"values":[+Inf, -Inf,Infinity],"timestamps":[1,2,3]}"#;
        assert_eq!(read_lines(&mut ImportJson, bare), ["a=b inf@1 -inf@2 inf@3"]);
        let bare = r#"{"metric":{"a":"b"},"values":[NaN],"timestamps":[1]}"#;
        assert_eq!(read_lines(&mut ImportJson, bare), ["a=b NaN@1"]);
        assert!(rows.samples()[1].value.is_nan());
    }

    #[test]
    fn broken_lines_say_what_and_where() {
        for (line, want) in [
            (r#"{"metric":{"a":"b"},"values":[1],"timestamps":[1,2]}"#, "not as many timestamps as values"),
            (r#"{"metric":{"a":"b"},"values":[1,2],"timestamps":[1]}"#, "not as many timestamps as values"),
            (r#"{"metric":{"a":"b"},"values":[1]}"#, "are missing"),
            (r#"{"metric":{"a":1},"values":[1],"timestamps":[1]}"#, "want a JSON string at byte 15"),
            (r#"{"metric":{"a":"b"},"values":[true],"timestamps":[1]}"#, "want a value at byte 30"),
            (r#"{"metric":{"a":"b"},"values":[Nan],"timestamps":[1]}"#, "byte 30"),
            (r#"{"metric":{},"metric":{}}"#, "twice"),
            ("not json", "want a JSON object at byte 0"),
            ("{} x", "more behind"),
        ] {
            let said = read_lines(&mut ImportJson, line);
            assert!(said[0].starts_with("! ") && said[0].contains(want), "{line}: {said:?}");
        }
    }
}
