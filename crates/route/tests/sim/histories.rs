//! Histories from seeds: partitions, slow nodes, lost messages, crashes and restarts of nodes and inserts, in any order.
//!
//! Invariants, with what was acknowledged to clients as the judge:
//! 1. At no time does a node claim to be complete for a sample that was acknowledged and that it lacks.
//! 2. When the network is whole again and hints are drained, every owner has every sample that was acknowledged.
//! 3. No node has a sample that nobody sent, in a series that it was not sent for.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use model::SeriesId;
use route::{Router, ShardMap};
use testkit::{Rng, SimDisk};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    network::World,
    scenes::{drained, insert, map, options, router, stored},
    storage::Stored,
};

const NODES: usize = 3;
const INSERTS: usize = 2;
const CLIENTS: usize = 3;
const SERIES: usize = 40;
const LASTS: Duration = Duration::from_secs(60);

/// What clients know.
#[derive(Default)]
struct Record {
    acknowledged: BTreeSet<Stored>,
    sent: BTreeSet<Stored>,
}

struct Insert {
    disk: SimDisk,
    router: Option<Arc<Router>>,
    clients: Vec<JoinHandle<()>>,
}

struct History {
    seed: u64,
    rng: Rng,
    world: Arc<World>,
    map: ShardMap,
    inserts: Vec<Insert>,
    record: Arc<Mutex<Record>>,
}

impl History {
    async fn begin(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let world = World::new(rng.next_u64(), NODES);
        let inserts =
            (0..INSERTS).map(|_| Insert { disk: SimDisk::new(rng.next_u64()), router: None, clients: Vec::new() });
        let inserts = inserts.collect();
        let mut history = Self { seed, rng, world, map: map(NODES, 2), inserts, record: Arc::default() };
        for insert in 0..INSERTS {
            history.start_insert(insert).await;
        }
        history
    }

    async fn start_insert(&mut self, at: usize) {
        let started = router(&self.world, at, &self.inserts[at].disk, options(), 2).await;
        for client in 0..CLIENTS {
            let client =
                client_of(Arc::clone(&started), Arc::clone(&self.record), self.rng.fork(), at * CLIENTS + client);
            self.inserts[at].clients.push(tokio::spawn(client));
        }
        self.inserts[at].router = Some(started);
    }

    /// Ends an insert: in good order, by a kill, or with the power.
    async fn stop_insert(&mut self, at: usize) {
        let insert = &mut self.inserts[at];
        let Some(router) = insert.router.take() else { return };
        for client in insert.clients.drain(..) {
            client.abort();
            // It has given back the router.
            let _ = client.await;
        }
        match self.rng.below(3) {
            0 => {
                router.close().await;
                drop(router);
                insert.disk = insert.disk.kill();
            }
            1 => {
                drop(router);
                insert.disk = insert.disk.kill();
            }
            _ => {
                drop(router);
                insert.disk = insert.disk.cut_power();
            }
        }
    }

    async fn event(&mut self) {
        let (node, at) = (self.rng.index(NODES), self.rng.index(INSERTS));
        match self.rng.below(12) {
            0 | 1 => drop(self.world.lock().parted.insert((at, node))),
            2 | 3 => self.world.lock().parted.clear(),
            4 => drop(self.world.lock().slow.insert(node)),
            5 => self.world.lock().slow.clear(),
            6 => self.world.lock().nodes[node].is_up = false,
            7 => {
                let token = self.rng.next_u64();
                self.world.lock().nodes[node].restart(token);
            }
            8 => self.world.lock().nodes[node].renumber(),
            9 => {
                let mut state = self.world.lock();
                state.lossy = !state.lossy;
            }
            10 => self.stop_insert(at).await,
            _ => {
                if self.inserts[at].router.is_none() {
                    self.start_insert(at).await;
                }
            }
        }
    }

