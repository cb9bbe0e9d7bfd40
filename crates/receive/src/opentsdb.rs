//! OpenTSDB's puts over HTTP.

use basalt_http::{Request, Response, StatusCode, empty};
use decode::{opentsdb::OpenTsdb, rows::Rows};

use crate::{Entered, Receiver, rejection::Rejection, session::Session};

impl Receiver {
    pub(crate) async fn opentsdb_put(&self, entered: Entered, request: Request) -> Result<Response, Rejection> {
        let reader = OpenTsdb::new(self.clock.now_ms(), self.doors.opentsdb_http_trim_ms);
        let read =
            async |body: &[u8], rows: &mut Rows, session: &mut Session<'_>| reader.read_json(body, rows, session).await;
        self.take_whole(entered, request, self.doors.opentsdb_http_bytes_max, read, empty(StatusCode::NO_CONTENT)).await
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{ask, post, receiver, store};

    #[tokio::test]
    async fn puts_come_in() {
        let store = store(100, Ok(()));
        let receiver = receiver(&store);
        let body = r#"[{"metric":"m","timestamp":5,"value":1,"tags":{"a":"b"}},{"metric":"n"}]"#;
        let (status, refused, why) = ask(&receiver, post("/insert/2/opentsdb/api/put?extra_label=x=y", body)).await;
        assert_eq!((status, refused.as_str()), (204, "malformed=1"), "{why}");
        assert_eq!(store.take(), ["2:0 __name__=m,a=b,x=y 1@5000"]);
        for broken in ["[", "[{\"metric\":\"n\"}]", "{}"] {
            assert_eq!(ask(&receiver, post("/api/put", broken)).await.0, 400, "{broken}");
        }
        assert_eq!(ask(&receiver, post("/api/put", "[]")).await.0, 204);
    }
}
