//! `/federate`: the newest sample of every series that `match[]` means, in the text format that Prometheus scrapes.
//!
//! 1. The newest sample is looked for back to `max_lookback` (five minutes) before now; it keeps its own time.
//! 2. A series whose newest sample is a stale marker is gone, and is left out; so the scraper sees it go.
//! 3. Names that the scraper may not know are written as it asks for by `Accept` ([`Escaping`]).

use basalt_http::{Gone, Params, Response};
use model::{METRIC_NAME, SeriesKey, TimeRange};
use storage_api::{SelectRequest, SeriesData};

use crate::{
    Server, args,
    asker::Asker,
    error::ApiError,
    names::{Escaping, is_plain},
    number::{Layout, put_float, put_integer},
    packing::{Outgoing, Sink},
    raw::RawAnswer,
    time,
};

/// How far back a sample may lie if the request does not say.
const LOOKBACK_MS: i64 = 5 * 60_000;

impl Server {
    pub(crate) async fn federate(&self, asker: &Asker, params: &Params) -> Result<Response, ApiError> {
        let selector = args::selector(params)?;
        let lookback = match params.get("max_lookback") {
            Some(text) => time::parse_duration(text)
                .filter(|ms| *ms > 0)
                .ok_or_else(|| ApiError::bad_request(format!("cannot parse argument max_lookback={text:?}")))?,
            None => self.options.queries.lookback.map_or(LOOKBACK_MS, |lookback| lookback.as_millis() as i64),
        };
        let end = self.time(params, "end")?.unwrap_or(asker.now_ms);
        let start = self.time(params, "start")?.unwrap_or_else(|| end.saturating_sub(lookback));
        if start > end {
            return Err(ApiError::bad_request(format!("start ({start}) lies behind end ({end})")));
        }
        let escaping = Escaping::accepted(&asker.accept);
        let request = SelectRequest {
            one_per_timestamp: true,
            ..SelectRequest::raw(asker.tenant, selector, TimeRange::new(start, end))
        };
        let answer = RawAnswer {
            series_max: self.options.federate_series_max,
            time_max: self.options.queries.time_max,
            media_type: escaping.media_type(),
            prologue: Vec::new(),
            epilogue: b"",
        };
        self.stream_raw(asker, request, answer, move |key, data, out| write_series(key, data, escaping, out)).await
    }
}

fn write_series(key: &SeriesKey, data: &SeriesData, escaping: Escaping, out: &mut Outgoing) -> Result<(), Gone> {
    let (Some(time), Some(value)) = (data.times.last(), data.values.last()) else {
        return Ok(());
    };
    if value.is_nan() {
        return Ok(());
    }
    put_series(out.buffer(), key, escaping);
    out.buffer().push(b' ');
    put_float(out.buffer(), *value, Layout::Plain);
    out.buffer().push(b' ');
    put_integer(out.buffer(), *time);
    out.buffer().push(b'\n');
    out.flush_if_full()
}

/// `name{label="value"}`, or `{"odd name","odd label"="value"}`.
pub(crate) fn put_series(out: &mut Vec<u8>, key: &SeriesKey, escaping: Escaping) {
    let name = escaping.escape(&key.label(METRIC_NAME).unwrap_or_default());
    let name_inside = !name.is_empty() && !is_plain(&name);
    if !name_inside {
        out.extend_from_slice(name.as_bytes());
    }
    let mut separator = b'{';
    if name_inside {
        out.push(separator);
        put_quoted(out, &name);
        separator = b',';
    }
    for (label, value) in key.labels().filter(|(label, _)| label != METRIC_NAME) {
        out.push(separator);
        separator = b',';
        let label = escaping.escape(&label);
        if is_plain(&label) {
            out.extend_from_slice(label.as_bytes());
        } else {
            put_quoted(out, &label);
        }
        out.push(b'=');
        put_quoted(out, &value);
    }
    if separator == b',' {
        out.push(b'}');
    }
}

fn put_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            byte => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use model::{KeyBuilder, Tenant};

    use super::*;

    fn shown(labels: &[(&str, &str)], escaping: Escaping) -> String {
        let mut builder = KeyBuilder::new();
        labels.iter().for_each(|(name, value)| builder.push(name, value));
        let mut out = Vec::new();
        put_series(&mut out, &builder.build(Tenant::DEFAULT).expect("a series"), escaping);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn series_are_written_as_the_scraper_knows_them() {
        let plain = [("__name__", "up"), ("job", "a\"b\\c\nd")];
        assert_eq!(shown(&plain, Escaping::Underscores), r#"up{job="a\"b\\c\nd"}"#);
        assert_eq!(shown(&plain[..1], Escaping::AsTheyAre), "up");
        assert_eq!(shown(&plain[1..], Escaping::AsTheyAre), r#"{job="a\"b\\c\nd"}"#);
        let odd = [("__name__", "http.up"), ("a.b", "c"), ("d", "e")];
        assert_eq!(shown(&odd, Escaping::AsTheyAre), r#"{"http.up","a.b"="c",d="e"}"#);
        assert_eq!(shown(&odd, Escaping::Underscores), r#"http_up{a_b="c",d="e"}"#);
        assert_eq!(shown(&odd, Escaping::Values), r#"U__http_2e_up{U__a_2e_b="c",d="e"}"#);
    }
}
