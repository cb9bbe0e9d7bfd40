//! Raw samples on their way out: what the exports and `/federate` share.
//!
//! 1. The series are found before the answer begins, so that errors of the request get their status.
//! 2. A blocking thread pulls chunk by chunk, decodes series by series, and writes into the answer's stream, which makes it wait for slow clients.
//! 3. If a series cannot be read the connection breaks, so that no client takes the answer for whole.

use std::{fmt, time::Duration};

use basalt_http::{Body, Gone, HeaderValue, Response, header};
use model::SeriesKey;
use storage_api::{Budget, SelectError, SelectRequest, SeriesData, SeriesStream};

use crate::{
    Server,
    asker::Asker,
    error::ApiError,
    packing::{Outgoing, Sink},
};

/// Why an answer ended early.
pub(crate) enum Ended {
    Gone,
    Select(SelectError),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => Gone.fmt(f),
            Self::Select(error) => error.fmt(f),
        }
    }
}

impl Ended {
    /// Whether it ended because nobody reads it: who leaves, or asks by HEAD, ends the query too.
    fn is_of_client(&self, is_gone: bool) -> bool {
        matches!(self, Self::Gone) || (is_gone && matches!(self, Self::Select(SelectError::Cancelled)))
    }
}

impl From<Gone> for Ended {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<SelectError> for Ended {
    fn from(error: SelectError) -> Self {
        Self::Select(error)
    }
}

/// What raw samples may cost, and how the answer is called.
#[derive(Debug, Clone)]
pub(crate) struct RawAnswer {
    pub(crate) series_max: u64,
    pub(crate) time_max: Duration,
    pub(crate) media_type: &'static str,
    /// What stands before the first series.
    pub(crate) prologue: Vec<u8>,
    /// What stands behind the last.
    pub(crate) epilogue: &'static [u8],
}

impl RawAnswer {
    /// The same with something before the first series.
    pub(crate) fn beginning_with(self, prologue: Vec<u8>) -> Self {
        Self { prologue, ..self }
    }

    /// The same with something behind the last series.
    pub(crate) fn ending_with(self, epilogue: &'static [u8]) -> Self {
        Self { epilogue, ..self }
    }
}

impl Server {
    /// Answers with what `write` makes of each series that has samples.
    pub(crate) async fn stream_raw(
        &self,
        asker: &Asker,
        request: SelectRequest,
        answer: RawAnswer,
        mut write: impl FnMut(&SeriesKey, &SeriesData, &mut Outgoing) -> Result<(), Gone> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let query = self.begin(answer.series_max, answer.time_max).await?;
        let budget = query.budget.clone();
        let request = SelectRequest { budget: budget.clone(), ..request };
        let (stream, permit, guard) = self.find(query, request).await?;

        let (writer, body) = Body::stream();
        let mut out = Outgoing::new(writer, asker.packing);
        out.buffer().extend_from_slice(&answer.prologue);
        let path = asker.endpoint.path();
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            match each_series(&*stream, &budget, |key, data| write(key, data, &mut out)) {
                Ok(()) => {
                    out.buffer().extend_from_slice(answer.epilogue);
                    // An error here means that the client is gone, which is its affair.
                    let _ = out.finish();
                }
                Err(ended) if ended.is_of_client(out.is_gone()) => {}
                Err(ended) => log::error!("an answer of {path} broke off: {ended}"),
            }
        });
        let mut response = Response::new(body.holding(guard));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.media_type));
        asker.packing.declare(&mut response);
        Ok(response)
    }
}

/// Reads the series one by one, those without samples left out.
pub(crate) fn each_series<E>(
    stream: &dyn SeriesStream,
    budget: &Budget,
    mut each: impl FnMut(&SeriesKey, &SeriesData) -> Result<(), E>,
) -> Result<(), Ended>
where
    Ended: From<E>,
{
    let mut key = SeriesKey::default();
    let mut data = SeriesData::default();
    while let Some(mut chunk) = stream.next()? {
        for index in 0..chunk.len() {
            budget.check()?;
            chunk.read(index, &mut data)?;
            if data.values.is_empty() {
                continue;
            }
            chunk.key(index, &mut key)?;
            each(&key, &data)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_left_is_no_error() {
        let cancelled = Ended::Select(SelectError::Cancelled);
        assert!(Ended::Gone.is_of_client(false) && cancelled.is_of_client(true));
        assert!(!cancelled.is_of_client(false), "an operator ended it");
        assert!(!Ended::Select(SelectError::DeadlinePassed).is_of_client(true));
    }
}
