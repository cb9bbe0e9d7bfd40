//! Bodies that are read whole, and what requests say besides their bodies.

use basalt_http::{BodyError, Method, Params, Permit, Request, StatusCode, header};
use decode::rows::ExtraLabels;

use crate::{Receiver, rejection::Rejection, workspace::BorrowedBuffer};

impl Receiver {
    /// Reads a packed body; the permit stands for its memory.
    pub(crate) async fn read_body(
        &self,
        request: &mut Request,
        max: usize,
    ) -> Result<(BorrowedBuffer<'_>, Permit), Rejection> {
        let declared = request.content_length();
        if declared.is_some_and(|bytes| bytes > max as u64) {
            return Err(BodyError::TooLong { max }.into());
        }
        let reserved = self.budget.reserve(declared).await?;
        let mut packed = self.pool.buffer();
        request.body.read(&mut packed, max).await?;
        Ok((packed, reserved))
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
