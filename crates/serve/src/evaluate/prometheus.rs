//! The arguments of queries as Prometheus 3 reads them: fewer forms, none with a default except `time`, and errors in its words.

use std::time::Duration;

use basalt_http::Params;
use query::{Query, Span};

use super::Asked;
use crate::{Server, args, asker::Asker, error::ApiError, prometheus_args as read};

/// Prometheus' own limit, beside the flag.
const POINTS_MAX: i64 = 11_000;
/// What subqueries without a step take, as Prometheus' default evaluation interval.
const INSTANT_STEP_MS: i64 = 60_000;

impl Server {
    pub(super) fn instant_promql(&self, asker: &Asker, params: &Params) -> Result<Asked, ApiError> {
        let limit = read::limit(params)?;
        let time = read::time_or(params, "time", asker.now_ms)?;
        self.asked_promql(asker, params, Span::Instant { time, step: INSTANT_STEP_MS }, limit)
    }

    pub(super) fn range_promql(&self, asker: &Asker, params: &Params) -> Result<Asked, ApiError> {
        let limit = read::limit(params)?;
        let start = read::time(params, "start")?;
        let end = read::time(params, "end")?;
        if end < start {
            return Err(ApiError::invalid_parameter("end", "end timestamp must not be before start time"));
        }
        let step = read::duration(params, "step")?;
        if step <= 0 {
            let why = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(ApiError::invalid_parameter("step", why));
        }
        if (end - start) / step > POINTS_MAX {
            let why = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
            return Err(ApiError::bad_request(why));
        }
        self.asked_promql(asker, params, Span::Range { start, end, step }, limit)
    }

    fn asked_promql(
        &self,
        asker: &Asker,
        params: &Params,
        span: Span,
        limit: Option<usize>,
    ) -> Result<Asked, ApiError> {
        let timeout = params.get("timeout").map(|_| read::duration(params, "timeout")).transpose()?;
        let lookback = match params.get("lookback_delta") {
            Some(text) => Some(
                read::parse_duration(text)
                    .map_err(|why| ApiError::bad_request(format!("error parsing lookback delta duration: {why}")))?,
            ),
            None => None,
        };
        let lookback = lookback.filter(|ms| *ms > 0).map(|ms| Duration::from_millis(ms as u64));
        let text = params.get("query").unwrap_or("");
        if text.len() > self.options.queries.text_bytes_max {
            self.query_text(params)?;
        }
        let query = Query {
            lookback: lookback.or(self.options.queries.lookback),
            extra_filters: args::extra_filters(params)?,
            round_digits: params.get("round_digits").and_then(|digits| digits.parse().ok()),
            may_cache: !params.switch("nocache"),
            trace: params.switch("trace"),
            limit: limit.map_or(0, |limit| limit.saturating_add(1)),
            deadline: self.deadline(timeout),
            completeness: self.completeness(params),
            remote_addr: asker.remote_addr.clone(),
            ..Query::new(asker.tenant, text, asker.dialect, span)
        };
        Ok(Asked { query, limit, with_stats: false })
    }
}
