//! A storage node that has lost its data gets them back from the others.
//!
//! 1. Somebody asks for it and names the nodes to copy from (`pages`); what is wanted is kept on disk, so that it goes on after a restart.
//! 2. Of the shards that inserts send here each is copied from a node that has all of it: that node makes a snapshot, and its parts come over one by one, block by
//!    block as they stand (`storage-api`, `copying`). What is written meanwhile comes from the inserts, as ever.
//! 3. What a node came to own later than others has to be copied too: others held it before.
//!    What came late is had from some time on, and counts so meanwhile.
//! 4. A shard counts as complete when all parts of its source are here. Where no source has all of a shard, it is asked again later.
//! 5. What some insert sends to other nodes still is not copied before all inserts send it here: it would not be all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use route::{Holdings, Source};
use rpc::{CopyFrame, Node, NodeOptions, Offer, RpcError};
use storage_api::{AdminError, CopyPiece, TakeCopies};
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc, watch},
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until},
};

use super::{owned_shards::OwnedShards, reports::Reports};

/// What could not be had is asked for again after this.
const RETRY: Duration = Duration::from_secs(1);
/// Pieces that wait for the disk.
const PIECES_MAX: usize = 2;
/// Bytes may come sooner than the rate allows by what it allows in this time.
const BURST: Duration = Duration::from_millis(20);

/// See the module.
pub struct Refill {
    reports: Arc<Reports>,
    owned: Arc<OwnedShards>,
    store: Arc<dyn TakeCopies>,
    options: NodeOptions,
    bytes_per_second: u64,
    is_running: watch::Sender<bool>,
    bytes: AtomicU64,
    samples: AtomicU64,
    /// Why it does not go on at the moment.
    trouble: Mutex<Option<String>>,
    /// Somebody wants it to end.
    is_stopping: AtomicBool,
    /// Begins and ends one after the other.
    turn: AsyncMutex<()>,
}

/// How far it is.
pub struct Progress {
    /// Whether it goes on.
    pub is_running: bool,
    /// Shards that should be here and are not.
    pub lacking: u32,
    /// Shards of which what came before this node owned them is not here.
    pub late: u32,
    /// Parts that were offered and are not copied.
    pub parts_left: usize,
    /// Bytes that came, since the start of the process.
    pub bytes: u64,
    /// Samples that came.
    pub samples: u64,
    /// Why it does not go on at the moment.
    pub trouble: Option<String>,
}

impl Refill {
    /// Nothing is copied yet.
    pub fn new(
        reports: Arc<Reports>,
        owned: Arc<OwnedShards>,
        store: Arc<dyn TakeCopies>,
        options: NodeOptions,
        bytes_per_second: u64,
    ) -> Self {
        let (bytes, samples) = (AtomicU64::new(0), AtomicU64::new(0));
        let (is_running, trouble) = (watch::Sender::new(false), Mutex::default());
        Self {
            reports,
            owned,
            store,
            options,
            bytes_per_second: bytes_per_second.max(1),
            is_running,
            bytes,
            samples,
            trouble,
            is_stopping: AtomicBool::new(false),
            turn: AsyncMutex::default(),
        }
    }

    /// What this node owns.
    pub fn owned(&self) -> &Arc<OwnedShards> {
        &self.owned
    }

    /// Goes on with what was wanted before the process began.
    pub fn resume(self: &Arc<Self>) {
        if self.reports.holdings().is_wanted() {
            self.run();
        }
    }

    /// Begins to copy from these addresses what this node lacks; `all` says that it lacks everything. False if it lacks nothing.
    pub async fn begin(self: &Arc<Self>, from: Vec<String>, all: bool) -> Result<bool, String> {
        let _turn = self.turn.lock().await;
        for address in &from {
            Node::new(address, self.options.clone()).map_err(|why| format!("cannot copy from {address:?}: {why}"))?;
        }
        let lacks = self.owned.late().or(&self.reports.holdings().may_lack());
        // Before an insert has said what belongs here nobody knows.
        if !all && lacks.is_empty() && !self.reports.owned().is_empty() {
            return Ok(false);
        }
        let arrival = self.store.arrival();
        log::info!("filling up from {}", from.join(", "));
        let begin = |holdings: &mut Holdings| {
            if all {
                holdings.doubt();
            }
            holdings.begin(from, arrival);
        };
        self.reports.change(begin).await?;
        self.run();
        Ok(true)
    }

