//! Histories of faults from a seed. The judge is the clients' own record.
//!
//! 1. A whole cluster of processes runs, senders write to its inserts all the time, readers ask its selects (`load`).
//! 2. A history is a sequence of faults: nodes are killed, links are cut, stalled or slow, disks are full, roles are restarted in turn, a node loses its disk.
//!    Between two faults the cluster may heal, or not: then the next one comes on top, until no storage or no insert is left. A disk is lost only when all is healed,
//!    because what is on one disk alone may be gone with it.
//! 3. Any answer that calls itself whole has everything that was acknowledged before it was asked for. While only one node at a time is restarted in good
//!    order, and each series has two copies, no answer fails or is partial, and every write is acknowledged. Who finds a select or an insert stopped goes to
//!    the other one; a query that a select was sent before it was told to stop is answered.
//! 4. At the end everything heals; when all say that nothing is lacking, nothing that was acknowledged is missing, nothing is there twice, and each sample
//!    is on as many storages as it has copies.
//!
//! `cargo xtask long cluster [HISTORIES] [--seed SEED]` makes it long; BASALT_CLUSTER_SEED repeats one.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use testkit::{Rng, proxy::Link};

use super::{
    load::{Ends, METRIC, SENDERS, Sender, Watch, check_copies, merge, read},
    nodes::{Nodes, Shape, StorageNode},
};
use crate::{
    ledger::Ledger,
    server::{Basalt, PATIENCE, number_of_environment, seed},
};

/// Faults in one history.
const FAULTS: usize = 6;
/// Batches that are acknowledged after a fault before the next, at most.
const BATCHES_MAX: u64 = 60;
/// A fault that lets nothing be acknowledged lasts so long.
const FAULT_TIME_MAX: Duration = Duration::from_millis(2500);
const CHANCE_OF_HEALING: f64 = 0.7;
const SHAPE: Shape = Shape { inserts: 2, storages: 3, copies: 2 };
const SELECTS: usize = 2;
const READERS: usize = 2;
/// No disk has so much room.
const TOO_MUCH: &str = "-storage.minFreeDiskSpaceBytes=1000TB";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    KillStorage(usize),
    KillInsert(usize),
    /// Every process but the selects, at once.
    KillAll,
    /// The link from an insert, or (behind them) from the selects.
    LinkTo {
        storage: usize,
        from: usize,
        link: Link,
    },
    /// All links of a storage.
    Storage(usize, Link),
    FullDisk(usize),
    RollingRestart,
    LosesItsDisk(usize),
}

impl Fault {
    fn choose(rng: &mut Rng, shape: Shape) -> Self {
        let storage = rng.index(shape.storages);
        let pause = Duration::from_millis(5 + rng.below(200));
        let links = [Link::Cut, Link::Stalled, Link::Slow(pause), Link::Lossy(1 + rng.below(30) as u8, pause)];
        match rng.below(13) {
            0 | 1 => Self::KillStorage(storage),
            2 => Self::KillInsert(rng.index(shape.inserts)),
            3..=5 => Self::LinkTo { storage, from: rng.index(shape.inserts + 1), link: *rng.pick(&links) },
            6 | 7 => Self::Storage(storage, *rng.pick(&links)),
            8 => Self::FullDisk(storage),
            9 => Self::RollingRestart,
            10 => Self::KillAll,
            _ if shape.copies > 1 => Self::LosesItsDisk(storage),
            _ => Self::RollingRestart,
        }
    }
}

/// A cluster, its clients, and what happens to them.
struct History<'a> {
    nodes: Nodes,
    watch: &'a Watch,
    rng: Rng,
}

