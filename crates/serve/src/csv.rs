//! `/api/v1/export/csv`: a line per sample, with the fields that `format` names.
//!
//! A field is `__name__`, `__value__`, `__timestamp__` (with `:unix_s`, `:unix_ms`, `:unix_ns` or `:rfc3339` behind it), or the name of a label.

use basalt_http::{Gone, Params, Response};
use model::SeriesKey;
use storage_api::{SelectRequest, SeriesData};

use crate::{
    Server, args,
    asker::Asker,
    error::ApiError,
    number::{Layout, put_float, put_integer},
    packing::{Outgoing, Sink},
};

/// Fields of a line.
const FIELDS_MAX: usize = 1000;
/// Lines that are written between two looks at whether a chunk is full.
const LINES_PER_FLUSH: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Value,
    Time(TimeForm),
    Label(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeForm {
    Seconds,
    Milliseconds,
    Nanoseconds,
    Rfc3339,
}

impl Server {
    pub(crate) async fn export_csv(&self, asker: &Asker, params: &Params) -> Result<Response, ApiError> {
        let format = params.get("format").ok_or_else(|| ApiError::bad_request("missing argument format"))?;
        let fields = parse(format)?;
        let request = SelectRequest::raw(asker.tenant, args::selector(params)?, self.range(params)?);
        let answer = self.export_answer("text/csv; charset=utf-8");
        self.stream_raw(asker, request, answer, move |key, data, out| write_series(key, data, &fields, out)).await
    }
}

fn parse(format: &str) -> Result<Vec<Field>, ApiError> {
    let fields: Result<Vec<Field>, ApiError> = format.split(',').take(FIELDS_MAX + 1).map(parse_field).collect();
    let fields = fields?;
    if fields.len() > FIELDS_MAX {
        return Err(ApiError::bad_request(format!("argument format names more than {FIELDS_MAX} fields")));
    }
    Ok(fields)
}

fn parse_field(text: &str) -> Result<Field, ApiError> {
    let (name, form) = text.split_once(':').map_or((text, None), |(name, form)| (name, Some(form)));
    if name != "__timestamp__" {
        return Ok(if text == "__value__" { Field::Value } else { Field::Label(text.to_string()) });
    }
    Ok(Field::Time(match form {
        None | Some("unix_ms") => TimeForm::Milliseconds,
        Some("unix_s") => TimeForm::Seconds,
        Some("unix_ns") => TimeForm::Nanoseconds,
        Some("rfc3339") => TimeForm::Rfc3339,
        Some(other) => {
            let why = format!("unknown form {other:?} of __timestamp__: want unix_s, unix_ms, unix_ns or rfc3339");
            return Err(ApiError::bad_request(why));
        }
    }))
}

fn write_series(key: &SeriesKey, data: &SeriesData, fields: &[Field], out: &mut Outgoing) -> Result<(), Gone> {
    // What is the same on every line of the series is made once.
    let labels: Vec<Vec<u8>> = fields.iter().map(|field| label_text(key, field)).collect();
    for (line, (time, value)) in data.times.iter().zip(&data.values).enumerate() {
        let buffer = out.buffer();
        for (index, (field, label)) in fields.iter().zip(&labels).enumerate() {
            if index > 0 {
                buffer.push(b',');
            }
            match field {
                Field::Value => put_float(buffer, *value, Layout::Plain),
                Field::Time(form) => put_time(buffer, *time, *form),
                Field::Label(_) => buffer.extend_from_slice(label),
            }
        }
        buffer.push(b'\n');
        if line % LINES_PER_FLUSH == 0 {
            out.flush_if_full()?;
        }
    }
    out.flush_if_full()
}

fn label_text(key: &SeriesKey, field: &Field) -> Vec<u8> {
    let mut out = Vec::new();
    if let Field::Label(name) = field {
        put_text(&mut out, &key.label(name).unwrap_or_default());
    }
    out
}

fn put_time(out: &mut Vec<u8>, time: i64, form: TimeForm) {
    match form {
        TimeForm::Seconds => put_integer(out, time.div_euclid(1000)),
        TimeForm::Milliseconds => put_integer(out, time),
        TimeForm::Nanoseconds => put_integer(out, time.saturating_mul(1_000_000)),
        TimeForm::Rfc3339 => match jiff::Timestamp::from_millisecond(time) {
            Ok(timestamp) => out.extend_from_slice(timestamp.to_string().as_bytes()),
            Err(_) => put_integer(out, time),
        },
    }
}

/// In quotes where the text would not stay one field without them.
fn put_text(out: &mut Vec<u8>, text: &str) {
    if !text.contains(['"', ',', '\n', '\r']) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_forms() {
        let fields = parse("__name__,job,__value__,__timestamp__:unix_s,__timestamp__").expect("good fields");
        assert_eq!(
            fields,
            [
                Field::Label("__name__".into()),
                Field::Label("job".into()),
                Field::Value,
                Field::Time(TimeForm::Seconds),
                Field::Time(TimeForm::Milliseconds)
            ]
        );
        assert!(parse("__timestamp__:x").is_err());
        let text = |time, form| {
            let mut out = Vec::new();
            put_time(&mut out, time, form);
            String::from_utf8(out).expect("text")
        };
        assert_eq!(text(1_700_000_000_123, TimeForm::Rfc3339), "2023-11-14T22:13:20.123Z");
        assert_eq!(text(-1, TimeForm::Seconds), "-1");
        assert_eq!(text(1, TimeForm::Nanoseconds), "1000000");
    }

    #[test]
    fn commas_and_quotes_are_kept_inside_a_field() {
        for (text, want) in [("plain", "plain"), ("a,b", "\"a,b\""), ("say \"x\"", "\"say \"\"x\"\"\"")] {
            let mut out = Vec::new();
            put_text(&mut out, text);
            assert_eq!(out, want.as_bytes());
        }
    }
}
