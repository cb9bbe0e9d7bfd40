//! `Select` over many nodes.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
};

use model::{Matcher, Selector, SeriesKey, Tenant, TimeRange};
use rpc::{Found, RpcError, read_key};
use storage_api::{
    BoxFuture, Completeness, LabelsWanted, NamesRequest, SamplesWanted, Select, SelectError, SelectRequest, SeriesData,
    SeriesStream, ShardSet, ValuesRequest, Version,
};
use tokio::runtime::Handle;

use crate::{
    Gather, Members,
    ask::ask,
    coverage::Coverage,
    join::Joining,
    merge::{Merge, Shared},
    rounds::{Rounds, StandIns, stand_in},
};

impl Select for Gather {
    fn select<'a>(&'a self, request: SelectRequest) -> BoxFuture<'a, Result<Box<dyn SeriesStream>, SelectError>> {
        Box::pin(async move { Ok(Box::new(self.gather(request).await?) as Box<dyn SeriesStream>) })
    }

    fn takes_sub_plans(&self) -> bool {
        true
    }

    fn label_names<'a>(&'a self, request: NamesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async move {
            let (completeness, limit) = (request.budget.completeness.clone(), request.limit);
            let request = Arc::new(request);
            let question = move |node: Arc<rpc::Node>| {
                let request = Arc::clone(&request);
                async move { node.label_names(&request).await }
            };
            self.texts(question, completeness, limit).await
        })
    }

    fn label_values<'a>(&'a self, request: ValuesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async move {
            let (completeness, limit) = (request.names.budget.completeness.clone(), request.names.limit);
            let request = Arc::new(request);
            let question = move |node: Arc<rpc::Node>| {
                let request = Arc::clone(&request);
                async move { node.label_values(&request).await }
            };
            self.texts(question, completeness, limit).await
        })
    }

    /// Exact where each series is on one node. Copies are counted by their number, which is right while all nodes are there.
    fn series_count<'a>(&'a self, tenant: Tenant) -> BoxFuture<'a, Result<u64, SelectError>> {
        Box::pin(async move {
            let members = self.members();
            let question = move |node: Arc<rpc::Node>| async move { node.series_count(tenant).await };
            let none = |_: &u64| ShardSet::empty();
            let counts = self.all(&members, question, none, Completeness::required()).await?;
            Ok(members.copies().count_once(counts.into_iter().map(|(_, count)| count).sum()))
        })
    }

    fn versions(&self, tenant: Tenant, ranges: &[TimeRange]) -> Vec<Version> {
        if ranges.is_empty() {
            return Vec::new();
        }
        let members = self.members();
        let asked = |range: &TimeRange| {
            let joining = Joining {
                collapse: false,
                one_per_timestamp: false,
                dedup_interval_ms: self.options.dedup_interval_ms,
                range: *range,
            };
            joining.range_asked()
        };
        let asked: Arc<[TimeRange]> = ranges.iter().map(asked).collect();
        let mut answers = ask(&self.runtime, &members, move |node| {
            let asked = Arc::clone(&asked);
            async move { node.versions(tenant, &asked).await }
        });
        let asking = async move {
            let (mut all, mut away) = (Vec::new(), Vec::new());
            while let Some((node, answer)) = answers.next().await {
                match answer {
                    Ok(versions) => all.push((node, versions)),
                    Err(_) => away.push(node),
                }
            }
            all.sort_unstable_by_key(|(node, _)| *node);
            (all, away)
        };
        let asked = wait(&self.runtime, asking);
        // The versions of some nodes say everything while others have all that those have that are away; should they not, they say that too.
        let spare = |away: &[usize]| away.is_empty() || members.copies().spare(|node| away.contains(&node));
        let Some((all, _)) = asked.filter(|(all, away)| !all.is_empty() && spare(away)) else {
            return ranges.iter().map(|_| Version(self.unique())).collect();
        };
        let together = |place: usize| {
            let mut hash = DefaultHasher::new();
            members.version().hash(&mut hash);
            all.iter().for_each(|(node, versions)| (node, versions[place]).hash(&mut hash));
            Version(hash.finish())
        };
        (0..ranges.len()).map(together).collect()
    }
}

impl Gather {
    async fn gather(&self, request: SelectRequest) -> Result<Merge, SelectError> {
        self.stats.requests.fetch_add(1, Relaxed);
        let members = self.members();
        let budget = request.budget.clone();
        let joining = Joining {
            collapse: self.collapses(&members),
            one_per_timestamp: request.one_per_timestamp,
            dedup_interval_ms: self.options.dedup_interval_ms,
            range: request.range,
        };
        let labels = request.labels.clone();
        let mut asked = SelectRequest {
            range: joining.range_asked(),
            samples_from: joining.samples_asked_from(request.samples_from),
            ..request
        };
        if !joining.keeps_single() {
            // Which samples count is decided here, where all of an interval are.
            asked.sub_plan = None;
            asked.samples = match asked.samples {
                SamplesWanted::Heads(_) => SamplesWanted::Raw,
                other => other,
            };
        }
        // Series are merged by their whole keys.
        asked.labels = LabelsWanted::All;
        self.stats.sub_plans.fetch_add(u64::from(asked.sub_plan.is_some()), Relaxed);
        let asked = Arc::new(asked);
        let mut coverage = Coverage::new(Arc::clone(&members), budget.completeness.clone());
        let rounds = Rounds::new(self, Arc::clone(&members), Arc::clone(&asked));
        let pieces = rounds.run(&mut coverage).await?;
        let again = Again { members: Arc::clone(&members), request: asked, runtime: self.runtime.clone() };
        let shared = Shared { joining, labels, again, stats: Arc::clone(&self.stats) };
        Ok(Merge::new(pieces, coverage, budget, shared))
    }

