//! A store of a few series in memory, which can be told to fail.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use model::{KeyBuilder, MatchOp, Matcher, Selector, SeriesId, SeriesKey, Tenant, TimeRange};
use storage_api::{
    Admin, AdminError, BoxFuture, Budget, Cancel, Cardinality, CardinalityRequest, Completeness, DeleteRequest,
    MetadataEntry, NamedCount, NamesRequest, Select, SelectError, SelectRequest, SeriesChunk, SeriesData, SeriesStream,
    StoreStats, ValuesRequest, Version,
};

/// The store.
#[derive(Default)]
pub struct Fake {
    pub series: Vec<(SeriesKey, Vec<(i64, f64)>)>,
    /// Reading the series of this number fails.
    pub broken: Option<usize>,
    pub deleted: Mutex<Vec<String>>,
    pub snapshots: Mutex<Vec<String>>,
    pub flushes: AtomicUsize,
    pub merges: Mutex<Vec<String>>,
    /// The budgets of the requests that came.
    pub budgets: Mutex<Vec<Budget>>,
}

impl Fake {
    /// Adds a series with samples of one second's distance.
    pub fn with(mut self, labels: &[(&str, &str)], values: &[f64]) -> Self {
        let mut builder = KeyBuilder::new();
        labels.iter().for_each(|(name, value)| builder.push(name, value));
        let key = builder.build(Tenant::DEFAULT).expect("labels name a series");
        let samples = values.iter().enumerate().map(|(n, value)| (n as i64 * 1000, *value)).collect();
        self.series.push((key, samples));
        self
    }

    pub fn last_cancel(&self) -> Cancel {
        self.budgets.lock().expect("nobody panics").last().expect("a request came").cancel.clone()
    }

    fn found(&self, selector: &Selector, budget: &Budget) -> Result<Vec<usize>, SelectError> {
        self.budgets.lock().expect("nobody panics").push(budget.clone());
        budget.check()?;
        let numbers: Vec<usize> = (0..self.series.len()).filter(|n| matches(&self.series[*n].0, selector)).collect();
        budget.check_series(numbers.len() as u64)?;
        Ok(numbers)
    }
}

fn matches(key: &SeriesKey, selector: &Selector) -> bool {
    let holds = |matcher: &Matcher| {
        let value = key.label(&matcher.name).unwrap_or_default();
        match matcher.op {
            MatchOp::Equal => value == matcher.value,
            MatchOp::NotEqual => value != matcher.value,
            // Enough of a regular expression for these tests.
            MatchOp::Regex => value.starts_with(matcher.value.trim_end_matches(".*")),
            MatchOp::NotRegex => !value.starts_with(matcher.value.trim_end_matches(".*")),
        }
    };
    selector.any_of.iter().any(|set| set.iter().all(holds))
}

struct Chunk {
    position: u64,
    key: SeriesKey,
    samples: Result<Vec<(i64, f64)>, SelectError>,
}

struct Stream(Mutex<std::vec::IntoIter<Chunk>>);

impl SeriesStream for Stream {
    fn next(&self) -> Result<Option<Box<dyn SeriesChunk>>, SelectError> {
        let chunk = self.0.lock().expect("nobody panics").next();
        Ok(chunk.map(|chunk| Box::new(chunk) as Box<dyn SeriesChunk>))
    }

    fn series_total(&self) -> Option<u64> {
        None
    }
}

impl SeriesChunk for Chunk {
    fn position(&self) -> u64 {
        self.position
    }

    fn len(&self) -> usize {
        1
    }

    fn id(&self, _: usize) -> SeriesId {
        SeriesId::of(&self.key)
    }

    fn key(&self, _: usize, key: &mut SeriesKey) -> Result<(), SelectError> {
        key.clone_from(&self.key);
        Ok(())
    }

    fn read(&mut self, _: usize, data: &mut SeriesData) -> Result<(), SelectError> {
        let samples = self.samples.as_ref().map_err(Clone::clone)?;
        data.times = Arc::new(samples.iter().map(|sample| sample.0).collect());
        data.values = samples.iter().map(|sample| sample.1).collect();
        Ok(())
    }
}

