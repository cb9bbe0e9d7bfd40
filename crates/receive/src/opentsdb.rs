//! OpenTSDB's puts over HTTP.

use basalt_http::{Request, Response, StatusCode, empty};
use decode::opentsdb::OpenTsdb;

use crate::{
    Entered, Receiver,
    body::{check_method, extra_labels},
    lines::packing,
    rejection::Rejection,
    session::Session,
};

impl Receiver {
    pub(crate) async fn opentsdb_put(
        &self,
        Entered { door, tenant }: Entered,
        mut request: Request,
    ) -> Result<Response, Rejection> {
        check_method(&request)?;
        let labels = self.labels_with(extra_labels(&request.query_params())?);
        let reader = OpenTsdb::new(self.clock.now_ms(), self.doors.opentsdb_http_trim_ms);
        let mut session = Session::new(self, tenant, door.kind(), &labels);
        let packing = packing(&request)?;
        let mut workspace = session.unpack_body(&mut request, packing, self.doors.opentsdb_http_bytes_max).await?;
        let (body, rows) = workspace.body_and_rows();
        let read = reader.read_json(body, rows, &mut session).await;
        session.finish_rows(read, rows).await?;
        let taken = session.end().check()?;
        Ok(self.name_refused(&taken, door.protocol(), empty(StatusCode::NO_CONTENT)))
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
