//! The paired comparison of queries: two servers with the same samples answer what dashboards ask for.
//!
//! 1. Both servers run side by side over the same traffic, which ends now, and are flushed, merged and idle.
//! 2. Both answer every query once; the answers must agree, and what differs is reported.
//! 3. In each round every query is measured on ours, on the rival, and on the rival once more: the rival's ratio to
//!    itself is the noise. The order turns from round to round; only the server that is asked has work.
//! 4. Ratios are made within a round and their median is reported.

mod answer;
mod dashboard;
mod feed;
mod measure;
mod report;

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::paired::Contestant;
use crate::server::{Patience, Server};

pub use answer::Answer;
pub use dashboard::{Cache, DASHBOARD, Kind, Query};
pub use feed::{send, settle};
pub use measure::{Cost, Crowd, ask};
pub use report::table;

/// What both servers are told about queries beside their usual flags: the newest samples count, nothing is refused for
/// its size, and nobody is turned away from a queue.
pub const SEARCH_FLAGS: &str = "-search.latencyOffset=0s -search.maxUniqueTimeseries=10000000 \
    -search.maxSamplesPerQuery=10000000000 -search.maxSeries=10000000 -search.maxQueueDuration=5m \
    -search.maxQueryDuration=5m -search.logSlowQueryDuration=0s";

/// Moments, in steps before the end, at which the answers are compared.
const COMPARED_SHIFTS: [u32; 3] = [0, 1, 37];

/// How large the comparison is.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Series.
    pub series: usize,
    /// Scrapes of each, 15 s apart.
    pub scrapes: u64,
    /// Rounds; each gives one ratio.
    pub pairs: usize,
    /// Clients that ask at once when times are taken.
    pub clients: Vec<usize>,
    /// Each measurement takes at least so long …
    pub least: Duration,
    /// … and so many queries …
    pub queries_least: usize,
    /// … but no query begins after this time.
    pub most: Duration,
    /// Keep-alive connections of the sender.
    pub connections: usize,
    /// Samples in a full request.
    pub samples_per_request: usize,
    /// Where the traffic comes from.
    pub seed: u64,
    /// How the end of background work is waited for.
    pub patience: Patience,
}

impl Default for Plan {
    /// Ten thousand series over a day.
    fn default() -> Self {
        Self {
            series: 10_000,
            scrapes: 24 * 240,
            pairs: 5,
            clients: vec![4, 50],
            least: Duration::from_secs(1),
            queries_least: 20,
            most: Duration::from_secs(10),
            connections: 2,
            samples_per_request: 2_000,
            seed: 1,
            patience: Patience::default(),
        }
    }
}

/// What came out.
#[derive(Debug)]
pub struct Comparison {
    /// Samples in each server.
    pub samples: u64,
    /// Peak memory of ours and the rival while they were fed, flushed and merged.
    pub feeding_memory_bytes: [u64; 2],
    /// In the order of the queries asked.
    pub queries: Vec<Compared>,
}

/// One query.
#[derive(Debug)]
pub struct Compared {
    /// What was asked.
    pub query: Query,
    /// Series in our answer.
    pub series: usize,
    /// Points in our answer.
    pub points: usize,
    /// How the rival's answer differs.
    pub difference: Option<String>,
    /// Per round ours, the rival, and the rival once more.
    pub rounds: Vec<[Cost; 3]>,
}

/// Places of the contestants in each round.
const OURS: usize = 0;
const RIVAL: usize = 1;
const RIVAL_AGAIN: usize = 2;

/// Compares ours with the rival.
pub fn run(
    plan: &Plan,
    [ours, rival]: &[Contestant; 2],
    queries: &[Query],
    folder: &Path,
    mut progress: impl FnMut(&str),
) -> io::Result<Comparison> {
    let folder = tempfile::tempdir_in(folder)?;
    let ours = Server::start(&ours.command, &folder.path().join("ours"))?;
    let rival = Server::start(&rival.command, &folder.path().join("rival"))?;
    let fed = feed::feed(plan, &[&ours, &rival], folder.path(), &mut progress)?;
    let feeding_memory_bytes = [ours.memory_peak_bytes()?, rival.memory_peak_bytes()?];
    let compared = queries.iter().map(|&query| compare(&ours, &rival, query, fed.end_s));
    let mut compared = compared.collect::<io::Result<Vec<_>>>()?;
    let servers = [&ours, &rival, &rival];
    for round in 0..plan.pairs {
        for one in &mut compared {
            progress(&format!("round {} of {}: {}", round + 1, plan.pairs, one.query.name));
            let mut costs = [None, None, None];
            for turn in 0..servers.len() {
                let place = (turn + round) % servers.len();
                costs[place] = Some(measure::measure(plan, servers[place], &one.query, fed.end_s)?);
            }
            one.rounds.push(costs.map(|cost| cost.expect("BUG: every contestant has its turn")));
        }
    }
    Ok(Comparison { samples: fed.samples, feeding_memory_bytes, queries: compared })
}

/// Asks both servers once at each of a few moments.
fn compare(ours: &Server, rival: &Server, query: Query, end_s: i64) -> io::Result<Compared> {
    let (mut difference, mut size) = (None, (0, 0));
    for shift in COMPARED_SHIFTS.into_iter().rev() {
        let path = query.path(end_s, shift, Cache::Unused);
        let answer_of = |server: &Server| {
            let body = server.client().get(&path)?.success()?.body;
            Answer::read(&body).map_err(io::Error::other)
        };
        let asked = |error: io::Error| io::Error::other(format!("{}: {error}", query.name));
        let (ours, rivals) = (answer_of(ours).map_err(asked)?, answer_of(rival).map_err(asked)?);
        size = (ours.series(), ours.points());
        difference = difference.or_else(|| ours.difference(&rivals, query.tolerance()));
    }
    Ok(Compared { query, series: size.0, points: size.1, difference, rounds: Vec::new() })
}
