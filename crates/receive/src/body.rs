//! Bodies that are read whole, and what requests say besides their bodies.

use std::time::Duration;

use basalt_http::{BodyError, Method, Params, Request, StatusCode, header};
use decode::rows::ExtraLabels;

use tokio::time::{Instant, timeout};

use crate::{Receiver, budget::Hold, rejection::Rejection, workspace::BorrowedBuffer};

/// A body that takes longer than this to come is given up. Time in which it waits for memory does not count.
const BODY_TIME_MAX: Duration = Duration::from_secs(120);

impl Receiver {
    /// Reads a packed body; what is held stands for its memory.
    pub(crate) async fn read_body(
        &self,
        request: &mut Request,
        max: usize,
    ) -> Result<(BorrowedBuffer<'_>, Hold<'_>), Rejection> {
        let declared = request.content_length();
        if declared.is_some_and(|bytes| bytes > max as u64) {
            return Err(BodyError::TooLong { max }.into());
        }
        let mut held = self.budget.hold(declared);
        let mut packed = self.pool.buffer();
        let mut time_left = BODY_TIME_MAX;
        loop {
            let began = Instant::now();
            let frame = timeout(time_left, held.next_frame(&mut request.body)).await;
            let Some(frame) = frame.map_err(|_| BodyError::TooSlow)?? else {
                return Ok((packed, held));
            };
            time_left = time_left.saturating_sub(began.elapsed());
            let len = packed.len() + frame.len();
            if len > max {
                return Err(BodyError::TooLong { max }.into());
            }
            held.grow(len, declared.unwrap_or(max as u64)).await?;
            packed.extend_from_slice(&frame);
        }
    }
}

/// Samples come by POST or PUT. VictoriaMetrics' programs push their own metrics by GET, with a body.
pub fn check_method(request: &Request) -> Result<(), Rejection> {
    let is_chunked = || request.header(header::TRANSFER_ENCODING).is_some();
    let has_body = request.content_length().map_or_else(is_chunked, |bytes| bytes > 0);
    if matches!(*request.method(), Method::POST | Method::PUT) || (*request.method() == Method::GET && has_body) {
        return Ok(());
    }
    Err(Rejection::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} wants POST", request.path())))
}

/// The labels that a request's arguments add to its rows.
pub fn extra_labels(params: &Params) -> Result<ExtraLabels, Rejection> {
    Ok(ExtraLabels::parse(params.all("extra_label"))?)
}
