//! What queries of a cluster cost, beside a single node that holds the same samples in the same run.
//!
//! 1. A single node and an insert before two storages get the same traffic, which ends now; all that keep it flush and merge.
//! 2. Each query of the dashboard is asked of the single node and of a select, without results of former answers. The answers must agree. What counts is the CPU
//!    of all processes that have a part in the answer, and all bytes that storages send to the select.
//! 3. These bytes are set beside those that come to another select, which evaluates everything itself: with deduplication nothing is left to storages.

use std::{fmt::Write, io, path::Path, time::Duration};

use super::processes::Cluster;
use crate::{
    queries::{Answer, Cache, Plan, Query, SEARCH_FLAGS, ask, send, settle},
    server::Server,
};

/// A tick at least: a tiny run must not divide by zero.
const CPU_S_MIN: f64 = 0.01;
const STORAGES: usize = 2;
const COPIES: usize = 1;

/// One query.
#[derive(Debug, Clone)]
pub struct Cost {
    /// What was asked.
    pub query: Query,
    /// CPU of one request: of the single node, and of all nodes of the cluster.
    pub cpu_s: [f64; 2],
    /// Bytes that came to the select for one request, and to one that takes samples only.
    pub bytes: [f64; 2],
    /// How the cluster's answer differs.
    pub difference: Option<String>,
}

struct Contest<'a> {
    plan: &'a Plan,
    single: Server,
    cluster: Cluster,
    select: Server,
    select_raw: Server,
    end_s: i64,
}

/// Asks all queries.
pub fn run(
    plan: &Plan,
    program: &str,
    queries: &[Query],
    folder: &Path,
    mut progress: impl FnMut(&str),
) -> io::Result<Vec<Cost>> {
    let folder = tempfile::tempdir_in(folder)?;
    let single = format!(
        "{program} single -retentionPeriod=100y -httpListenAddr=127.0.0.1:$PORT -storageDataPath=$DATADIR {SEARCH_FLAGS}"
    );
    let single = Server::start(&single, &folder.path().join("single"))?;
    let cluster = Cluster::start(program, folder.path(), STORAGES, COPIES)?;
    let fed = send(plan, &[&single, &cluster.insert], folder.path(), &mut progress)?;
    settle(plan, cluster.storages.iter().flatten().chain([&single]), &mut progress)?;
    let select = cluster.start_select("select", SEARCH_FLAGS)?;
    let select_raw = cluster.start_select("select-raw", &format!("{SEARCH_FLAGS} -dedup.minScrapeInterval=1ms"))?;
    let contest = Contest { plan, single, cluster, select, select_raw, end_s: fed.end_s };
    let cost = |query: &Query| {
        progress(query.name);
        contest.cost(query)
    };
    queries.iter().map(cost).collect()
}

impl Contest<'_> {
    fn cost(&self, query: &Query) -> io::Result<Cost> {
        let mut rounds = Vec::new();
        let mut moved = 0.0;
        for _ in 0..self.plan.pairs.max(1) {
            let before = self.single.cpu_s()?;
            let asked = ask(self.plan, &self.single, query, self.end_s, 1, Cache::Unused)?.len();
            let alone = (self.single.cpu_s()? - before).max(CPU_S_MIN) / asked as f64;
            let (before, bytes) = (self.cluster_cpu_s()?, received(&self.select)?);
            let asked = ask(self.plan, &self.select, query, self.end_s, 1, Cache::Unused)?.len();
            let together = (self.cluster_cpu_s()? - before).max(CPU_S_MIN) / asked as f64;
            moved = (received(&self.select)? - bytes) / asked as f64;
            rounds.push([alone, together]);
        }
        let bytes = received(&self.select_raw)?;
        let few = Plan { queries_least: 1, least: Duration::ZERO, ..self.plan.clone() };
        let asked = ask(&few, &self.select_raw, query, self.end_s, 1, Cache::Unused)?.len();
        let raw = (received(&self.select_raw)? - bytes) / asked as f64;
        rounds.sort_by(|one, other| (one[1] / one[0]).total_cmp(&(other[1] / other[0])));
        let difference = self.difference(query)?;
        Ok(Cost { query: *query, cpu_s: rounds[rounds.len() / 2], bytes: [moved, raw], difference })
    }

    fn cluster_cpu_s(&self) -> io::Result<f64> {
        Ok(self.cluster.cpu_s()? + self.select.cpu_s()?)
    }

    fn difference(&self, query: &Query) -> io::Result<Option<String>> {
        let path = query.path(self.end_s, 1, Cache::Unused);
        let answer = |server: &Server| {
            let answer = server.client().get(&path)?.success()?;
            Answer::read(&answer.body).map_err(io::Error::other)
        };
        Ok(answer(&self.single)?.difference(&answer(&self.select)?, query.tolerance()))
    }
}

/// Bytes of all answers of storages.
fn received(select: &Server) -> io::Result<f64> {
    select.metric_sum("basalt_node_received_bytes_total{")
}

/// The outcome as a table.
pub fn table(plan: &Plan, costs: &[Cost]) -> String {
    let mut text = format!(
        "{} series × {} scrapes, {STORAGES} storages and a select beside a single node; the median of {} rounds.\n\n\
         | query | CPU, single | CPU, cluster | ratio | bytes moved | of raw columns | answer |\n|---|---|---|---|---|---|---|\n",
        plan.series, plan.scrapes, plan.pairs
    );
    for Cost { query, cpu_s: [alone, together], bytes: [moved, raw], difference } in costs {
        let share = if *raw > 0.0 { format!("{:.2} %", 100.0 * moved / raw) } else { "–".to_owned() };
        writeln!(
            text,
            "| {} | {:.2} ms | {:.2} ms | {:.2} | {moved:.0} | {share} | {} |",
            query.name,
            alone * 1e3,
            together * 1e3,
            together / alone,
            difference.as_deref().unwrap_or("the same"),
        )
        .expect("BUG: a text takes everything");
    }
    text
}
