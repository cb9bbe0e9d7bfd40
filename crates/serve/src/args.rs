//! Arguments that several endpoints share.

use basalt_http::{Params, StatusCode};
use model::{Matcher, Selector, TimeRange};
use storage_api::Completeness;

use crate::{
    Endpoint, Server,
    error::ApiError,
    selector,
    time::{self, TIME_FORMS},
};

/// Alternatives that a request's selectors and extra filters may come to together.
const ALTERNATIVES_MAX: usize = 10_000;
/// How far requests for labels look back if they do not say, before that is widened to whole days.
const LABELS_LOOKBACK_MS: i64 = 5 * 60_000;

impl Server {
    /// Fails if an endpoint is behind a key that the request does not have.
    pub(crate) fn check_key(&self, endpoint: Endpoint, params: &Params) -> Result<(), ApiError> {
        let keys = &self.options.keys;
        let (key, flag) = match endpoint {
            Endpoint::DeleteSeries => (&keys.delete, "deleteAuthKey"),
            Endpoint::SnapshotCreate
            | Endpoint::SnapshotCreatePrometheus
            | Endpoint::SnapshotList
            | Endpoint::SnapshotDelete
            | Endpoint::SnapshotDeleteAll => (&keys.snapshot, "snapshotAuthKey"),
            Endpoint::ForceMerge => (&keys.force_merge, "forceMergeAuthKey"),
            Endpoint::ResetCache => (&keys.reset_cache, "search.resetCacheAuthKey"),
            Endpoint::ResetNamesStats => (&keys.names_stats, "metricNamesStatsResetAuthKey"),
            Endpoint::ForceFlush => (&keys.force_flush, "forceFlushAuthKey"),
            Endpoint::Metrics => (&keys.metrics, "metricsAuthKey"),
            Endpoint::Flags => (&keys.flags, "flagsAuthKey"),
            _ => return Ok(()),
        };
        let given = params.get("authKey").unwrap_or("");
        if key.is_empty() || key.is(given) {
            return Ok(());
        }
        let why = format!("the provided authKey doesn't match -{flag}");
        Err(ApiError::new(StatusCode::UNAUTHORIZED, why))
    }

    /// Whether the answer may lack what nodes hold that do not answer.
    pub(crate) fn completeness(&self, params: &Params) -> Completeness {
        let denied = match params.get("deny_partial_response") {
            Some(_) => params.switch("deny_partial_response"),
            None => self.options.deny_partial,
        };
        if self.options.has_nodes && !denied { Completeness::may_be_partial() } else { Completeness::required() }
    }

    /// A time argument.
    pub(crate) fn time(&self, params: &Params, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = params.get(name) else {
            return Ok(None);
        };
        let wrong = || ApiError::bad_request(format!("cannot parse argument {name}={text:?}: want {TIME_FORMS}"));
        time::parse_time(text, self.clock.now_ms()).map(Some).ok_or_else(wrong)
    }

    /// From `start` (the beginning of time without it) to `end` (now without it).
    pub(crate) fn range(&self, params: &Params) -> Result<TimeRange, ApiError> {
        let start = self.time(params, "start")?.unwrap_or(0);
        let end = self.time(params, "end")?.unwrap_or_else(|| self.clock.now_ms());
        if start > end {
            return Err(ApiError::bad_request(format!("start ({start}) lies behind end ({end})")));
        }
        Ok(TimeRange::new(start, end))
    }

    /// The same in whole UTC days; without `start`, the day that the last minutes before `end` lie in. An `end` before `start` stands for the minutes
    /// behind it, as in VictoriaMetrics.
    pub(crate) fn days(&self, params: &Params) -> Result<TimeRange, ApiError> {
        let end = self.time(params, "end")?.unwrap_or_else(|| self.clock.now_ms());
        let start = self.time(params, "start")?.unwrap_or_else(|| end.saturating_sub(LABELS_LOOKBACK_MS));
        let end = if start > end { start.saturating_add(LABELS_LOOKBACK_MS) } else { end };
        Ok(TimeRange::new(time::day_start(start), time::day_end(end)))
    }
}

