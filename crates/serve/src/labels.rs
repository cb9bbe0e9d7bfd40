//! Series, label names, label values.
//!
//! Without a range VictoriaMetrics means the UTC day of the last minutes, Prometheus all time. Prometheus says when it left something out.

use basalt_http::{Params, Response, StatusCode, json};
use model::{SeriesKey, Tenant, TimeRange};
use query::Dialect;
use storage_api::{
    Budget, Completeness, NamesRequest, SamplesWanted, Select, SelectError, SelectRequest, ValuesRequest,
};
use tokio::runtime::Handle;

use crate::{
    Server, args,
    asker::Asker,
    error::ApiError,
    json::Json,
    names, prometheus_args,
    time::{MAX_TIME_MS, MIN_TIME_MS},
};

/// An answer of `/api/v1/series` is no longer than this; whoever wants more names a limit or takes the export.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A series takes about so many bytes.
const SERIES_BYTES: usize = 512;

/// How many items are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit {
    max: usize,
    /// Whether it is said that there are more.
    is_told: bool,
}

impl Limit {
    /// One more than is answered is asked for, so that it is known whether there are more.
    fn asked(self) -> usize {
        self.max.saturating_add(usize::from(self.is_told))
    }

    /// What stands behind the data.
    fn tail(self, found: usize) -> &'static str {
        if self.is_told && found > self.max { ",\"warnings\":[\"results truncated due to limit\"]}" } else { "}" }
    }
}

impl Server {
    pub(crate) async fn series(&self, asker: &Asker, params: &Params) -> Result<Response, ApiError> {
        let selector = match asker.dialect {
            Dialect::PromQl if params.get("match[]").is_none() => {
                return Err(ApiError::bad_request("no match[] parameter provided"));
            }
            _ => args::selector(params)?,
        };
        let range = self.labels_range(asker, params)?;
        let limit = self.limit(asker, params, usize::MAX)?;
        let samples = SamplesWanted::None;
        let request = SelectRequest { samples, ..SelectRequest::raw(asker.tenant, selector, range) };
        let mut query = self.begin(self.options.series_max, self.options.labels_time_max).await?;
        query.budget.completeness = self.completeness(params);
        let has_nodes = self.options.has_nodes;
        let body = self
            .query(query, move |select, runtime, budget| {
                list_series(select, runtime, request, &budget, limit).map(|list| framed(list, &budget, has_nodes))
            })
            .await?;
        let too_long = || {
            let why = format!("the answer is longer than {ANSWER_BYTES_MAX} bytes; name a limit or a narrower match[]");
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, why)
        };
        Ok(json(StatusCode::OK, body.ok_or_else(too_long)?))
    }

    pub(crate) async fn label_names(&self, asker: &Asker, params: &Params) -> Result<Response, ApiError> {
        let limit = self.limit(asker, params, self.options.label_names_max)?;
        let request = self.names_request(asker, params, limit)?;
        let query = self.begin(self.options.labels_series_max, self.options.labels_time_max).await?;
        let lack = self.completeness(params);
        let completeness = lack.clone();
        let names = self.query(query, move |select, runtime, budget| {
            let budget = Budget { completeness, ..budget };
            runtime.block_on(select.label_names(NamesRequest { budget, ..request }))
        });
        Ok(self.success_list(&names.await?, limit, &lack))
    }

    pub(crate) async fn label_values(&self, asker: &Asker, label: &str, params: &Params) -> Result<Response, ApiError> {
        let limit = self.limit(asker, params, self.options.label_values_max)?;
        let request = self.names_request(asker, params, limit)?;
        let label = names::unescape(label);
        let query = self.begin(self.options.labels_series_max, self.options.labels_time_max).await?;
        let lack = self.completeness(params);
        let completeness = lack.clone();
        let values = self.query(query, move |select, runtime, budget| {
            let names = NamesRequest { budget: Budget { completeness, ..budget }, ..request };
            runtime.block_on(select.label_values(ValuesRequest { label, names }))
        });
        Ok(self.success_list(&values.await?, limit, &lack))
    }

    pub(crate) async fn series_count(&self, tenant: Tenant) -> Result<Response, ApiError> {
        let query = self.begin(u64::MAX, self.options.labels_time_max).await?;
        let count = self.query(query, move |select, runtime, _| runtime.block_on(select.series_count(tenant)));
        let mut body = Json::default();
        let count = count.await?;
        body.raw(opening(self.options.has_nodes, &Completeness::required())).raw("[").number(count).raw("]}");
        Ok(json(StatusCode::OK, body.into_bytes()))
    }

    fn success_list(&self, items: &[String], limit: Limit, completeness: &Completeness) -> Response {
        let mut body = Json::default();
        body.raw(opening(self.options.has_nodes, completeness)).texts(&items[..items.len().min(limit.max)]);
        body.raw(limit.tail(items.len()));
        json(StatusCode::OK, body.into_bytes())
    }

    fn names_request(&self, asker: &Asker, params: &Params, limit: Limit) -> Result<NamesRequest, ApiError> {
        let selector = args::selector_or_everything(params)?;
        let (range, limit) = (self.labels_range(asker, params)?, limit.asked());
        Ok(NamesRequest { tenant: asker.tenant, selector, range, limit, budget: Budget::default() })
    }

    fn labels_range(&self, asker: &Asker, params: &Params) -> Result<TimeRange, ApiError> {
        if asker.dialect == Dialect::MetricsQl {
            return self.days(params);
        }
        let start = prometheus_args::time_or(params, "start", MIN_TIME_MS)?;
        let end = prometheus_args::time_or(params, "end", MAX_TIME_MS)?;
        if end < start {
            return Err(ApiError::bad_request("end timestamp must not be before start timestamp"));
        }
        Ok(TimeRange::new(start, end))
    }

    fn limit(&self, asker: &Asker, params: &Params, max: usize) -> Result<Limit, ApiError> {
        Ok(match asker.dialect {
            Dialect::MetricsQl => Limit { max: args::limit(params, max)?, is_told: false },
            Dialect::PromQl => {
                let wanted = prometheus_args::limit(params)?;
                Limit { max: wanted.unwrap_or(max).min(max), is_told: true }
            }
        })
    }
}

