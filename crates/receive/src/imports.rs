//! VictoriaMetrics' imports: JSON lines, comma-separated values, text exposition.

use basalt_http::{ParamError, Params, Request, Response, StatusCode, empty};
use decode::{
    csv::{Csv, CsvFormat},
    import_json::ImportJson,
    prometheus_text::PrometheusText,
    rows::{Duplicates, ExtraLabels, LineReader, PairLabels},
};

use crate::{
    Entered, Receiver,
    body::{check_method, extra_labels},
    pushgateway,
    rejection::Rejection,
    session::Session,
};

impl Receiver {
    pub(crate) async fn import_json(&self, entrance: Entered, request: Request) -> Result<Response, Rejection> {
        let extra = extra_labels(&request.query_params())?;
        self.take_lines(
            entrance,
            request,
            self.doors.line_bytes_max,
            extra,
            &mut ImportJson,
            empty(StatusCode::NO_CONTENT),
        )
        .await
    }

    pub(crate) async fn import_csv(&self, entrance: Entered, request: Request) -> Result<Response, Rejection> {
        let params = request.query_params();
        let extra = extra_labels(&params)?;
        let missing = || Rejection::new(StatusCode::BAD_REQUEST, "missing argument format");
        let format = CsvFormat::parse(params.get("format").ok_or_else(missing)?)?;
        let mut reader = Csv::new(format, self.clock.now_ms(), self.doors.csv_trim_ms);
        self.take_lines(entrance, request, self.doors.line_bytes_max, extra, &mut reader, empty(StatusCode::NO_CONTENT))
            .await
    }

    pub(crate) async fn import_prometheus(&self, entrance: Entered, request: Request) -> Result<Response, Rejection> {
        let params = request.query_params();
        let in_path = pushgateway::labels(request.path(), request.raw_path())?;
        // Clients of a push gateway know no other status.
        let status = if in_path.is_some() { StatusCode::OK } else { StatusCode::NO_CONTENT };
        let extra = in_path.unwrap_or_default().and(&extra_labels(&params)?)?;
        let mut reader = PrometheusText::new(self.time_of(&params)?);
        self.take_lines(entrance, request, self.doors.line_bytes_max, extra, &mut reader, empty(status)).await
    }

    /// Reads a request of lines under the extra labels that it names, and answers with `good`.
    pub(crate) async fn take_lines(
        &self,
        Entered { door, tenant }: Entered,
        mut request: Request,
        line_bytes_max: usize,
        extra: ExtraLabels,
        reader: &mut dyn LineReader,
        good: Response,
    ) -> Result<Response, Rejection> {
        check_method(&request)?;
        let own = (!extra.is_empty()).then(|| self.labels_with(extra));
        let mut session = Session::new(self, tenant, door.kind(), own.as_ref().unwrap_or(&self.labels.rows));
        self.read_lines(&mut request, line_bytes_max, reader, &mut session).await?;
        let taken = session.end().check()?;
        Ok(self.name_refused(&taken, door.protocol(), good))
    }

    /// How labels are read in a request that adds some.
    pub(crate) fn labels_with(&self, extra: ExtraLabels) -> PairLabels {
        PairLabels::new(self.labels.limits, 0, Duplicates::LastWins, extra)
    }