    /// Ends it, also if nobody waits for that. What this node lacked before and has not got it lacks still, or (`gives_up`) it counts as a node that has
    /// everything from now on.
    pub async fn stop(self: &Arc<Self>, gives_up: bool) -> Result<(), String> {
        let refill = Arc::clone(self);
        let stopping = tokio::spawn(async move { refill.stop_now(gives_up).await });
        stopping.await.map_err(|why| format!("it ended badly: {why}"))?
    }

    async fn stop_now(self: &Arc<Self>, gives_up: bool) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        let mut sources = Vec::new();
        self.is_stopping.store(true, Relaxed);
        let stop = |holdings: &mut Holdings| {
            if gives_up {
                holdings.keep_doubt();
            }
            sources = holdings.stop();
        };
        let stopped = self.reports.change(stop).await;
        if stopped.is_ok() {
            // What was under way must not be taken for part of what is begun next.
            self.wait().await;
        }
        self.is_stopping.store(false, Relaxed);
        self.resume();
        stopped?;
        log::info!("filling up was ended");
        for Source { address, snapshot, .. } in sources {
            match Node::new(&address, self.options.clone()) {
                Ok(node) => forget_snapshot(&node, &address, &snapshot).await,
                Err(why) => log::warn!("snapshot {snapshot} stays at {address}: {why}"),
            }
        }
        if gives_up {
            log::warn!("what this node lacks is given up: it has everything from now on");
            self.owned.give_up().await?;
        }
        Ok(())
    }

    /// Waits until nothing goes on.
    pub async fn wait(&self) {
        // The sender lives as long as this does.
        let _ = self.is_running.subscribe().wait_for(|is_running| !is_running).await;
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        Progress {
            is_running: *self.is_running.borrow(),
            lacking: self.reports.lacking().len(),
            late: self.owned.late().len(),
            parts_left: self.reports.holdings().parts_left(),
            bytes: self.bytes.load(Relaxed),
            samples: self.samples.load(Relaxed),
            trouble: self.trouble.lock().clone(),
        }
    }

    fn run(self: &Arc<Self>) {
        let is_first = self.is_running.send_if_modified(|is_running| !std::mem::replace(is_running, true));
        if !is_first {
            return;
        }
        let refill = Arc::clone(self);
        tokio::spawn(async move {
            while refill.reports.holdings().is_wanted() {
                match refill.round().await {
                    Ok(()) => log::info!(
                        "filled up: {} samples came in {} bytes",
                        refill.samples.load(Relaxed),
                        refill.bytes.load(Relaxed)
                    ),
                    Err(_) if refill.is_stopping.load(Relaxed) => break,
                    Err(why) => {
                        refill.stumble(why);
                        sleep(RETRY).await;
                    }
                }
            }
            *refill.trouble.lock() = None;
            refill.is_running.send_replace(false);
            if !refill.is_stopping.load(Relaxed) {
                // It may have been wanted again since the last look.
                refill.resume();
            }
        });
    }

    fn stumble(&self, why: String) {
        let mut trouble = self.trouble.lock();
        if trouble.as_ref() != Some(&why) {
            log::warn!("filling up does not go on for now: {why}");
            *trouble = Some(why);
        }
    }

    /// Copies what can be had. An error says what could not.
    async fn round(&self) -> Result<(), String> {
        if self.reports.owned().is_empty() {
            return Err("no insert has said yet which shards belong here".into());
        }
        if let Some(insert) = self.owned.bypassed_by().first() {
            return Err(format!(
                "insert {insert:032x} has this node in its list no more: put it back, or have the insert forgotten (/internal/forget_insert)"
            ));
        }
        let late = self.owned.late().without(&self.owned.gone_past());
        if !late.without(self.reports.holdings().wants()).is_empty() {
            self.reports.change(|holdings| holdings.want(&late)).await?;
        }
        let mut failure = None;
        for address in self.reports.holdings().from {
            if let Err(why) = self.copy_from(&address).await {
                failure = Some(why);
            }
        }
        let (owned, past) = (self.reports.owned(), self.owned.gone_past());
        let left = self.reports.holdings().to_copy(&owned).or(&self.owned.late()).without(&past);
        if !left.is_empty() {
            return Err(failure.unwrap_or_else(|| format!("no node has all of {} shards", left.len())));
        }
        if !past.is_empty() {
            return Err(format!("inserts send {} shards of this node to others still", past.len()));
        }
        self.reports.change(|holdings| holdings.end(&owned)).await
    }

    /// Copies from one node what it has, if nobody else copies it.
    async fn copy_from(&self, address: &str) -> Result<(), String> {
        let node = Node::new(address, self.options.clone())?;
        if self.reports.holdings().source(address).is_none() {
            let owned = self.reports.owned().without(&self.owned.gone_past());
            let wanted = self.reports.holdings().unoffered(&owned);
            if wanted.is_empty() {
                return Ok(());
            }
            let until = self.owned.asking();
            let Offer { snapshot, parts, complete } = node.offer().await.map_err(|why| why.to_string())?;
            let shards = wanted.and(&complete);
            if shards.is_empty() {
                return node.delete_snapshot(&snapshot).await.map_err(|why| why.to_string());
            }
            log::info!("{address} has {} shards in {} parts", shards.len(), parts.len());
            let offer = Source { address: address.to_string(), snapshot: snapshot.clone(), shards, parts, until };
            let mut is_wanted = false;
            self.reports.change(|holdings| is_wanted = holdings.offered(offer)).await?;
            if !is_wanted {
                forget_snapshot(&node, address, &snapshot).await;
                return Ok(());
            }
        }
        let Some(source) = self.reports.holdings().source(address).cloned() else { return Ok(()) };
        for part in &source.parts {
            self.check_wanted()?;
            match self.copy(&node, &source, *part).await {
                Ok(samples) => self.samples.fetch_add(samples, Relaxed),
                Err(why) => {
                    if matches!(why, RpcError::Admin(AdminError::NotFound(_))) {
                        // Its snapshot was removed; it is asked for another one.
                        self.reports.change(|holdings| holdings.settle(address, false)).await?;
                    }
                    return Err(why.to_string());
                }
            };
            self.reports.change(|holdings| holdings.copied(address, *part)).await?;
        }
        self.owned.fill_from(address).await?;
        self.reports.change(|holdings| holdings.settle(address, true)).await?;
        forget_snapshot(&node, address, &source.snapshot).await;
        Ok(())
    }

    fn check_wanted(&self) -> Result<(), String> {
        if self.is_stopping.load(Relaxed) { Err("it is to end".into()) } else { Ok(()) }
    }

    /// Copies a part; gives its samples.
    async fn copy(&self, node: &Node, source: &Source, part: u64) -> Result<u64, RpcError> {
        let mut stream = node.copy_part(&source.snapshot, part, &source.shards).await?;
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let (store, arrival) = (Arc::clone(&self.store), self.reports.holdings().arrival);
        let taking = spawn_blocking(move || take(&*store, arrival, pieces));
        let mut next = Instant::now();
        let received = loop {
            let frame = match stream.next().await {
                Ok(frame) => frame,
                Err(error) => break Err(error),
            };
            let (is_end, bytes) = (frame == CopyFrame::End, frame_bytes(&frame));
            // Who takes it may have failed, and says so.
            if sender.send(frame).await.is_err() || is_end {
                break Ok(());
            }
            if let Err(why) = self.check_wanted() {
                break Err(RpcError::Admin(AdminError::Failed(why)));
            }
            self.bytes.fetch_add(bytes, Relaxed);
            next = next.max(Instant::now())
                + Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / self.bytes_per_second);
            sleep_until(next.checked_sub(BURST).unwrap_or(next)).await;
        };
        drop(sender);
        let failed =
            |why: tokio::task::JoinError| RpcError::Admin(AdminError::Failed(format!("a copy ended badly: {why}")));
        let taken = taking.await.map_err(failed)?;
        received?;
        taken.map_err(RpcError::Admin)
    }
}

/// Has a snapshot removed that nothing is copied of any more.
async fn forget_snapshot(node: &Node, address: &str, snapshot: &str) {
    if let Err(why) = node.delete_snapshot(snapshot).await {
        log::warn!("snapshot {snapshot} stays at {address}: {why}");
    }
}

fn frame_bytes(frame: &CopyFrame) -> u64 {
    match frame {
        CopyFrame::Bytes(bytes) => bytes.len() as u64,
        CopyFrame::Begin { .. } | CopyFrame::End => 0,
    }
}

/// Takes the pieces of a copy as they come.
fn take(store: &dyn TakeCopies, arrival: u64, mut pieces: mpsc::Receiver<CopyFrame>) -> Result<u64, AdminError> {
    let mut taking = store.take_copy(arrival);
    while let Some(frame) = pieces.blocking_recv() {
        match frame {
            CopyFrame::Begin { index_bytes, columns_bytes } => {
                taking.take(CopyPiece::Begin { index_bytes, columns_bytes })?;
            }
            CopyFrame::Bytes(bytes) => taking.take(CopyPiece::Bytes(&bytes))?,
            CopyFrame::End => return taking.finish(),
        }
    }
    Err(AdminError::Unavailable("the copy was cut off".into()))
}