/// What stands before the data. Only an answer of several nodes says whether data of some are missing.
pub(crate) fn opening(has_nodes: bool, completeness: &Completeness) -> &'static str {
    match (has_nodes, completeness.is_partial()) {
        (false, _) => "{\"status\":\"success\",\"data\":",
        (true, false) => "{\"status\":\"success\",\"isPartial\":false,\"data\":",
        (true, true) => "{\"status\":\"success\",\"isPartial\":true,\"data\":",
    }
}

/// The list with what stands before it, which is known only when all nodes have answered.
fn framed(list: Option<Vec<u8>>, budget: &Budget, has_nodes: bool) -> Option<Vec<u8>> {
    let opening = opening(has_nodes, &budget.completeness);
    list.map(|list| [opening.as_bytes(), &list].concat())
}

/// The list of series and what stands behind it; `None` if it would be too long.
fn list_series(
    select: &dyn Select,
    runtime: &Handle,
    request: SelectRequest,
    budget: &Budget,
    limit: Limit,
) -> Result<Option<Vec<u8>>, SelectError> {
    let stream = runtime.block_on(select.select(SelectRequest { budget: budget.clone(), ..request }))?;
    let mut key = SeriesKey::default();
    let mut body = Json::default();
    let mut found = 0;
    body.raw("[");
    while found < limit.asked() {
        budget.check()?;
        let Some(chunk) = stream.next()? else {
            break;
        };
        let listed = chunk.len().min(limit.asked() - found);
        // As long as those before, so that the text is not moved again and again.
        body.reserve(listed * body.len().checked_div(found).unwrap_or(SERIES_BYTES));
        for index in 0..listed {
            if body.len() > ANSWER_BYTES_MAX {
                return Ok(None);
            }
            if found < limit.max {
                chunk.key(index, &mut key)?;
                body.raw(if found > 0 { "," } else { "" }).labels(&key);
            }
            found += 1;
        }
    }
    body.raw("]").raw(limit.tail(found));
    Ok(Some(body.into_bytes()))
}