/// What `extra_label` and `extra_filters[]` come to: sets of matchers of which one must hold; none at all if there are no such arguments.
pub(crate) fn extra_filters(params: &Params) -> Result<Vec<Vec<Matcher>>, ApiError> {
    let mut filters = Vec::new();
    for text in ["extra_filters[]", "extra_filters"].into_iter().flat_map(|name| params.all(name)) {
        filters.extend(parse(text)?);
    }
    for label in params.all("extra_label") {
        let (name, value) = label.split_once('=').ok_or_else(|| {
            ApiError::bad_request(format!("cannot parse argument extra_label={label:?}: want name=value"))
        })?;
        if filters.is_empty() {
            filters.push(Vec::new());
        }
        filters.iter_mut().for_each(|set| set.push(Matcher::equal(name, value)));
    }
    if filters.len() > ALTERNATIVES_MAX {
        return Err(ApiError::bad_request(format!(
            "extra_filters[] come to more than {ALTERNATIVES_MAX} alternatives"
        )));
    }
    Ok(filters)
}

/// What the arguments `match[]` mean together with `extra_label` and `extra_filters[]`; everything if there is no `match[]`.
pub(crate) fn selector_or_everything(params: &Params) -> Result<Selector, ApiError> {
    let mut any_of = Vec::new();
    for text in ["match[]", "match"].into_iter().flat_map(|name| params.all(name)).filter(|text| !text.is_empty()) {
        any_of.extend(parse(text)?);
    }
    if any_of.is_empty() {
        any_of.push(Vec::new());
    }
    let filters = extra_filters(params)?;
    if filters.is_empty() {
        return Ok(Selector { any_of });
    }
    if any_of.len() * filters.len() > ALTERNATIVES_MAX {
        return Err(ApiError::bad_request(format!(
            "match[] and extra_filters[] come to more than {ALTERNATIVES_MAX} alternatives"
        )));
    }
    let both = |set: &Vec<Matcher>, filter: &Vec<Matcher>| set.iter().chain(filter).cloned().collect();
    Ok(Selector { any_of: any_of.iter().flat_map(|set| filters.iter().map(move |filter| both(set, filter))).collect() })
}

/// The same for endpoints that must not mean everything by accident.
pub(crate) fn selector(params: &Params) -> Result<Selector, ApiError> {
    let has_match = ["match[]", "match"].iter().any(|name| params.get(name).is_some());
    if !has_match {
        return Err(ApiError::bad_request("missing argument match[]"));
    }
    selector_or_everything(params)
}

fn parse(text: &str) -> Result<Vec<Vec<Matcher>>, ApiError> {
    let wrong = |error| ApiError::bad_request(format!("cannot parse selector {text:?}: {error}"));
    Ok(selector::parse(text).map_err(wrong)?.any_of)
}

/// The argument `limit`; `max` without it or over it.
pub(crate) fn limit(params: &Params, max: usize) -> Result<usize, ApiError> {
    let limit = params.number("limit")?.filter(|limit| *limit > 0);
    Ok(limit.map_or(max, |limit| usize::try_from(limit).unwrap_or(max).min(max)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alternatives(query: &str) -> Result<Vec<String>, String> {
        let selector =
            selector_or_everything(&Params::parse(query.as_bytes())).map_err(|error| error.why().to_string())?;
        let show = |set: &Vec<Matcher>| set.iter().map(Matcher::to_string).collect::<Vec<_>>().join(" ");
        Ok(selector.any_of.iter().map(show).collect())
    }

    #[test]
    fn extra_filters_hold_for_every_alternative() {
        assert_eq!(alternatives(""), Ok(vec![String::new()]));
        assert_eq!(
            alternatives("match[]=a&match[]={b=\"1\" or c=\"2\"}&extra_label=e=f&extra_filters[]={g=\"h\"}&extra_filters[]={i=\"j\"}")
                .map(|sets| (sets.len(), sets[2].clone())),
            Ok((6, r#"b="1" g="h" e="f""#.to_string()))
        );
        assert!(alternatives("match[]={").is_err_and(|why| why.contains("cannot parse selector")));
        assert!(alternatives("extra_label=e").is_err());
        assert!(selector(&Params::parse(b"match[]=")).is_err());
    }

    #[test]
    fn a_limit_is_never_over_the_bound() {
        for (query, want) in [("", 10), ("limit=0", 10), ("limit=3", 3), ("limit=30", 10)] {
            assert_eq!(limit(&Params::parse(query.as_bytes()), 10), Ok(want), "{query}");
        }
    }
}
