//! Bodies that are read whole, and what requests say besides their bodies.

use basalt_http::{BodyError, Method, Params, Permit, Request, StatusCode};
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

/// Samples come by POST or PUT.
pub fn check_method(request: &Request) -> Result<(), Rejection> {
    if matches!(*request.method(), Method::POST | Method::PUT) {
        return Ok(());
    }
    Err(Rejection::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} wants POST", request.path())))
}

/// The labels that a request's arguments add to its rows.
pub fn extra_labels(params: &Params) -> Result<ExtraLabels, Rejection> {
    Ok(ExtraLabels::parse(params.all("extra_label"))?)
}
