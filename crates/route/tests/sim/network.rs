//! The network: what is sent may be late, lost on the way there or on the way back, or arrive when its sender has given up.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use route::{Connect, NodeLink, NodeName};
use storage_api::{
    BoxFuture, InsertError, InsertNumbered, InsertReport, NumberedBatch, NumberedOutcome, ReportAnswer, SeriesName,
    TakeReports,
};
use testkit::Rng;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use crate::storage::{Storage, WireName, WireRow};

/// Nobody waits for so long.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// What all share.
pub struct World {
    pub began: Instant,
    state: Mutex<State>,
}

pub struct State {
    pub rng: Rng,
    pub nodes: Vec<Storage>,
    /// Pairs of insert and node between which nothing passes.
    pub parted: BTreeSet<(usize, usize)>,
    /// Nodes that take their time.
    pub slow: BTreeSet<usize>,
    /// Whether single messages get lost.
    pub lossy: bool,
}

impl World {
    pub fn new(seed: u64, nodes: usize) -> Arc<Self> {
        let mut rng = Rng::new(seed);
        let nodes = (0..nodes).map(|_| Storage::new(rng.next_u64())).collect();
        let state = State { rng, nodes, parted: BTreeSet::new(), slow: BTreeSet::new(), lossy: false };
        Arc::new(Self { began: Instant::now(), state: Mutex::new(state) })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the world")
    }

    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

/// The network as one insert sees it.
pub struct Network {
    pub world: Arc<World>,
    pub insert: usize,
}

/// The name of a node.
pub fn name(node: usize) -> NodeName {
    NodeName::parse(&format!("node-{node}"), 8400).expect("a name")
}

impl Connect for Network {
    fn link(&self, node: &NodeName) -> Result<Arc<dyn NodeLink>, String> {
        let (number, port) = node.address.trim_start_matches("node-").split_once(':').expect("a port");
        let (node, port) = (number.parse().expect("a number"), port.parse().expect("a number"));
        Ok(Arc::new(Link { world: Arc::clone(&self.world), insert: self.insert, node, port }))
    }
}

struct Link {
    world: Arc<World>,
    insert: usize,
    node: usize,
    port: u16,
}

/// What becomes of one message.
struct Fate {
    delay: Duration,
    is_lost: bool,
}

impl Link {
    fn fate(&self) -> Fate {
        let mut state = self.world.lock();
        let is_slow = state.slow.contains(&self.node);
        let delay = Duration::from_millis(if is_slow { state.rng.below(8_000) } else { state.rng.below(30) });
        let is_lost = state.lossy && state.rng.chance(0.05);
        Fate { delay, is_lost: is_lost || state.parted.contains(&(self.insert, self.node)) }
    }

    /// Carries a question there and its answer back. What arrives is done even if nobody waits for the answer any more.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Storage, Duration) -> Result<T, InsertError> + Send + 'static,
    ) -> Result<T, InsertError> {
        let (sender, answer) = oneshot::channel();
        let (there, back) = (self.fate(), self.fate());
        let (world, pair, port) = (Arc::clone(&self.world), (self.insert, self.node), self.port);
        tokio::spawn(async move {
            sleep(there.delay).await;
            let done = {
                let now = world.now();
                let mut state = world.lock();
                if there.is_lost || state.parted.contains(&pair) {
                    None
                } else if state.nodes[pair.1].is_up && state.nodes[pair.1].port == port {
                    Some(work(&mut state.nodes[pair.1], now))
                } else {
                    Some(Err(InsertError::NotDurable("connection refused".into())))
                }
            };
            sleep(back.delay).await;
            let is_lost = back.is_lost || world.lock().parted.contains(&pair);
            if let Some(done) = done.filter(|_| !is_lost) {
                // Nobody may be waiting.
                let _ = sender.send(done);
                return;
            }
            sleep(FOR_EVER).await;
        });
        answer.await.unwrap_or_else(|_| Err(InsertError::NotDurable("the connection broke".into())))
    }
}

impl InsertNumbered for Link {
    fn insert_numbered<'a>(&'a self, batch: NumberedBatch<'a>) -> BoxFuture<'a, Result<NumberedOutcome, InsertError>> {
        let mut start = 0;
        let mut rows = Vec::new();
        for row in batch.rows {
            let samples = &batch.samples[start..row.samples_end as usize];
            start = row.samples_end as usize;
            let name = match row.series {
                SeriesName::Number(number) => WireName::Number(number),
                SeriesName::Id(id) => WireName::Id(id),
                SeriesName::Key(key) => WireName::Key(key.to_vec()),
            };
            let samples = samples.iter().map(|sample| (sample.time, sample.value.to_bits())).collect();
            rows.push(WireRow { name, samples });
        }
        assert_eq!(start, batch.samples.len(), "samples that belong to no row");
        let check = batch.check;
        Box::pin(self.ask(move |storage, _| storage.insert(&rows, check)))
    }
}

impl TakeReports for Link {
    fn take_report<'a>(&'a self, report: &'a InsertReport) -> BoxFuture<'a, Result<ReportAnswer, InsertError>> {
        let report = report.clone();
        Box::pin(self.ask(move |storage, now| Ok(storage.report(now, &report))))
    }
}