    /// The argument `timestamp` in milliseconds, or now.
    fn time_of(&self, params: &Params) -> Result<i64, Rejection> {
        let Some(text) = params.get("timestamp") else {
            return Ok(self.clock.now_ms());
        };
        let wrong = |_| ParamError { name: "timestamp", value: text.to_string(), want: "milliseconds".into() };
        Ok(text.parse().map_err(wrong)?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use basalt_http::header;

    use crate::testing::{ask, post, receiver, store, with};

    #[tokio::test]
    async fn lines_come_in_and_broken_ones_are_named() {
        let store = store(100, Ok(()));
        let receiver = receiver(&store);
        for (address, body, answer, rows) in [
            (
                "/api/v1/import?extra_label=x=y",
                "{\"metric\":{\"__name__\":\"a\"},\"values\":[1,2],\"timestamps\":[5,6]}\r\n\n{}\n",
                (204, "malformed=1"),
                vec!["0:0 __name__=a,x=y 1@5 2@6"],
            ),
            (
                "/insert/1/prometheus/api/v1/import/csv?format=1:metric:m,2:time:unix_s",
                "1,5\n2",
                (204, "malformed=1"),
                vec!["1:0 __name__=m 1@5000"],
            ),
            (
                "/api/v1/import/prometheus?timestamp=77",
                "a 1\nb 2 9",
                (204, ""),
                vec!["0:0 __name__=a 1@77", "0:0 __name__=b 2@9000"],
            ),
            (
                "/api/v1/import/prometheus/metrics/job/j/i/k",
                "# TYPE a gauge\na{i=\"own\"} 1",
                (200, ""),
                vec!["0:0 __name__=a,i=k,job=j 1@1800000000000", "0:0 a gauge"],
            ),
            ("/api/v1/import/prometheus", "", (204, ""), vec![]),
        ] {
            let (status, refused, why) = ask(&receiver, post(address, body)).await;
            assert_eq!((status, refused.as_str()), answer, "{address} {why}");
            assert_eq!(store.take(), rows, "{address}");
        }
        for (address, body, why) in [
            ("/api/v1/import", "not json\n", "line 1: want a JSON object at byte 0"),
            ("/api/v1/import?extra_label=x", "", "extra_label"),
            ("/api/v1/import/csv", "1", "missing argument format"),
            ("/api/v1/import/csv?format=1:x:y", "1", "unknown type"),
            ("/api/v1/import/prometheus?timestamp=x", "a 1", "timestamp"),
            ("/api/v1/import/prometheus/metrics/job", "a 1", "pairs"),
        ] {
            let (status, _, said) = ask(&receiver, post(address, body)).await;
            assert_eq!(status, 400, "{address}");
            assert!(said.contains(why), "{said}");
        }
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut stream = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        stream.write_all(body).expect("gzip packs everything");
        stream.finish().expect("gzip ends")
    }

    #[tokio::test]
    async fn a_body_of_any_length_comes_through_in_batches() {
        let store = store(1000, Ok(()));
        let receiver = receiver(&store);
        let lines: Vec<String> = (0..100_000).map(|n| format!("metric_{n}{{job=\"a\"}} {n} 5")).collect();
        let body = lines.join("\n");
        let snappy = snap::raw::Encoder::new()
            .compress_vec(lines[..300].join("\n").as_bytes())
            .expect("snappy packs everything");
        for (packing, packed, rows) in [
            ("gzip", gzip(body.as_bytes()), lines.len()),
            ("identity", body.clone().into_bytes(), lines.len()),
            ("snappy", snappy, 300),
        ] {
            let request = with(post("/api/v1/import/prometheus", packed), header::CONTENT_ENCODING, packing);
            let (status, _, why) = ask(&receiver, request).await;
            assert_eq!(status, 204, "{packing}: {why}");
            assert_eq!(store.take().len(), rows, "{packing}");
        }
        let cut = gzip(body.as_bytes());
        let cut = with(post("/api/v1/import/prometheus", &cut[..cut.len() / 2]), header::CONTENT_ENCODING, "gzip");
        assert_eq!(ask(&receiver, cut).await.0, 400);
        let unknown = with(post("/api/v1/import/prometheus", "a 1"), header::CONTENT_ENCODING, "br");
        assert_eq!(ask(&receiver, unknown).await.0, 415);
        let bomb =
            with(post("/api/v1/import/prometheus", gzip(&vec![b'x'; 100 << 20])), header::CONTENT_ENCODING, "gzip");
        let (status, _, why) = ask(&receiver, bomb).await;
        assert_eq!((status, why.contains("longer than the allowed 1048576")), (400, true), "{why}");
    }
}
