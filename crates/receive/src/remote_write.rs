//! Prometheus remote write, version 1, from the request to the answer.
//!
//! The steps stand at the crate's head. Version 2 is refused by its content type: its senders fall back to version 1 on 415.

use std::{fmt::Write, future::poll_fn, pin::pin, task::Poll};

use basalt_http::{HeaderName, HeaderValue, Method, Permit, Request, Response, StatusCode, empty, header, plain};
use decode::Packing;
use model::Tenant;
use storage_api::{Batch, InsertError, Inserted, Refusals};

use crate::{Receiver, rejection::Rejection};

/// Says what was not taken of a request that was acknowledged.
static REFUSED: HeaderName = HeaderName::from_static("x-basalt-refused");

impl Receiver {
    pub(crate) async fn remote_write(&self, tenant: Tenant, mut request: Request) -> Result<Response, Rejection> {
        if request.query_params().get("get_vm_proto_version").is_some() {
            // VictoriaMetrics' agent asks whether it may send zstd.
            return Ok(plain(StatusCode::OK, "1"));
        }
        let packing = check_head(&request)?;
        let declared = request.content_length();
        if declared.is_some_and(|bytes| bytes > self.body_bytes_max as u64) {
            return Err(basalt_http::BodyError::TooLong { max: self.body_bytes_max }.into());
        }
        let reserved = self.budget.reserve(declared).await?;
        let mut packed = self.pool.buffer();
        request.body.read(&mut packed, self.body_bytes_max).await?;

        let turn = self.gate.enter().await?;
        let mut workspace = self.pool.workspace();
        let workspace = &mut *workspace;
        workspace.body.unpack(&packed, packing, self.body_bytes_max)?;
        drop((packed, reserved));
        workspace.rows.decode(&mut workspace.body)?;
        self.stats.bytes_read.add(workspace.body.bytes().len() as u64);
        self.stats.rows_read.add(workspace.rows.samples().len() as u64);

        let metadata = workspace.rows.metadata(&workspace.body);
        let rules = self.rules.get();
        let batch = Batch {
            tenant,
            encoding: &rules.around(&self.remote_write_labels),
            bytes: workspace.body.bytes(),
            series: workspace.rows.series(),
            samples: workspace.rows.samples(),
            metadata: &metadata,
        };
        let inserted = self.insert(batch, turn).await?;
        self.stats.acknowledged(&inserted, workspace.rows.refused());
        let mut refused = *workspace.rows.refused();
        refused.merge(&inserted.refused);
        Ok(self.answer(&refused))
    }

    /// Hands rows to the store. Once that no longer computes but waits, which is for the disk, the next request may compute.
    async fn insert(&self, batch: Batch<'_>, turn: Permit) -> Result<Inserted, InsertError> {
        if batch.series.is_empty() && batch.metadata.is_empty() {
            return Ok(Inserted::default());
        }
        let admitted = self.rate.admit(batch.samples.len() as u64).await;
        admitted.map_err(|too_fast| InsertError::Overloaded(too_fast.to_string()))?;
        let mut inserting = pin!(self.insert.insert(batch));
        let mut turn = Some(turn);
        poll_fn(|cx| {
            let polled = inserting.as_mut().poll(cx);
            if polled.is_pending() {
                turn = None;
            }
            match polled {
                Poll::Ready(outcome) => Poll::Ready(outcome),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    fn answer(&self, refused: &Refusals) -> Response {
        let mut response = empty(StatusCode::NO_CONTENT);
        if refused.total() == 0 {
            return response;
        }
        let mut reasons = String::new();
        for (reason, samples) in refused.iter() {
            let comma = if reasons.is_empty() { "" } else { ", " };
            write!(reasons, "{comma}{}={samples}", reason.name()).expect("BUG: writing to a string cannot fail");
        }
        if let Some(held_back) = self.refusals.admit() {
            log::warn!("refused samples of a remote-write request: {reasons} ({held_back} such lines held back)");
        }
        let reasons = HeaderValue::try_from(reasons).expect("BUG: names of reasons are plain text");
        response.headers_mut().insert(REFUSED.clone(), reasons);
        response
    }
}

/// Checks method and headers; gives the packing that they name.
fn check_head(request: &Request) -> Result<Packing, Rejection> {
    if !matches!(*request.method(), Method::POST | Method::PUT) {
        return Err(Rejection::new(StatusCode::METHOD_NOT_ALLOWED, "remote write wants POST"));
    }
    if request.header(header::CONTENT_TYPE).is_some_and(is_version_2) {
        return Err(Rejection::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "remote write 2.0 is not supported by this version; send prometheus.WriteRequest",
        ));
    }
    match request.header(header::CONTENT_ENCODING) {
        None | Some("" | "snappy") => Ok(Packing::Snappy),
        Some("zstd") => Ok(Packing::Zstd),
        Some(other) => Err(Rejection::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("content encoding {other:?} is not supported for remote write; want snappy or zstd"),
        )),
    }
}

/// `application/x-protobuf;proto=io.prometheus.write.v2.Request`
fn is_version_2(content_type: &str) -> bool {
    content_type.split(';').skip(1).any(|parameter| {
        let parameter = parameter.trim();
        parameter
            .strip_prefix("proto=")
            .is_some_and(|proto| proto.trim_matches('"').starts_with("io.prometheus.write.v2"))
    })
}

#[cfg(test)]
mod tests;