    /// Invariant 1.
    fn check_claims(&self) {
        let record = self.record.lock().expect("no client panics while it holds the record");
        let state = self.world.lock();
        for sample in &record.acknowledged {
            for owner in self.map.owners_of(SeriesId::of_bytes(&sample.0)) {
                let node = &state.nodes[usize::from(*owner)];
                assert!(
                    node.samples.contains(sample) || !node.claims(self.world.now(), sample),
                    "seed {}: node {owner} lacks {sample:?} at {:?} and claims to be complete",
                    self.seed,
                    self.world.now(),
                );
            }
        }
    }

    /// Invariants 2 and 3.
    fn check_end(&self) {
        let record = self.record.lock().expect("no client panics while it holds the record");
        let state = self.world.lock();
        assert!(record.acknowledged.len() > 50, "seed {}: only {} acknowledged", self.seed, record.acknowledged.len());
        for sample in &record.acknowledged {
            for owner in self.map.owners_of(SeriesId::of_bytes(&sample.0)) {
                let node = &state.nodes[usize::from(*owner)];
                assert!(node.samples.contains(sample), "seed {}: node {owner} lost {sample:?}", self.seed);
                assert!(node.claims(self.world.now(), sample), "seed {}: node {owner} is not complete", self.seed);
            }
        }
        for (number, node) in state.nodes.iter().enumerate() {
            let foreign = node.samples.iter().find(|sample| !record.sent.contains(*sample));
            assert_eq!(foreign, None, "seed {}: node {number} has what nobody sent", self.seed);
        }
    }

    async fn run(mut self) {
        let end = Instant::now() + LASTS;
        while Instant::now() < end {
            let pause = Duration::from_millis(50 + self.rng.below(1500));
            let next = Instant::now() + pause;
            while Instant::now() < next {
                sleep(Duration::from_millis(97)).await;
                self.check_claims();
            }
            self.event().await;
        }
        {
            let mut state = self.world.lock();
            state.parted.clear();
            state.slow.clear();
            state.lossy = false;
            let State { nodes, rng, .. } = &mut *state;
            nodes.iter_mut().filter(|node| !node.is_up).for_each(|node| node.restart(rng.next_u64()));
        }
        for at in 0..INSERTS {
            if self.inserts[at].router.is_none() {
                self.start_insert(at).await;
            }
        }
        // Until messages of before have all arrived.
        sleep(Duration::from_secs(20)).await;
        for insert in &mut self.inserts {
            for client in insert.clients.drain(..) {
                client.abort();
                let _ = client.await;
            }
        }
        for insert in &self.inserts {
            drained(insert.router.as_ref().expect("every insert runs")).await;
        }
        self.check_claims();
        self.check_end();
    }
}

use crate::network::State;

/// Sends rows again and again and notes what was acknowledged.
async fn client_of(router: Arc<Router>, record: Arc<Mutex<Record>>, mut rng: Rng, client: usize) {
    // Samples are told apart by their values.
    let mut count = (client as u64) << 32 | rng.below(1 << 20) << 12;
    loop {
        sleep(Duration::from_millis(20 + rng.below(400))).await;
        let time = 1_000_000 + rng.below(3_600_000) as i64;
        let rows: Vec<(String, i64, f64)> = (0..1 + rng.below(8))
            .map(|_| {
                count += 1;
                (format!("metric_{}", rng.index(SERIES)), time, count as f64)
            })
            .collect();
        let samples = stored(&rows);
        record.lock().expect("nobody panics with the record").sent.extend(samples.iter().cloned());
        if insert(&router, &rows).await.is_ok() {
            record.lock().expect("nobody panics with the record").acknowledged.extend(samples);
        }
    }
}

async fn run(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        History::begin(seed).await.run().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_acknowledged_is_lost_and_no_node_claims_what_it_lacks() {
    run(0..12).await;
}

#[tokio::test(start_paused = true)]
async fn nor_with_other_seeds() {
    run(1000..1012).await;
}
