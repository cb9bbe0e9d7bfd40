//! `Admin` over many nodes.
//!
//! 1. What changes data is done by all nodes or refused: a delete that one node has not heard of would come back from it.
//! 2. Lists are united. Statistics are added up; where each series is on several nodes, they are divided by the number of copies.
//! 3. Snapshots are made on every node by its own name; who wants one asks the nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{Tenant, TimeRange};
use rpc::{Node, RpcError};
use storage_api::{
    Admin, AdminError, BoxFuture, Cardinality, CardinalityRequest, Completeness, DeleteRequest, MetadataEntry,
    NamedCount, StoreStats,
};

use crate::{
    Gather, Members,
    ask::ask,
    coverage::{nobody_answers, not_wanted},
};

/// Each node is asked for the counts of so many names, of which the first are answered when all are added up.
const NAMES_ASKED: usize = 10_000;

impl Admin for Gather {
    fn flush<'a>(&'a self) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async move { self.every(|node| async move { node.flush().await }).await.map(drop) })
    }

    fn merge<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async move {
            let prefix: Arc<str> = prefix.into();
            let question = move |node: Arc<Node>| {
                let prefix = Arc::clone(&prefix);
                async move { node.merge(&prefix).await }
            };
            self.every(question).await.map(drop)
        })
    }

    fn create_snapshot<'a>(&'a self) -> BoxFuture<'a, Result<String, AdminError>> {
        Box::pin(async move { Err(of_nodes()) })
    }

    fn list_snapshots(&self) -> Result<Vec<String>, AdminError> {
        Err(of_nodes())
    }

    fn delete_snapshot(&self, _: &str) -> Result<(), AdminError> {
        Err(of_nodes())
    }

    fn check_delete<'a>(&'a self, request: DeleteRequest) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async move { self.check_deletes(&self.members(), &Arc::new(request)).await })
    }

    fn delete_series<'a>(&'a self, request: DeleteRequest) -> BoxFuture<'a, Result<u64, AdminError>> {
        Box::pin(async move {
            let (members, request) = (self.members(), Arc::new(request));
            // Where one refuses none begins: what only some have deleted is deleted for nobody.
            self.check_deletes(&members, &request).await?;
            let question = move |node: Arc<Node>| {
                let request = Arc::clone(&request);
                async move { node.delete_series(&request).await }
            };
            let mut answers = ask(&self.runtime, &members, question);
            let (mut hit, mut done, mut failed) = (0, 0, None);
            while let Some((_, answer)) = answers.next().await {
                match answer {
                    Ok(number) => (hit, done) = (hit + number, done + 1),
                    Err(why) => failed = Some(why),
                }
            }
            match failed {
                None => Ok(members.copies().count_once(hit)),
                Some(why) if done == 0 => Err(why.into()),
                Some(why) => Err(AdminError::Unavailable(format!(
                    "{done} of {} storage nodes have deleted the series, not all: {why}; say it again",
                    members.nodes().len()
                ))),
            }
        })
    }

    fn tenants<'a>(&'a self, range: TimeRange) -> BoxFuture<'a, Result<Vec<Tenant>, AdminError>> {
        Box::pin(async move {
            let all = self.every(move |node| async move { node.tenants(range).await }).await?;
            Ok(all.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect())
        })
    }

    fn metadata<'a>(
        &'a self,
        tenant: Tenant,
        metric: Option<&'a str>,
        limit: usize,
        completeness: &'a Completeness,
    ) -> BoxFuture<'a, Result<Vec<MetadataEntry>, AdminError>> {
        Box::pin(async move {
            let (members, metric) = (self.members(), metric.map(Arc::<str>::from));
            let question = |node: Arc<Node>| {
                let (metric, completeness) = (metric.clone(), completeness.clone());
                async move { node.metadata(tenant, metric.as_deref(), limit, &completeness).await }
            };
            let mut answers = ask(&self.runtime, &members, question);
            let mut all: BTreeMap<(String, String, String, String), MetadataEntry> = BTreeMap::new();
            let mut away = Vec::new();
            while let Some((place, answer)) = answers.next().await {
                match answer {
                    Ok(entries) => all.extend(entries.into_iter().map(|entry| {
                        let MetadataEntry { metric, kind, help, unit } = entry.clone();
                        ((metric, kind, help, unit), entry)
                    })),
                    Err(why) if why.is_absence() => away.push((place, why)),
                    Err(why) => return Err(why.into()),
                }
            }
            check_away(&members, &away, completeness)?;
            Ok(all.into_values().take(limit).collect())
        })
    }

    fn cardinality<'a>(&'a self, request: CardinalityRequest) -> BoxFuture<'a, Result<Cardinality, AdminError>> {
        Box::pin(async move {
            let (top, members) = (request.top, self.members());
            // What is seldom on one node may be frequent on all.
            let request = Arc::new(CardinalityRequest { top: top.max(NAMES_ASKED), ..request });
            let question = move |node: Arc<Node>| {
                let request = Arc::clone(&request);
                async move { node.cardinality(&request).await }
            };
            let all = self.every(question).await?;
            Ok(add_up(&all, top, |counted| members.copies().count_once(counted)))
        })
    }

    /// A node that gathers keeps nothing.
    fn stats(&self) -> StoreStats {
        StoreStats::default()
    }
}

