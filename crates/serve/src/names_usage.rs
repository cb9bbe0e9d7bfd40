//! `/api/v1/status/metric_names_stats`: which metrics are asked for, and which are only stored.

use basalt_http::{Params, Response, StatusCode, empty, json};
use model::{METRIC_NAME, MatchOp, Matcher, Selector, Tenant, TimeRange};
use storage_api::{Asked, NamesAsked, NamesRequest, ValuesRequest};

use crate::{Server, error::ApiError, json::Json, names_stats::BYTES_MAX};

/// Records if the request does not say.
const LIMIT_DEFAULT: u64 = 1000;
/// Names of a tenant that are looked at.
const NAMES_MAX: usize = 1_000_000;

impl Server {
    pub(crate) async fn metric_names_stats(&self, tenant: Tenant, params: &Params) -> Result<Response, ApiError> {
        let limit = params.number("limit")?.filter(|limit| *limit > 0).unwrap_or(LIMIT_DEFAULT);
        let requests_max = requests_max(params)?;
        let Some(stats) = &self.options.names_stats else {
            return Ok(json(StatusCode::OK, body(&NamesAsked::default(), &[])));
        };
        let names = self.metric_names(tenant, pattern(params)).await?;
        let counted = stats.names_asked(tenant, names.clone()).await?;
        let mut records: Vec<(String, Asked)> = names.into_iter().zip(counted.asked.iter().copied()).collect();
        records.retain(|(_, asked)| asked.requests <= requests_max);
        records.sort_by(|one, other| (one.1.requests, &one.0).cmp(&(other.1.requests, &other.0)));
        records.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(json(StatusCode::OK, body(&counted, &records)))
    }

    pub(crate) async fn reset_metric_names_stats(&self) -> Result<Response, ApiError> {
        if let Some(stats) = &self.options.names_stats {
            stats.reset_names_asked(self.clock.now_ms()).await?;
            log::info!("the statistics of metric names were reset");
        }
        Ok(empty(StatusCode::NO_CONTENT))
    }

    /// How often each of these metrics was asked for, in the same order; `None` where that is not counted.
    pub(crate) async fn requests_for(
        &self,
        tenant: Tenant,
        names: Vec<String>,
    ) -> Result<Option<Vec<(String, Asked)>>, ApiError> {
        let Some(stats) = &self.options.names_stats else { return Ok(None) };
        let counted = stats.names_asked(tenant, names.clone()).await?;
        Ok(Some(names.into_iter().zip(counted.asked).collect()))
    }

    async fn metric_names(&self, tenant: Tenant, selector: Selector) -> Result<Vec<String>, ApiError> {
        let query = self.begin(self.options.status_series_max, self.options.status_time_max).await?;
        let finding = self.query(query, move |select, runtime, budget| {
            let names = NamesRequest { tenant, selector, range: TimeRange::ALL, limit: NAMES_MAX, budget };
            runtime.block_on(select.label_values(ValuesRequest { label: METRIC_NAME.to_string(), names }))
        });
        finding.await
    }
}

/// The names that the request means: all, or those in which a regular expression is found.
fn pattern(params: &Params) -> Selector {
    match params.get("match_pattern").filter(|pattern| !pattern.is_empty()) {
        None => Selector::everything(),
        Some(pattern) => {
            let anywhere = format!("(?s:.*)(?:{pattern})(?s:.*)");
            Selector::all_of(vec![Matcher::new(METRIC_NAME, MatchOp::Regex, anywhere)])
        }
    }
}

/// Names with more requests are left out; -1 means none is.
fn requests_max(params: &Params) -> Result<u64, ApiError> {
    match params.get("le") {
        None | Some("" | "-1") => Ok(u64::MAX),
        Some(text) => text.parse().map_err(|_| {
            ApiError::bad_request(format!("cannot parse argument le={text:?}: want a number of requests"))
        }),
    }
}

fn body(counted: &NamesAsked, records: &[(String, Asked)]) -> Vec<u8> {
    let mut out = Json::default();
    out.raw("{\"status\":\"success\",\"statsCollectedSince\":").number(counted.since_s.max(0) as u64);
    out.raw(",\"statsCollectedRecordsTotal\":").number(counted.entries);
    out.raw(",\"trackerMemoryMaxSizeBytes\":").number(BYTES_MAX);
    out.raw(",\"trackerCurrentMemoryUsageBytes\":").number(counted.bytes).raw(",\"records\":");
    out.list(records, |out, (name, asked)| {
        out.raw("{\"metricName\":").text(name);
        put_asked(out, asked);
        out.raw("}");
    });
    out.raw("}");
    out.into_bytes()
}

/// The fields that say how often something was asked for.
pub(crate) fn put_asked(out: &mut Json, asked: &Asked) {
    out.raw(",\"requestsCount\":").number(asked.requests);
    out.raw(",\"lastRequestTimestamp\":").number(asked.last_s.max(0) as u64);
}
