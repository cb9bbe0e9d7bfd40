//! The arguments of queries as VictoriaMetrics reads them: `time`, `start`, `end` have many forms ([`crate::time`]), and a missing one is now, cut to
//! whole seconds, or five minutes before that. The engine moves times by `latency_offset` and to multiples of the step.

use std::time::{Duration, Instant};

use basalt_http::{Params, StatusCode};
use metricsql::{Expr, ExprKind, Options};
use query::{Query, Span};

use super::Asked;
use crate::{Server, args, asker::Asker, error::ApiError, time};

/// The step, and the distance of start from end, if the request does not say.
const DEFAULT_STEP_MS: i64 = 5 * 60_000;
/// A hundred years: no duration in an argument is longer.
const DURATION_MS_MAX: i64 = 100 * 365 * 86_400_000;

impl Server {
    pub(super) fn instant_metricsql(&self, asker: &Asker, params: &Params) -> Result<Asked, ApiError> {
        let text = self.query_text(params)?;
        let time = self.time_or(asker, params, "time", 0)?;
        let lookback = self.lookback_ms(params)?;
        let step = duration(params, "step")?.or(lookback).unwrap_or(DEFAULT_STEP_MS);
        let asked = self.asked(asker, params, text, Span::Instant { time, step }, lookback)?;
        Ok(Asked { with_stats: !gives_raw_samples(text), ..asked })
    }

    pub(super) fn range_metricsql(&self, asker: &Asker, params: &Params) -> Result<Asked, ApiError> {
        let text = self.query_text(params)?;
        let start = self.time_or(asker, params, "start", DEFAULT_STEP_MS)?;
        let end = self.time_or(asker, params, "end", 0)?;
        let step = duration(params, "step")?.unwrap_or(DEFAULT_STEP_MS);
        let end = if start > end { start.saturating_add(DEFAULT_STEP_MS) } else { end };
        let lookback = self.lookback_ms(params)?;
        self.asked(asker, params, text, Span::Range { start, end, step }, lookback)
    }

    /// What both kinds of queries share.
    fn asked(
        &self,
        asker: &Asker,
        params: &Params,
        text: &str,
        span: Span,
        lookback_ms: Option<i64>,
    ) -> Result<Asked, ApiError> {
        let limit = limit(params)?;
        let query = Query {
            lookback: lookback_ms.map(|ms| Duration::from_millis(ms as u64)),
            latency_offset: latency_offset(params)?,
            extra_filters: args::extra_filters(params)?,
            round_digits: params.get("round_digits").and_then(|digits| digits.parse().ok()),
            may_cache: !params.switch("nocache"),
            trace: params.switch("trace"),
            limit: limit.map_or(0, |limit| limit.saturating_add(1)),
            deadline: self.deadline(duration(params, "timeout")?),
            completeness: self.completeness(params),
            remote_addr: asker.remote_addr.clone(),
            ..Query::new(asker.tenant, text, asker.dialect, span)
        };
        Ok(Asked { query, limit, with_stats: true })
    }

    /// The expression, if it is there and not too long.
    pub(crate) fn query_text<'a>(&self, params: &'a Params) -> Result<&'a str, ApiError> {
        let text = params.get("query").ok_or_else(|| ApiError::bad_request("missing `query` arg"))?;
        let max = self.options.queries.text_bytes_max;
        if text.len() > max {
            let why =
                format!("too long query; got {} bytes; mustn't exceed `-search.maxQueryLen={max}` bytes", text.len());
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, why));
        }
        Ok(text)
    }

    /// A time; `before_ms` before now in whole seconds if it is missing.
    fn time_or(&self, asker: &Asker, params: &Params, name: &str, before_ms: i64) -> Result<i64, ApiError> {
        let now_in_seconds = |ms: i64| ms - ms.rem_euclid(1000);
        Ok(self.time(params, name)?.unwrap_or_else(|| now_in_seconds(asker.now_ms - before_ms)))
    }

    /// How far back a query looks for a sample, if the request or a flag says.
    fn lookback_ms(&self, params: &Params) -> Result<Option<i64>, ApiError> {
        let queries = &self.options.queries;
        let lookback = duration(params, "max_lookback")?.or(queries.lookback.map(milliseconds));
        Ok(if queries.lookback_is_step { duration(params, "step")?.or(lookback) } else { lookback })
    }

    /// When a query must have ended: no later than the flag says.
    pub(crate) fn deadline(&self, wanted_ms: Option<i64>) -> Option<Instant> {
        let max = self.options.queries.time_max;
        let wanted = wanted_ms.filter(|ms| *ms > 0).map(|ms| Duration::from_millis(ms as u64));
        Instant::now().checked_add(wanted.map_or(max, |wanted| wanted.min(max)))
    }
}

/// Whether an expression is a selector with a range: an instant query answers its samples as they are, and says nothing about what it took.
fn gives_raw_samples(text: &str) -> bool {
    let Ok(Expr { kind: ExprKind::Rollup(rollup), .. }) = metricsql::parse(text, &Options::default()) else {
        return false;
    };
    rollup.window.is_some() && rollup.subquery.is_none() && matches!(rollup.inner.kind, ExprKind::Selector(_))
}

/// The newest part of the time that the query does not see, if the request says.
fn latency_offset(params: &Params) -> Result<Option<Duration>, ApiError> {
    let Some(text) = params.get("latency_offset") else {
        return Ok(None);
    };
    let wrong = || ApiError::bad_request(format!("cannot parse argument latency_offset={text:?}"));
    let ms = time::parse_duration(text).filter(|ms| *ms >= 0).ok_or_else(wrong)?;
    Ok(Some(Duration::from_millis(ms as u64)))
}

/// A positive duration: seconds, or with units.
fn duration(params: &Params, name: &str) -> Result<Option<i64>, ApiError> {
    let Some(text) = params.get(name) else {
        return Ok(None);
    };
    let wrong = || ApiError::bad_request(format!("cannot parse argument {name}={text:?}: want seconds or 1h30m"));
    let ms = time::parse_duration(text).ok_or_else(wrong)?;
    if (1..=DURATION_MS_MAX).contains(&ms) {
        return Ok(Some(ms));
    }
    let why = format!("{name}={ms}ms is out of allowed range [1ms ... {DURATION_MS_MAX}ms]");
    Err(ApiError::bad_request(why))
}

/// The argument `limit`; `None` without it or for 0.
fn limit(params: &Params) -> Result<Option<usize>, ApiError> {
    let limit = params.number("limit")?.filter(|limit| *limit > 0);
    Ok(limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)))
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_with_a_range_gives_raw_samples() {
        for (text, want) in [
            ("m[5m]", true),
            ("m{a=\"b\"}[5m] offset 1m", true),
            ("m[5m:1m]", false),
            ("rate(m[5m])[1h:1m]", false),
            ("m offset 5m", false),
            ("rate(m[5m])", false),
            ("}", false),
        ] {
            assert_eq!(gives_raw_samples(text), want, "{text}");
        }
    }

    #[test]
    fn durations_are_positive() {
        let duration = |query: &str| duration(&Params::parse(query.as_bytes()), "step");
        assert_eq!(duration("step=1m30s"), Ok(Some(90_000)));
        assert_eq!(duration("step=0.5"), Ok(Some(500)));
        assert_eq!(duration(""), Ok(None));
        for bad in ["step=0", "step=-5", "step=x", "step=101y"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
