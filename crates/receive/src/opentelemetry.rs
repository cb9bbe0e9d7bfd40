//! OpenTelemetry metrics over HTTP, in protobuf; also inside of Amazon Firehose's JSON, as CloudWatch streams them.
//!
//! What was refused is said in the header as at all doors, and in the body as a partial success, which is what OTLP's senders read.

use basalt_http::{HeaderName, Request, Response, StatusCode, header, json, text};
use decode::{firehose, otlp::Otlp, put_varint};
use storage_api::Refusals;

use crate::{
    Entered, Receiver,
    answer::list,
    body::{check_method, extra_labels},
    lines::packing,
    rejection::Rejection,
    session::Session,
};

static FIREHOSE_VERSION: HeaderName = HeaderName::from_static("x-amz-firehose-protocol-version");
static FIREHOSE_REQUEST: HeaderName = HeaderName::from_static("x-amz-firehose-request-id");

const PROTOBUF: &str = "application/x-protobuf";
const PARTIAL_SUCCESS: u8 = 0x0a;
const REJECTED_POINTS: u8 = 0x08;
const MESSAGE: u8 = 0x12;

impl Receiver {
    pub(crate) async fn opentelemetry(
        &self,
        Entered { door, tenant }: Entered,
        mut request: Request,
    ) -> Result<Response, Rejection> {
        check_method(&request)?;
        let is_firehose = request.headers().contains_key(&FIREHOSE_VERSION);
        let is_json = request.header(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"));
        if is_json && !is_firehose {
            let why = "OpenTelemetry in JSON is not supported; send protobuf";
            return Err(Rejection::new(StatusCode::BAD_REQUEST, why));
        }
        let labels = self.labels_with(extra_labels(&request.query_params())?);
        let reader = || Otlp::new(&self.doors.opentelemetry, self.clock.now_ms());
        let packing = packing(&request)?;
        let mut session = Session::new(self, tenant, door.kind(), &labels);
        let mut workspace = session.unpack_body(&mut request, packing, self.doors.opentelemetry_bytes_max).await?;
        let (body, rows) = workspace.body_and_rows();
        if is_json {
            let bytes = firehose::read(body).map_err(|error| session.broken(error))?;
            for message in firehose::messages(&bytes).map_err(|error| session.broken(error))? {
                let read = reader().read(message, rows, &mut session).await;
                session.finish_rows(read, rows).await?;
            }
        } else {
            let read = reader().read(body, rows, &mut session).await;
            session.finish_rows(read, rows).await?;
        }
        let taken = session.end().check()?;
        if is_firehose {
            return Ok(self.name_refused(&taken, door.protocol(), self.firehose_answer(&request)));
        }
        let answer = text(StatusCode::OK, PROTOBUF, partial_success(&taken.all_refused()));
        Ok(self.name_refused(&taken, door.protocol(), answer))
    }
}

impl Receiver {
    /// Firehose wants its request named and sends it again otherwise.
    fn firehose_answer(&self, request: &Request) -> Response {
        let id = request.headers().get(&FIREHOSE_REQUEST).and_then(|id| id.to_str().ok()).unwrap_or_default();
        // What is no part of a number in hexadecimal digits could mean something in JSON.
        let id: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
        json(StatusCode::OK, format!("{{\"requestId\":\"{id}\",\"timestamp\":{}}}", self.clock.now_ms()))
    }
}

/// The answer's message; empty if all is well.
fn partial_success(refused: &Refusals) -> Vec<u8> {
    if refused.total() == 0 {
        return Vec::new();
    }
    let why = list(refused);
    let mut inner = vec![REJECTED_POINTS];
    put_varint(&mut inner, refused.total());
    inner.push(MESSAGE);
    put_varint(&mut inner, why.len() as u64);
    inner.extend_from_slice(why.as_bytes());
    let mut out = vec![PARTIAL_SUCCESS];
    put_varint(&mut out, inner.len() as u64);
    out.extend_from_slice(&inner);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ask, post, receiver, store, with};

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    #[tokio::test]
    async fn points_come_in_and_deltas_are_refused() {
        let store = store(100, Ok(()));
        let receiver = receiver(&store);
        let point = [&[0x19][..], &5_000_000u64.to_le_bytes(), &[0x21], &1.5f64.to_le_bytes()].concat();
        let metric = |kind: u8| field(2, &[field(1, b"m"), field(kind, &field(1, &point))].concat());
        let body = |metrics: &[u8]| field(1, &field(2, metrics));
        for path in ["/opentelemetry/v1/metrics", "/opentelemetry/api/v1/push", "/insert/0/opentelemetry/v1/metrics"] {
            let answer = ask(&receiver, post(&format!("{path}?extra_label=x=y"), body(&metric(5)))).await;
            assert_eq!(answer, (200, String::new(), String::new()));
            assert_eq!(store.take()[0], "0:0 __name__=m,x=y 1.5@5");
        }
        let both = body(&[metric(5), metric(7)].concat());
        let (status, refused, message) = ask(&receiver, post("/opentelemetry/v1/metrics", both)).await;
        assert_eq!((status, refused.as_str()), (200, "delta_temporality=1"));
        assert_eq!(message, "\n\u{17}\u{8}\u{1}\u{12}\u{13}delta_temporality=1");
        let broken = post("/opentelemetry/v1/metrics", vec![0x0a, 9]);
        assert_eq!(ask(&receiver, broken).await.0, 400);
        let json = with(post("/opentelemetry/v1/metrics", "{}"), header::CONTENT_TYPE, "application/json");
        assert_eq!(ask(&receiver, json).await.0, 400);
    }

    #[tokio::test]
    async fn cloudwatch_comes_by_firehose() {
        let store = store(100, Ok(()));
        let receiver = receiver(&store);
        let point = [&[0x19][..], &5_000_000u64.to_le_bytes(), &[0x21], &1.5f64.to_le_bytes()].concat();
        let metric = field(2, &[field(1, b"m"), field(5, &field(1, &point))].concat());
        let message = field(1, &field(2, &metric));
        let record = [&[message.len() as u8][..], &message].concat();
        let body = format!(r#"{{"records":[{{"data":"{}"}}]}}"#, basalt_http::base64(&record));
        let request = with(post("/opentelemetry/v1/metrics", body), header::CONTENT_TYPE, "application/json");
        let request = with(request, FIREHOSE_VERSION.clone(), "1.0");
        let request = with(request, FIREHOSE_REQUEST.clone(), "ed4acda5-034f");
        let want = format!(r#"{{"requestId":"ed4acda5-034f","timestamp":{}}}"#, crate::testing::NOW);
        assert_eq!(ask(&receiver, request).await, (200, String::new(), want));
        assert_eq!(store.take(), ["0:0 __name__=m 1.5@5", "0:0 m gauge"]);
    }
}
