//! Influx line protocol over HTTP, as its clients of versions 1 and 2 speak it.

use basalt_http::{Request, Response, StatusCode, empty, json};
use decode::influx::{Influx, Precision};

use crate::{Entered, Receiver, body::extra_labels, rejection::Rejection};

/// The database that is there when no names are given.
const ANY_DATABASE: &str = "_internal";

impl Receiver {
    pub(crate) async fn influx_write(&self, entrance: Entered, request: Request) -> Result<Response, Rejection> {
        let params = request.query_params();
        let extra = extra_labels(&params)?;
        let database = params.get("db").unwrap_or("").to_string();
        let precision = Precision::named(params.get("precision").unwrap_or(""));
        let mut reader = Influx::new(&self.doors.influx, database, precision, self.clock.now_ms());
        let line_bytes_max = self.doors.influx_line_bytes_max;
        self.take_lines(entrance, request, line_bytes_max, extra, &mut reader, empty(StatusCode::NO_CONTENT)).await
    }

    /// Answers every query as `show databases`: clients ask whether theirs is there before they write.
    pub(crate) fn influx_query(&self) -> Response {
        let mut names: Vec<&str> = self.doors.influx_databases.iter().map(String::as_str).collect();
        if names.is_empty() {
            names.push(ANY_DATABASE);
        }
        let quoted = |name: &&str| format!("[\"{}\"]", name.replace('\\', "\\\\").replace('"', "\\\""));
        let values = names.iter().map(quoted).collect::<Vec<_>>().join(",");
        let series = format!(r#"{{"name":"databases","columns":["name"],"values":[{values}]}}"#);
        json(StatusCode::OK, format!(r#"{{"results":[{{"statement_id":0,"series":[{series}]}}]}}"#))
    }
}

/// Says that all is well, as clients of version 2 want it.
pub fn health() -> Response {
    json(StatusCode::OK, r#"{"name":"influxdb","message":"ready for queries and writes","status":"pass","checks":[]}"#)
}

#[cfg(test)]
mod tests {
    use crate::testing::{ask, post, receiver, store};

    #[tokio::test]
    async fn lines_come_in_by_all_paths() {
        let store = store(100, Ok(()));
        let receiver = receiver(&store);
        for path in ["/write", "/api/v2/write", "/influx/write", "/influx/api/v2/write", "/insert/0/influx/write"] {
            let address = format!("{path}?db=d&precision=s&extra_label=x=y");
            let (status, refused, why) = ask(&receiver, post(&address, "m,t=a f=1,g=2 5\nbad\n")).await;
            assert_eq!((status, refused.as_str()), (204, "malformed=1"), "{why}");
            let want = ["0:0 __name__=m_f,db=d,t=a,x=y 1@5000", "0:0 __name__=m_g,db=d,t=a,x=y 2@5000"];
            assert_eq!(store.take(), want, "{path}");
        }
        let (status, _, why) = ask(&receiver, post("/write", "bad\n")).await;
        assert!(status == 400 && why.contains("line 1: a line without fields"), "{status} {why}");
    }

    #[tokio::test]
    async fn questions_before_writing_are_answered() {
        let receiver = receiver(&store(0, Ok(())));
        let (status, _, body) = ask(&receiver, post("/query?q=show+databases", "")).await;
        assert_eq!(status, 200);
        assert!(body.contains(r#""values":[["_internal"]]"#), "{body}");
        assert!(ask(&receiver, post("/influx/health", "")).await.2.contains(r#""status":"pass""#));
    }
}
