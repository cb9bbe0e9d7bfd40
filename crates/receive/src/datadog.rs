//! Datadog's agents and clients.

use basalt_http::{Request, Response, StatusCode, empty, header, json};
use decode::{datadog::Datadog, rows::Rows};

use crate::{Entered, Receiver, STATUS_OK, rejection::Rejection, session::Session};

pub use decode::datadog::Version;

impl Receiver {
    pub(crate) async fn datadog_series(
        &self,
        entered: Entered,
        version: Version,
        request: Request,
    ) -> Result<Response, Rejection> {
        let reader = Datadog::new(version, self.clock.now_ms(), self.doors.datadog_sanitize);
        let is_protobuf = request.header(header::CONTENT_TYPE).is_some_and(|kind| kind.contains("protobuf"));
        let read = async |body: &[u8], rows: &mut Rows, session: &mut Session<'_>| match version {
            Version::Two if is_protobuf => reader.read_protobuf(body, rows, session).await,
            _ => reader.read_json(body, rows, session).await,
        };
        let answer = json(StatusCode::ACCEPTED, STATUS_OK);
        self.take_whole(entered, request, self.doors.datadog_bytes_max, read, answer).await
    }

    /// Sketches come beside series, always in protobuf.
    pub(crate) async fn datadog_sketches(&self, entered: Entered, request: Request) -> Result<Response, Rejection> {
        let reader = Datadog::new(Version::Two, self.clock.now_ms(), self.doors.datadog_sanitize);
        let read = async |body: &[u8], rows: &mut Rows, session: &mut Session<'_>| {
            reader.read_sketches(body, rows, session).await
        };
        self.take_whole(entered, request, self.doors.datadog_bytes_max, read, empty(StatusCode::ACCEPTED)).await
    }
}

#[cfg(test)]
mod tests {
    use basalt_http::header;

    use crate::testing::{ask, post, receiver, store, with};

    #[tokio::test]
    async fn agents_are_answered() {
        let store = store(100, Ok(()));
        let receiver = receiver(&store);
        let body = r#"{"series":[{"metric":"m","points":[[5,1]],"host":"h"},{"points":[]}]}"#;
        let ok = r#"{"status":"ok"}"#.to_string();
        let answer = ask(&receiver, post("/insert/4/datadog/api/v1/series?extra_label=x=y", body)).await;
        assert_eq!(answer, (202, "malformed=1".into(), ok.clone()));
        assert_eq!(store.take(), ["4:0 __name__=m,host=h,x=y 1@5000"]);
        let gap = r#"{"series":[{"metric":"m","points":[[5,1],[6,null]]}]}"#;
        assert_eq!(ask(&receiver, post("/datadog/api/v1/series", gap)).await, (202, "malformed=1".into(), ok.clone()));
        assert_eq!(store.take(), ["0:0 __name__=m 1@5000"]);
        let body = r#"{"series":[{"metric":"m","points":[{"timestamp":5,"value":1}]}]}"#;
        assert_eq!(ask(&receiver, post("/datadog/api/v2/series/", body)).await, (202, String::new(), ok.clone()));
        let protobuf = with(
            post("/datadog/api/v2/series", vec![0x0a, 2, 0x12, 0]),
            header::CONTENT_TYPE,
            "application/x-protobuf",
        );
        assert_eq!(ask(&receiver, protobuf).await.0, 400, "nothing in it has a name");
        assert_eq!(store.take(), ["0:0 __name__=m 1@5000"]);
        let dogsketch = [&[8, 7, 16, 1, 0x19][..], &4.0f64.to_le_bytes(), &[0x21], &4.0f64.to_le_bytes()].concat();
        let sketch = [&[0x0a, 1, b's', 0x3a, dogsketch.len() as u8][..], &dogsketch].concat();
        let body = [&[0x0a, sketch.len() as u8][..], &sketch].concat();
        let sketches = ask(&receiver, post("/datadog/api/beta/sketches?extra_label=x=y", body)).await;
        assert_eq!(sketches, (202, String::new(), String::new()));
        let rows = store.take();
        assert_eq!((rows.len(), rows[4].as_str()), (7, "0:0 __name__=s,quantile=0.99,x=y 4@7000"));
        assert_eq!(ask(&receiver, post("/datadog/api/beta/sketches", vec![0x0a, 9])).await.0, 400);
        for (path, answer) in [
            ("/datadog/api/v1/validate", (200, r#"{"valid":true}"#.to_string())),
            ("/datadog/api/v1/check_run", (202, ok)),
            ("/datadog/intake/", (200, "{}".to_string())),
            ("/datadog/api/v1/metadata", (200, "{}".to_string())),
        ] {
            let (status, _, body) = ask(&receiver, post(path, "")).await;
            assert_eq!((status, body), answer, "{path}");
        }
        assert_eq!(ask(&receiver, post("/datadog/api/v1/series", "{")).await.0, 400);
    }
}
