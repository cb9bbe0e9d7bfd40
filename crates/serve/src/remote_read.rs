//! `/api/v1/read`: samples for other Prometheus, by their remote-read protocol.
//!
//! 1. The body is a snappy-packed `ReadRequest`: queries of matchers and a range, and the kinds of answers that the reader takes ([`wire`]).
//! 2. A reader that takes chunks gets a stream of framed messages ([`chunked`]), each with series whose samples are XOR-encoded in chunks of 120 as
//!    in Prometheus' own blocks ([`xor`]). Nothing but one frame is in memory at once.
//! 3. Others get one snappy-packed `ReadResponse` with all samples ([`samples`]), which must be built as a whole and is bounded.
//!
//! One sample a timestamp goes out, as Prometheus knows no other.

mod chunked;
mod samples;
mod wire;
mod xor;

use basalt_http::{Body, HeaderValue, Request, Response, StatusCode, header};
use model::{Selector, TimeRange};
use storage_api::{SelectRequest, SeriesStream};

use crate::{Server, asker::Asker, error::ApiError, raw::Ended};

pub(crate) use wire::fuzz_read_request;

/// A request is as long as its matchers are.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// An answer that must be built as a whole is no longer than this; longer ones go to readers that take streams.
const ANSWER_BYTES_MAX: usize = 256 << 20;

impl Server {
    pub(crate) async fn remote_read(&self, asker: &Asker, mut request: Request) -> Result<Response, ApiError> {
        let mut packed = Vec::new();
        request.body.read(&mut packed, REQUEST_BYTES_MAX).await?;
        let wanted = unpack(&packed).and_then(|body| wire::read(&body).map_err(str::to_string));
        let wanted = wanted.map_err(|why| ApiError::bad_request(format!("cannot read the request: {why}")))?;

        let guarded = self.begin(self.options.export_series_max, self.options.queries.time_max).await?;
        let (permit, guard, budget) = (guarded.permit, guarded.guard, guarded.budget);
        let mut streams: Vec<Box<dyn SeriesStream>> = Vec::new();
        for query in wanted.queries {
            let range = TimeRange::new(query.start_ms, query.end_ms.max(query.start_ms));
            let selector = Selector::all_of(query.matchers);
            let raw = SelectRequest::raw(asker.tenant, selector, range);
            let request = SelectRequest { one_per_timestamp: true, budget: budget.clone(), ..raw };
            streams.push(self.find_series(request).await?);
        }
        if wanted.takes_chunks {
            let (writer, body) = Body::stream();
            tokio::task::spawn_blocking(move || {
                let _permit = permit;
                match chunked::write(&streams, &budget, writer) {
                    Ok(()) | Err(Ended::Gone) => {}
                    Err(ended) => log::error!("an answer to a remote read broke off: {ended}"),
                }
            });
            let mut response = Response::new(body.holding(guard));
            let media_type = HeaderValue::from_static(chunked::MEDIA_TYPE);
            response.headers_mut().insert(header::CONTENT_TYPE, media_type);
            return Ok(response);
        }
        let working = tokio::task::spawn_blocking(move || {
            let built = samples::build(&streams, &budget, ANSWER_BYTES_MAX);
            drop(permit);
            built
        });
        let built = working.await.map_err(|_| crate::work::panicked())?;
        drop(guard);
        let body = built.map_err(|error| match error {
            samples::Failure::Select(error) => ApiError::from(error),
            samples::Failure::TooLong => ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("the answer is longer than {ANSWER_BYTES_MAX} bytes; read a shorter range or take chunks"),
            ),
        })?;
        let mut response = Response::new(Body::whole(body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        Ok(response)
    }
}

/// The declared length is held against the limit before memory is given.
fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    let declared = snap::raw::decompress_len(packed).map_err(|why| why.to_string())?;
    if declared > REQUEST_BYTES_MAX {
        return Err(format!("it unpacks to {declared} bytes, {REQUEST_BYTES_MAX} are allowed"));
    }
    snap::raw::Decoder::new().decompress_vec(packed).map_err(|why| why.to_string())
}