    async fn texts<F, W>(
        &self,
        question: F,
        completeness: Completeness,
        limit: usize,
    ) -> Result<Vec<String>, SelectError>
    where
        F: Fn(Arc<rpc::Node>) -> W,
        W: Future<Output = Result<Found, RpcError>> + Send + 'static,
    {
        let members = self.members();
        let found = self.all(&members, question, |found| found.complete.clone(), completeness).await?;
        let all: BTreeSet<String> = found.into_iter().flat_map(|(_, found)| found.texts).collect();
        Ok(all.into_iter().take(limit).collect())
    }

    /// Asks all nodes and waits for all answers that are needed.
    pub(crate) async fn all<T, F, W>(
        &self,
        members: &Arc<Members>,
        question: F,
        complete: impl Fn(&T) -> ShardSet,
        completeness: Completeness,
    ) -> Result<Vec<(usize, T)>, SelectError>
    where
        T: Send + 'static,
        F: Fn(Arc<rpc::Node>) -> W,
        W: Future<Output = Result<T, RpcError>> + Send + 'static,
    {
        self.stats.requests.fetch_add(1, Relaxed);
        let mut coverage = Coverage::new(Arc::clone(members), completeness);
        self.all_with(members, question, complete, &mut coverage).await
    }

    async fn all_with<T, F, W>(
        &self,
        members: &Arc<Members>,
        question: F,
        complete: impl Fn(&T) -> ShardSet,
        coverage: &mut Coverage,
    ) -> Result<Vec<(usize, T)>, SelectError>
    where
        T: Send + 'static,
        F: Fn(Arc<rpc::Node>) -> W,
        W: Future<Output = Result<T, RpcError>> + Send + 'static,
    {
        let mut answers = ask(&self.runtime, members, question);
        let mut all = Vec::with_capacity(members.nodes().len());
        while let Some((node, answer)) = answers.next().await {
            match answer {
                Ok(answer) => {
                    coverage.answered(node, complete(&answer));
                    all.push((node, answer));
                }
                Err(error) => {
                    self.is_away(members, node, &error);
                    coverage.missing(node, error)?;
                }
            }
            if self.options.skip_slow && coverage.is_enough() {
                break;
            }
        }
        let checked = coverage.check();
        self.count(&checked, coverage);
        checked?;
        all.sort_by_key(|(node, _)| *node);
        Ok(all)
    }
}

/// Asks nodes once more for a series whose samples cannot be joined as they came.
pub struct Again {
    members: Arc<Members>,
    request: Arc<SelectRequest>,
    runtime: Handle,
}

impl Again {
    /// Samples of these shards from all nodes but some, or why one gives none. Blocks the thread.
    pub fn stand_in(&self, shards: &ShardSet, without: &[usize]) -> Result<StandIns, SelectError> {
        stand_in(&self.runtime, &self.members, &self.request, (shards, without))
    }

    /// The samples of one series one by one, from each of these nodes. Blocks the thread.
    pub fn raw(&self, key: &[u8], nodes: &[usize]) -> Result<Vec<SeriesData>, SelectError> {
        let mut series = SeriesKey::default();
        read_key(key, &mut series)?;
        let equal = series.labels().map(|(name, value)| Matcher::equal(name.into_owned(), value.into_owned()));
        let request = SelectRequest {
            selector: Selector::all_of(equal.collect()),
            samples: SamplesWanted::Raw,
            samples_from: i64::MIN,
            labels: LabelsWanted::All,
            sub_plan: None,
            shards: None,
            ..SelectRequest::clone(&self.request)
        };
        let mut all = Vec::new();
        for node in nodes {
            let (node, request) = (Arc::clone(&self.members.nodes()[*node]), request.clone());
            let stream = wait(&self.runtime, async move { node.select(&request).await });
            let stream = stream.ok_or_else(|| SelectError::Unavailable("the node is stopping".into()))??;
            while let Some(mut chunk) = stream.next()? {
                let mut found = SeriesKey::default();
                for index in 0..chunk.len() {
                    // Equality of some labels does not say that there are no others.
                    chunk.key(index, &mut found)?;
                    if found == series {
                        let mut data = SeriesData::default();
                        chunk.read(index, &mut data)?;
                        all.push(data);
                    }
                }
            }
        }
        Ok(all)
    }
}

/// Lets the runtime do the work and blocks the thread until it is done; `None` if the runtime stops.
pub fn wait<T: Send + 'static>(runtime: &Handle, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime.spawn(async move { drop(sender.send(work.await)) });
    receiver.recv().ok()
}
