//! Where the samples are: a store that does sub-plans.
//!
//! 1. A request without a sub-plan, or with one that means nothing here, goes to the store as it is.
//! 2. A fold is run to its end by several threads, as in a query; its groups are the answer, in order of their labels.
//! 3. Rows are made as they are asked for.
//! 4. The limits are those of queries of this process: memory, samples, threads. The request's own deadline and cancellation hold for all of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use model::{Tenant, TimeRange};
use storage_api::{
    BoxFuture, Budget, LabelsWanted, NamesRequest, SamplesWanted, Select, SelectError, SelectRequest, SeriesStream,
    ShardSet, ValuesRequest, Version,
};

use super::{
    Remade,
    groups::{GroupStream, key_of},
    rows::RowStream,
};
use crate::{
    api::{Query, QueryError, Span},
    budget::{AllQueries, Ledger},
    eval::{Common, Evaluation, batches::block_on, fetch::samples_wanted, fold::FoldPlan},
    functions::Annotations,
    options::EngineOptions,
    trace::Trace,
};

/// A store that does sub-plans.
pub struct PartialAnswers {
    store: Arc<dyn Select>,
    options: EngineOptions,
    all: Arc<AllQueries>,
    stats: PartialStats,
}

/// What was done.
#[derive(Debug, Default)]
pub struct PartialStats {
    /// Requests that were answered with states of groups.
    pub folds: AtomicU64,
    /// Requests that were answered with rows, or with samples where these are fewer.
    pub rows: AtomicU64,
    /// Sub-plans that mean nothing here.
    pub ignored: AtomicU64,
}

/// How many samples may be looked at; no limit is the largest number.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    of_series: u64,
    of_all: u64,
}

impl Limits {
    /// Fails if a series, or all so far, have too many.
    pub fn check(self, of_series: u64, of_all: u64) -> Result<(), SelectError> {
        if of_series > self.of_series {
            return Err(SelectError::TooCostly(format!(
                "a series has {of_series} samples in the time range, -search.maxSamplesPerSeries of the storage node allows {}",
                self.of_series
            )));
        }
        if of_all > self.of_all {
            return Err(SelectError::TooCostly(format!(
                "the query looks at {of_all} samples at least, -search.maxSamplesPerQuery of the storage node allows {}",
                self.of_all
            )));
        }
        Ok(())
    }
}

/// A failure of a query as one of a store.
pub fn refused(error: QueryError) -> SelectError {
    match error {
        QueryError::Cancelled => SelectError::Cancelled,
        QueryError::Timeout(_) => SelectError::DeadlinePassed,
        QueryError::Limit(what) | QueryError::Evaluation(what) | QueryError::Parse(what) => {
            SelectError::TooCostly(what)
        }
        QueryError::Unavailable(what) => SelectError::Unavailable(what),
        QueryError::Internal(what) => SelectError::Corrupt(what),
    }
}

impl PartialAnswers {
    /// Does sub-plans over this store.
    pub fn new(store: Arc<dyn Select>, options: EngineOptions) -> Self {
        let all = Arc::new(AllQueries::new(&options));
        Self { store, options, all, stats: PartialStats::default() }
    }

    /// What was done.
    pub fn stats(&self) -> &PartialStats {
        &self.stats
    }

    async fn answer(&self, mut request: SelectRequest) -> Result<Box<dyn SeriesStream>, SelectError> {
        let Some(sub_plan) = request.sub_plan.take() else { return self.store.select(request).await };
        let Some(remade) = Remade::of(&sub_plan) else {
            self.stats.ignored.fetch_add(1, Relaxed);
            return self.store.select(request).await;
        };
        request.samples = match samples_wanted(&remade.plan(&request.selector, request.range)) {
            SamplesWanted::None => SamplesWanted::Raw,
            wanted => wanted,
        };
        request.samples_from = i64::MIN;
        if remade.fold.is_some() {
            self.stats.folds.fetch_add(1, Relaxed);
            return self.fold(request, &remade).map(|groups| Box::new(groups) as Box<dyn SeriesStream>);
        }
        self.stats.rows.fetch_add(1, Relaxed);
        let or_unlimited = |limit: u64| if limit == 0 { u64::MAX } else { limit };
        let limits = Limits {
            of_series: or_unlimited(self.options.samples_per_series_max),
            of_all: or_unlimited(self.options.samples_per_query_max),
        };
        request.labels = LabelsWanted::All;
        let stream = self.store.select(request).await?;
        Ok(Box::new(RowStream::new(stream, remade, limits)))
    }

    /// Runs a fold to its end. Blocks the thread.
    fn fold(&self, request: SelectRequest, remade: &Remade) -> Result<GroupStream, SelectError> {
        let Some((kind, grouping)) = &remade.fold else {
            return Err(SelectError::Corrupt("a fold without a fold".into()));
        };
        let (tenant, selector, budget) = (request.tenant, request.selector.clone(), request.budget.clone());
        let query = query_of(remade, tenant, &budget);
        let mut ledger = Ledger::new(&query, &self.options, &self.all);
        ledger.budget.series_max = budget.series_max;
        let evaluation = Evaluation {
            select: &*self.store,
            options: &self.options,
            query: &query,
            grid: remade.layout.grid,
            now: 0,
            lookback: 0,
            notes: Annotations::new(""),
            ledger,
            trace: Trace::new(false),
            common: Common::default(),
            watch: None,
        };
        let plan = remade.plan(&selector, request.range);
        let fold = FoldPlan::new(*kind, grouping.as_ref());
        let labels = fold.labels_wanted(false);
        let wants_keys = labels != LabelsWanted::None;
        let stream = block_on(self.store.select(SelectRequest { labels, ..request }))?;
        let found = AtomicBool::new(false);
        let folded = evaluation.fold_stream(&*stream, &plan, &fold, wants_keys, &found).map_err(refused)?;
        let mut groups = folded.into_states();
        groups.sort_by(|(one, _), (other, _)| one.cmp(other));
        let group = |(labels, state)| Ok((key_of(tenant, &labels)?, state));
        let groups = groups.into_iter().map(group).collect::<Result<_, SelectError>>()?;
        Ok(GroupStream::new(groups, stream.series_total(), evaluation.ledger.read().1))
    }
}

/// A query of which the plan could be a part.
fn query_of(remade: &Remade, tenant: Tenant, budget: &Budget) -> Query {
    let grid = remade.layout.grid;
    let span = Span::Range { start: grid.start, end: grid.end(), step: grid.step };
    Query {
        deadline: budget.deadline,
        cancel: budget.cancel.clone(),
        completeness: budget.completeness.clone(),
        ..Query::new(tenant, "", remade.dialect, span)
    }
}

impl Select for PartialAnswers {
    fn select<'a>(&'a self, request: SelectRequest) -> BoxFuture<'a, Result<Box<dyn SeriesStream>, SelectError>> {
        Box::pin(self.answer(request))
    }

    fn label_names<'a>(&'a self, request: NamesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        self.store.label_names(request)
    }

    fn label_values<'a>(&'a self, request: ValuesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        self.store.label_values(request)
    }

    fn series_count<'a>(&'a self, tenant: Tenant) -> BoxFuture<'a, Result<u64, SelectError>> {
        self.store.series_count(tenant)
    }

    fn shards(&self, range: TimeRange) -> ShardSet {
        self.store.shards(range)
    }

    fn takes_sub_plans(&self) -> bool {
        true
    }

    fn versions(&self, tenant: Tenant, ranges: &[TimeRange]) -> Vec<Version> {
        self.store.versions(tenant, ranges)
    }
}