impl History<'_> {
    /// Lets clients work for a while.
    fn work(&mut self) {
        let target = self.watch.batches() + 1 + self.rng.below(BATCHES_MAX);
        let began = Instant::now();
        while self.watch.batches() < target && began.elapsed() < FAULT_TIME_MAX {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn settle(&mut self) {
        self.nodes.heal();
        let began = Instant::now();
        while !self.nodes.is_settled() {
            assert!(began.elapsed() < 3 * PATIENCE, "the cluster does not come to rest:\n{}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn suffer(&mut self, fault: Fault) {
        match fault {
            Fault::KillStorage(storage) => self.nodes.storages[storage].kill9(),
            Fault::KillInsert(insert) => {
                self.nodes.kill9_insert(insert);
                self.work();
                self.nodes.start_insert(insert);
            }
            Fault::KillAll => {
                (0..self.nodes.inserts.len()).for_each(|insert| self.nodes.kill9_insert(insert));
                self.nodes.storages.iter_mut().for_each(StorageNode::kill9);
                self.nodes.heal();
            }
            Fault::LinkTo { storage, from, link } => self.nodes.storages[storage].set_link(from, link),
            Fault::Storage(storage, link) => self.nodes.storages[storage].set_links(link),
            Fault::FullDisk(storage) => {
                self.nodes.storages[storage].kill9();
                self.nodes.storages[storage].start(&[TOO_MUCH]);
                self.work();
                // There is room again at its next start.
                self.nodes.storages[storage].kill9();
            }
            Fault::RollingRestart => self.restart_in_turn(),
            Fault::LosesItsDisk(storage) => self.replace(storage),
        }
        self.work();
    }

    /// Every node once, in good order, while clients work.
    fn restart_in_turn(&mut self) {
        self.settle();
        self.watch.set_calm(self.nodes.shape.copies > 1);
        for storage in 0..self.nodes.storages.len() {
            self.nodes.storages[storage].stop();
            self.work();
            self.nodes.storages[storage].start(&[]);
            self.settle();
        }
        for insert in 0..self.nodes.inserts.len() {
            self.nodes.stop_insert(insert);
            self.work();
            self.nodes.start_insert(insert);
            self.settle();
        }
        for select in 0..self.nodes.selects.len() {
            self.nodes.stop_select(select);
            self.work();
            self.nodes.start_select(select);
            self.work();
        }
        self.watch.set_calm(false);
    }

    /// A storage comes back empty and is filled again from the others.
    fn replace(&mut self, storage: usize) {
        self.settle();
        self.nodes.storages[storage].kill9();
        self.nodes.storages[storage].lose_everything();
        self.work();
        self.nodes.storages[storage].start(&[]);
        // While it is empty, what others have alone is missing if they cannot be reached.
        let other = (storage + 1) % self.nodes.storages.len();
        let select = self.nodes.shape.inserts;
        self.nodes.storages[other].set_link(select, Link::Cut);
        self.work();
        self.nodes.storages[other].set_link(select, Link::Open);
        self.refill(storage);
        self.settle();
    }

    fn refill(&mut self, storage: usize) {
        let others = self.nodes.storages.iter().enumerate().filter(|(number, _)| *number != storage);
        let from: Vec<String> = others.map(|(_, other)| other.select_address().to_string()).collect();
        let node = self.nodes.storages[storage].node.as_ref().expect("it runs");
        let path = format!("/internal/refill?wait=1&from={}", from.join(","));
        let answer = node.client().post(&path, "text/plain", None, b"").expect("an answer");
        assert!(answer.is_success(), "refill: {} {}\n{}", answer.status, answer.text(), self.said());
    }

    /// What the nodes said last.
    fn said(&self) -> String {
        let mut said = String::new();
        let mut add = |name: String, node: &Option<Basalt>| {
            let lines = node.as_ref().map_or_else(Vec::new, |node| node.process.lines());
            let from = lines.len().saturating_sub(15);
            said.push_str(&format!("{name}:\n  {}\n", lines[from..].join("\n  ")));
        };
        for (number, storage) in self.nodes.storages.iter().enumerate() {
            add(format!("storage {number}"), &storage.node);
        }
        for (number, insert) in self.nodes.inserts.iter().enumerate() {
            add(format!("insert {number}"), &insert.node);
        }
        for (number, select) in self.nodes.selects.iter().enumerate() {
            add(format!("select {number}"), select);
        }
        said
    }

    /// Holds what is there against what was acknowledged.
    fn check(&mut self, acknowledged: &Ledger, sent: &Ledger) {
        let failures = self.watch.failures();
        assert!(failures.is_empty(), "{}\n{}", failures.join("\n"), self.said());
        let selector = format!("{METRIC}&start=1");
        for select in self.nodes.selects.iter().flatten() {
            select.export(&selector).check(acknowledged, sent);
        }
        let on_nodes: Vec<Ledger> = self
            .nodes
            .storages
            .iter()
            .map(|storage| storage.node.as_ref().expect("it runs").export(&selector))
            .collect();
        check_copies(&on_nodes, acknowledged, self.nodes.shape.copies);
    }
}

/// So many faults, `always` the same one or any.
fn run(seed: u64, shape: Shape, faults: usize, always: Option<Fault>) {
    let mut rng = Rng::new(seed);
    let watch = Watch::default();
    let mut senders: Vec<Sender> = (0..SENDERS).map(|number| Sender::new(number, rng.fork())).collect();
    let readers: Vec<Rng> = (0..READERS).map(|_| rng.fork()).collect();
    let nodes = Nodes::start_with_selects(shape, SELECTS);
    let mut history = History { nodes, watch: &watch, rng: rng.fork() };
    let doors = Arc::clone(&history.nodes.doors);
    let began = Instant::now();
    thread::scope(|scope| {
        // Whatever happens, the clients end, so that a failure shows.
        let _ends = Ends(&watch);
        for sender in &mut senders {
            scope.spawn(|| sender.run(&doors, shape.inserts, &watch));
        }
        for rng in readers {
            scope.spawn(|| read(rng, &doors, &watch));
        }
        history.work();
        for _ in 0..faults {
            let fault = always.unwrap_or_else(|| Fault::choose(&mut history.rng, shape));
            println!("{seed}: {:>6} ms {} batches: {fault:?}", began.elapsed().as_millis(), watch.batches());
            history.suffer(fault);
            if history.rng.chance(CHANCE_OF_HEALING) {
                history.settle();
            }
        }
        history.settle();
    });
    let (mut sent, mut kept) = (Ledger::default(), Ledger::default());
    for sender in &senders {
        merge(&mut sent, &sender.sent);
        merge(&mut kept, &sender.acknowledged);
    }
    // What was under way when the clients ended.
    history.settle();
    history.check(&kept, &sent);
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::SeqCst);
    println!(
        "{seed}: {} ms, {} samples acknowledged and there, {} queries ({} partial, {} refused)",
        began.elapsed().as_millis(),
        kept.samples(),
        count(&watch.queries),
        count(&watch.partial),
        count(&watch.refused)
    );
}

#[test]
fn histories_of_faults_lose_and_double_nothing() {
    let Some(histories) = number_of_environment("BASALT_CLUSTER_HISTORIES") else {
        run(1, SHAPE, 3, None);
        run(2, Shape { copies: 1, ..SHAPE }, 2, None);
        return;
    };
    let first = seed("BASALT_CLUSTER_SEED");
    for number in 0..histories {
        // Every fourth has one copy of each series.
        let copies = if number % 4 == 3 { 1 } else { SHAPE.copies };
        run(first.wrapping_add(number), Shape { copies, ..SHAPE }, FAULTS, None);
    }
}

#[test]
fn restarting_every_node_in_turn_fails_no_query_and_no_write() {
    run(3, SHAPE, 1, Some(Fault::RollingRestart));
}
