//! A store whose metric names are counted when somebody reads their samples, see [`NamesStats`].

use std::sync::Arc;

use model::{Clock, METRIC_NAME, MatchOp, Matcher, Selector, Tenant, TimeRange};
use storage_api::{
    BoxFuture, NamesRequest, SamplesWanted, Select, SelectError, SelectRequest, SeriesStream, ShardSet, ValuesRequest,
    Version,
};

use crate::NamesStats;

/// Names that one selector counts for, where it does not name them.
const NAMES_MAX: usize = 10_000;

/// See the module.
pub struct Counting {
    select: Arc<dyn Select>,
    clock: Arc<dyn Clock>,
    stats: Arc<NamesStats>,
}

impl Counting {
    /// Counts what is asked of `select`.
    pub fn new(select: Arc<dyn Select>, clock: Arc<dyn Clock>, stats: Arc<NamesStats>) -> Self {
        Self { select, clock, stats }
    }

    async fn count(&self, asked: &Asked, stream: &dyn SeriesStream) {
        if stream.series_total() == Some(0) {
            return;
        }
        let (tenant, now_ms) = (asked.request.names.tenant, self.clock.now_ms());
        if let Some(names) = named(&asked.request.names.selector) {
            return self.stats.count(tenant, names, now_ms);
        }
        // Statistics are not worth a failure: what is wrong with the request shows where its samples are read.
        let found = self.select.label_values(asked.request.clone()).await.unwrap_or_default();
        self.stats.count(tenant, found.iter().map(String::as_str), now_ms);
    }
}

/// What has to be known of a request when its series are found.
struct Asked {
    request: ValuesRequest,
}

impl Asked {
    /// `None` for a request of nobody's samples.
    fn of(request: &SelectRequest) -> Option<Self> {
        if request.samples == SamplesWanted::None {
            return None;
        }
        let names = NamesRequest {
            tenant: request.tenant,
            selector: request.selector.clone(),
            range: request.range,
            limit: NAMES_MAX,
            budget: request.budget.clone(),
        };
        Some(Self { request: ValuesRequest { label: METRIC_NAME.to_string(), names } })
    }
}

/// The metric names of a selector; `None` if one of its alternatives does not name one.
fn named(selector: &Selector) -> Option<Vec<&str>> {
    let is_name = |matcher: &&Matcher| matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal;
    let alternatives = selector.any_of.iter().map(|all_of| Some(all_of.iter().find(is_name)?.value.as_str()));
    let mut names: Vec<&str> = alternatives.collect::<Option<_>>()?;
    names.sort_unstable();
    names.dedup();
    Some(names)
}

impl Select for Counting {
    fn select<'a>(&'a self, request: SelectRequest) -> BoxFuture<'a, Result<Box<dyn SeriesStream>, SelectError>> {
        Box::pin(async move {
            let asked = Asked::of(&request);
            let stream = self.select.select(request).await?;
            if let Some(asked) = asked {
                self.count(&asked, &*stream).await;
            }
            Ok(stream)
        })
    }

    fn label_names<'a>(&'a self, request: NamesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        self.select.label_names(request)
    }

    fn label_values<'a>(&'a self, request: ValuesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        self.select.label_values(request)
    }

    fn series_count<'a>(&'a self, tenant: Tenant) -> BoxFuture<'a, Result<u64, SelectError>> {
        self.select.series_count(tenant)
    }

    fn shards(&self, range: TimeRange) -> ShardSet {
        self.select.shards(range)
    }

    fn takes_sub_plans(&self) -> bool {
        self.select.takes_sub_plans()
    }

    fn versions(&self, tenant: Tenant, ranges: &[TimeRange]) -> Vec<Version> {
        self.select.versions(tenant, ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_may_name_its_metrics() {
        let selector = |alternatives: &[&str]| Selector {
            any_of: alternatives
                .iter()
                .map(|text| crate::selector::parse(text).expect("good").any_of.remove(0))
                .collect(),
        };
        assert_eq!(named(&selector(&["up{job=\"a\"}"])), Some(vec!["up"]));
        assert_eq!(named(&selector(&["b", "a", "b{x=\"1\"}"])), Some(vec!["a", "b"]));
        assert_eq!(named(&selector(&["up", "{job=\"a\"}"])), None);
        assert_eq!(named(&selector(&["{__name__=~\"up\"}"])), None);
        assert_eq!(named(&Selector::everything()), None);
    }
}