impl Select for Fake {
    fn select<'a>(&'a self, request: SelectRequest) -> BoxFuture<'a, Result<Box<dyn SeriesStream>, SelectError>> {
        Box::pin(async move {
            let numbers = self.found(&request.selector, &request.budget)?;
            let chunk = |(position, number): (usize, &usize)| {
                let (key, samples) = self.series[*number].clone();
                let inside = samples.into_iter().filter(|sample| request.range.contains(sample.0)).collect();
                let broken = self.broken == Some(*number);
                let samples = if broken { Err(SelectError::Corrupt("block 7".into())) } else { Ok(inside) };
                Chunk { position: position as u64, key, samples }
            };
            let chunks: Vec<Chunk> = numbers.iter().enumerate().map(chunk).collect();
            Ok(Box::new(Stream(Mutex::new(chunks.into_iter()))) as Box<dyn SeriesStream>)
        })
    }

    fn label_names<'a>(&'a self, request: NamesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async move {
            let numbers = self.found(&request.selector, &request.budget)?;
            let labels = numbers.iter().flat_map(|n| self.series[*n].0.labels()).map(|(name, _)| name.into_owned());
            Ok(sorted(labels, request.limit))
        })
    }

    fn label_values<'a>(&'a self, request: ValuesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async move {
            let numbers = self.found(&request.names.selector, &request.names.budget)?;
            let values = numbers.iter().filter_map(|n| self.series[*n].0.label(&request.label)).map(|v| v.into_owned());
            Ok(sorted(values, request.names.limit))
        })
    }

    fn series_count<'a>(&'a self, _: Tenant) -> BoxFuture<'a, Result<u64, SelectError>> {
        Box::pin(async move { Ok(self.series.len() as u64) })
    }

    fn versions(&self, _: Tenant, ranges: &[TimeRange]) -> Vec<Version> {
        vec![Version(0); ranges.len()]
    }
}

fn sorted(texts: impl Iterator<Item = String>, limit: usize) -> Vec<String> {
    let set: std::collections::BTreeSet<String> = texts.collect();
    set.into_iter().take(limit).collect()
}

impl Admin for Fake {
    fn flush<'a>(&'a self) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async move {
            self.flushes.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    }

    fn merge<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async move {
            self.merges.lock().expect("nobody panics").push(prefix.to_string());
            if prefix == "bad" { Err(AdminError::Failed("disk".into())) } else { Ok(()) }
        })
    }

    fn create_snapshot<'a>(&'a self) -> BoxFuture<'a, Result<String, AdminError>> {
        Box::pin(async move {
            let mut snapshots = self.snapshots.lock().expect("nobody panics");
            let name = format!("s{}", snapshots.len());
            snapshots.push(name.clone());
            Ok(name)
        })
    }

    fn list_snapshots(&self) -> Result<Vec<String>, AdminError> {
        Ok(self.snapshots.lock().expect("nobody panics").clone())
    }

    fn delete_snapshot(&self, name: &str) -> Result<(), AdminError> {
        let mut snapshots = self.snapshots.lock().expect("nobody panics");
        let place = snapshots.iter().position(|have| have == name);
        let place = place.ok_or_else(|| AdminError::NotFound(format!("no snapshot {name}")))?;
        snapshots.remove(place);
        Ok(())
    }

    fn check_delete<'a>(&'a self, _: DeleteRequest) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async { Ok(()) })
    }

    fn delete_series<'a>(&'a self, request: DeleteRequest) -> BoxFuture<'a, Result<u64, AdminError>> {
        let text = format!("{} {:?} {:?}", request.tenant, request.selector.any_of, request.range);
        self.deleted.lock().expect("nobody panics").push(text);
        Box::pin(async { Ok(1) })
    }

    fn tenants<'a>(&'a self, _: TimeRange) -> BoxFuture<'a, Result<Vec<Tenant>, AdminError>> {
        Box::pin(async { Ok(vec![Tenant::DEFAULT]) })
    }

    fn metadata<'a>(
        &'a self,
        _: Tenant,
        metric: Option<&'a str>,
        limit: usize,
        _: &'a Completeness,
    ) -> BoxFuture<'a, Result<Vec<MetadataEntry>, AdminError>> {
        let entry = |metric: &str, help: &str| MetadataEntry {
            metric: metric.into(),
            kind: "gauge".into(),
            help: help.into(),
            unit: "s".into(),
        };
        let all = [entry("a", "one"), entry("a", "two"), entry("b", "three")];
        let of_it = all.into_iter().filter(|entry| metric.is_none_or(|metric| entry.metric == metric)).take(limit);
        let of_it = of_it.collect();
        Box::pin(async { Ok(of_it) })
    }

    fn cardinality<'a>(&'a self, request: CardinalityRequest) -> BoxFuture<'a, Result<Cardinality, AdminError>> {
        let name = format!(
            "top {} days {}",
            request.top,
            (request.range.max as i128 - request.range.min as i128) / 86_399_999
        );
        let series_by_metric = vec![NamedCount { name, count: 3 }];
        Box::pin(async { Ok(Cardinality { series: 3, series_by_metric, ..Cardinality::default() }) })
    }

    fn stats(&self) -> StoreStats {
        StoreStats { part_samples: 42, read_only: true, ..StoreStats::default() }
    }
}