/// Whether there may be an answer without nodes that are away; notes if it lacks what they know.
fn check_away(members: &Members, away: &[(usize, RpcError)], completeness: &Completeness) -> Result<(), AdminError> {
    let Some((_, why)) = away.first() else { return Ok(()) };
    let nodes = members.nodes().len();
    if away.len() == nodes {
        return Err(AdminError::Unavailable(nobody_answers(why)));
    }
    if members.copies().spare(|node| away.iter().any(|(place, _)| *place == node)) {
        return Ok(());
    }
    if !completeness.may_lack() {
        return Err(AdminError::Unavailable(not_wanted(away.len(), nodes, why)));
    }
    completeness.lack();
    Ok(())
}

fn of_nodes() -> AdminError {
    AdminError::Invalid("snapshots are made by storage nodes: ask each of them".into())
}

impl Gather {
    async fn check_deletes(&self, members: &Members, request: &Arc<DeleteRequest>) -> Result<(), AdminError> {
        let question = |node: Arc<Node>| {
            let request = Arc::clone(request);
            async move { node.check_delete(&request).await }
        };
        self.every_of(members, question).await.map(drop)
    }

    /// Asks all nodes; fails if one is missing.
    pub(crate) async fn every<T, F, W>(&self, question: F) -> Result<Vec<T>, AdminError>
    where
        T: Send + 'static,
        F: Fn(Arc<Node>) -> W,
        W: Future<Output = Result<T, RpcError>> + Send + 'static,
    {
        self.every_of(&self.members(), question).await
    }

    async fn every_of<T, F, W>(&self, members: &Members, question: F) -> Result<Vec<T>, AdminError>
    where
        T: Send + 'static,
        F: Fn(Arc<Node>) -> W,
        W: Future<Output = Result<T, RpcError>> + Send + 'static,
    {
        let mut answers = ask(&self.runtime, members, question);
        let mut all = Vec::with_capacity(members.nodes().len());
        while let Some((_, answer)) = answers.next().await {
            all.push(answer.map_err(AdminError::from)?);
        }
        Ok(all)
    }
}

/// `once` makes one of all copies that were counted.
fn add_up(all: &[Cardinality], top: usize, once: impl Fn(u64) -> u64) -> Cardinality {
    let sum = |field: fn(&Cardinality) -> u64| once(all.iter().map(field).sum());
    let list =
        |field: fn(&Cardinality) -> &Vec<NamedCount>, together: fn(u64, u64) -> u64, once: &dyn Fn(u64) -> u64| {
            let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
            for entry in all.iter().flat_map(field) {
                let count = by_name.entry(&entry.name).or_default();
                *count = together(*count, entry.count);
            }
            let named = |(name, count): (&str, u64)| NamedCount { name: name.to_string(), count: once(count) };
            let mut counts: Vec<NamedCount> = by_name.into_iter().map(named).collect();
            counts.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.name.cmp(&other.name)));
            counts.truncate(top);
            counts
        };
    let add = |one: u64, other: u64| one + other;
    Cardinality {
        series: sum(|cardinality| cardinality.series),
        label_value_pairs: sum(|cardinality| cardinality.label_value_pairs),
        series_by_metric: list(|cardinality| &cardinality.series_by_metric, add, &once),
        series_by_label: list(|cardinality| &cardinality.series_by_label, add, &once),
        series_by_focus_value: list(|cardinality| &cardinality.series_by_focus_value, add, &once),
        series_by_pair: list(|cardinality| &cardinality.series_by_pair, add, &once),
        // Nodes have most values in common.
        values_by_label: list(|cardinality| &cardinality.values_by_label, u64::max, &|count| count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_added_up_and_copies_count_once() {
        let counts = |list: &[(&str, u64)]| {
            list.iter().map(|(name, count)| NamedCount { name: (*name).to_string(), count: *count }).collect::<Vec<_>>()
        };
        let one = Cardinality {
            series: 4,
            series_by_metric: counts(&[("a", 3), ("b", 1)]),
            values_by_label: counts(&[("pod", 7)]),
            ..Cardinality::default()
        };
        let other = Cardinality {
            series: 4,
            series_by_metric: counts(&[("c", 4), ("a", 1)]),
            values_by_label: counts(&[("pod", 9)]),
            ..Cardinality::default()
        };
        let both = add_up(&[one.clone(), other.clone()], 2, |count| count);
        assert_eq!((both.series, both.series_by_metric), (8, counts(&[("a", 4), ("c", 4)])));
        assert_eq!(both.values_by_label, counts(&[("pod", 9)]));
        assert_eq!(add_up(&[one, other], 9, |count| count / 2).series, 4);
    }
}
