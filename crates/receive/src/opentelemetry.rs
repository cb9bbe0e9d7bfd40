//! OpenTelemetry metrics over HTTP, in protobuf.
//!
//! What was refused is said in the header as at all doors, and in the body as a partial success, which is what OTLP's senders read.

use basalt_http::{Request, Response, StatusCode, header, text};
use decode::otlp::Otlp;
use storage_api::Refusals;

use crate::{
    Entrance, Receiver,
    answer::list,
    body::{check_method, extra_labels},
    lines::packing,
    rejection::Rejection,
    session::Session,
};

const PROTOBUF: &str = "application/x-protobuf";
const PARTIAL_SUCCESS: u8 = 0x0a;
const REJECTED_POINTS: u8 = 0x08;
const MESSAGE: u8 = 0x12;

impl Receiver {
    pub(crate) async fn opentelemetry(
        &self,
        Entrance { door, tenant }: Entrance,
        mut request: Request,
    ) -> Result<Response, Rejection> {
        check_method(&request)?;
        if request.header(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json")) {
            let why = "OpenTelemetry in JSON is not supported; send protobuf";
            return Err(Rejection::new(StatusCode::BAD_REQUEST, why));
        }
        let labels = self.labels_with(extra_labels(&request.query_params())?);
        let reader = Otlp::new(&self.doors.opentelemetry, self.clock.now_ms());
        let packing = packing(&request)?;
        let mut session = Session::new(self, tenant, door.kind(), &labels);
        let mut workspace = session.unpack_body(&mut request, packing, self.doors.opentelemetry_bytes_max).await?;
        let (body, rows) = workspace.body_and_rows();
        let read = reader.read(body, rows, &mut session).await;
        session.finish_rows(read, rows).await?;
        let taken = session.end().check()?;
        let answer = text(StatusCode::OK, PROTOBUF, partial_success(&taken.all_refused()));
        Ok(self.name_refused(&taken, door.protocol(), answer))
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

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
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
}
