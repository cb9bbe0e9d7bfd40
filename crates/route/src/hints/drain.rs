//! Handing hints to the node that they are for.
//!
//! 1. The oldest segment is read by a thread of its own, which finds or makes the head's series for its keys and makes rows of its samples.
//! 2. Rows of many records go together, as each call costs the node a time of making rows durable. They go at a bounded rate, and while live rows go to the
//!    node, which come first, they leave it most of the time.
//! 3. When the node has all of them durably, the segment goes. If anything fails, it stays, and is handed over again from its begin.

use std::{sync::Arc, time::Duration};

use head::{Head, Pin};
use model::{Sample, SeriesKey, Tenant, ValueKind};
use parking_lot::Mutex;
use storage_api::{InsertError, Inserted};
use tokio::{
    sync::mpsc,
    task::spawn_blocking,
    time::{Instant, sleep_until},
};
use wal::{Commits, NO_SLOT, ReplayReport, ReplaySink, WalError};

use super::{HintOptions, log::HintLog, metadata};
use crate::outgoing::Outgoing;

/// So many samples go together, or one record more.
const SAMPLES_TOGETHER: usize = 16 << 10;
/// Behind a call during which live rows went to the node it is left alone for so many times as long as the call took.
const LEFT_TO_LIVE_ROWS: u32 = 5;
/// A call that took long has waited for the node's disk, mostly, and no live row gains by waiting longer.
const LEFT_ALONE_MAX: Duration = Duration::from_secs(1);
/// Rows that were read and wait for the node.
const READ_AHEAD: usize = 2;
/// In a simulation a whole segment is read at once, so that the same happens each time.
const READ_AHEAD_SIMULATED: usize = 1 << 20;

/// What a drain did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drained {
    /// Samples that the node has now.
    pub samples: u64,
    /// Samples that it refused.
    pub refused: u64,
    /// Damaged places that were skipped.
    pub damaged: u64,
}

/// Why a segment stays.
#[derive(Debug)]
pub enum DrainError {
    /// The node did not take it.
    Node(InsertError),
    /// It cannot be read.
    Disk(String),
}

impl From<WalError> for DrainError {
    fn from(error: WalError) -> Self {
        Self::Disk(error.to_string())
    }
}

/// Hands one segment over by `send` and removes it; `None` if there is none.
pub async fn drain_oldest(
    log: &Arc<HintLog>,
    head: &Arc<Head>,
    options: &HintOptions,
    send: &(dyn AsyncSend + '_),
) -> Result<Option<Drained>, DrainError> {
    let Some(number) = log.oldest()? else { return Ok(None) };
    // Slots that the reader finds are held until all is sent.
    let pin = Arc::new(head.pin());
    let mut reading = Reading::begin(log, head, options, number, &pin);
    let mut drained = Drained::default();
    let mut pace = Pace::new(options.drain_samples_per_second);
    while let Some(out) = reading.rows.recv().await {
        let (began, before, samples) = (Instant::now(), send.sent(), out.samples.len() as u64);
        let inserted = send.send(&out).await.map_err(DrainError::Node)?;
        drained.samples += inserted.samples;
        drained.refused += inserted.refused.total();
        let is_shared = send.sent() > before + samples;
        let left_alone = (began.elapsed() * LEFT_TO_LIVE_ROWS).min(LEFT_ALONE_MAX);
        pace.wait(samples, if is_shared { left_alone } else { Duration::ZERO }).await;
    }
    let report = reading.ended.await.map_err(|why| DrainError::Disk(format!("reading ended badly: {why}")))??;
    drained.damaged = report.damaged_count;
    for damage in &report.damaged {
        ::log::error!("hints for {}: {damage}; skipped", log.node());
    }
    if report.undefined_samples > 0 {
        let count = report.undefined_samples;
        ::log::error!("hints for {}: {count} samples of series whose definition is damaged; skipped", log.node());
    }
    let removing = Arc::clone(log);
    let removed = spawn_blocking(move || removing.remove(number)).await;
    removed.map_err(|why| DrainError::Disk(format!("a removal ended badly: {why}")))??;
    Ok(Some(drained))
}

/// Sends rows to a node and waits until it has them.
pub trait AsyncSend: Sync {
    /// See the trait.
    fn send<'a>(&'a self, out: &'a Outgoing) -> storage_api::BoxFuture<'a, Result<Inserted, InsertError>>;

    /// Samples that were sent to it, these and live ones.
    fn sent(&self) -> u64;
}

struct Reading {
    rows: mpsc::Receiver<Outgoing>,
    ended: tokio::task::JoinHandle<Result<ReplayReport, DrainError>>,
}

impl Reading {
    fn begin(log: &Arc<HintLog>, head: &Arc<Head>, options: &HintOptions, number: u64, pin: &Arc<Pin>) -> Self {
        let simulated = options.commits == Commits::WhenAsked;
        let (sender, rows) = mpsc::channel(if simulated { READ_AHEAD_SIMULATED } else { READ_AHEAD });
        let (log, head, pin) = (Arc::clone(log), Arc::clone(head), Arc::clone(pin));
        let read = move || {
            log.sync()?;
            let sink = IntoRows::new(&head, sender);
            let report = log.read(number, &sink)?;
            let is_full = sink.finish();
            drop(pin);
            if is_full {
                return Err(DrainError::Disk("memory holds too many series".into()));
            }
            Ok(report)
        };
        if simulated {
            let read = read();
            return Self { rows, ended: tokio::spawn(async { read }) };
        }
        Self { rows, ended: spawn_blocking(read) }
    }
}

/// Makes rows of what is read.
struct IntoRows<'a> {
    head: &'a Head,
    rows: Mutex<ReadRows>,
    sender: mpsc::Sender<Outgoing>,
}

#[derive(Default)]
struct ReadRows {
    /// Slots of the head and tenants, by the numbers that the reader is given.
    series: Vec<(u32, Tenant)>,
    /// Memory had no place for a series.
    is_full: bool,
    /// What was read and not sent, of each tenant.
    waiting: Vec<Outgoing>,
    /// Where the tenant of the sample before is among them.
    place: usize,
    /// How many samples wait.
    samples: usize,
}

impl ReadRows {
    fn push(&mut self, number: u32, sample: Sample) {
        let (slot, tenant) = self.series[number as usize];
        if self.waiting.get(self.place).is_none_or(|out| out.tenant != tenant) {
            self.place = place_of(tenant, &mut self.waiting);
        }
        self.waiting[self.place].push(slot, &[sample]);
        self.samples += 1;
    }

    /// All that waits.
    fn take(&mut self) -> Vec<Outgoing> {
        self.samples = 0;
        std::mem::take(&mut self.waiting)
    }
}

/// Where what goes to a tenant is among others, or is from now on.
fn place_of(tenant: Tenant, all: &mut Vec<Outgoing>) -> usize {
    all.iter().position(|out| out.tenant == tenant).unwrap_or_else(|| {
        all.push(Outgoing::of(tenant));
        all.len() - 1
    })
}

impl<'a> IntoRows<'a> {
    fn new(head: &'a Head, sender: mpsc::Sender<Outgoing>) -> Self {
        Self { head, rows: Mutex::default(), sender }
    }

    /// Sends what waits; says whether memory had no place for a series.
    fn finish(&self) -> bool {
        let (waiting, is_full) = {
            let mut rows = self.rows.lock();
            (rows.take(), rows.is_full)
        };
        waiting.into_iter().for_each(|out| self.send(out));
        is_full
    }

    fn send(&self, out: Outgoing) {
        // A simulation reads on the runtime's own thread, which must not block; there the channel is never full. Nobody listens any more when the
        // node went away: the rest is read in vain, and again later.
        if let Err(mpsc::error::TrySendError::Full(out)) = self.sender.try_send(out) {
            let _ = self.sender.blocking_send(out);
        }
    }
}

impl ReplaySink for IntoRows<'_> {
    fn define(&self, keys: &mut dyn Iterator<Item = &[u8]>, slots_out: &mut Vec<u32>) {
        let guard = self.head.guard();
        let mut rows = self.rows.lock();
        for bytes in keys {
            // What is no key was damaged, and its checksum too.
            let Ok(key) = SeriesKey::from_bytes(bytes.to_vec()) else {
                slots_out.push(NO_SLOT);
                continue;
            };
            match self.head.find_or_create(&guard, &key, ValueKind::Float) {
                Ok(slot) => {
                    slots_out.push(rows.series.len() as u32);
                    rows.series.push((slot, key.tenant()));
                }
                Err(_) => {
                    rows.is_full = true;
                    slots_out.push(NO_SLOT);
                }
            }
        }
    }

    fn samples(&self, slots: &[u32], times: &[i64], values: &[f64]) {
        let together = {
            let mut rows = self.rows.lock();
            for ((number, time), value) in slots.iter().zip(times).zip(values) {
                rows.push(*number, Sample { time: *time, value: *value });
            }
            if rows.samples >= SAMPLES_TOGETHER { rows.take() } else { Vec::new() }
        };
        together.into_iter().for_each(|out| self.send(out));
    }

    fn tombstone(&self, _: &[u8]) {
        ::log::warn!("a hint holds a deletion, which nobody writes there; it is left out");
    }

    fn metadata(&self, bytes: &[u8]) {
        let Some(told) = metadata::decode(bytes) else {
            ::log::error!("a hint holds {} bytes of metadata that cannot be read; they are left out", bytes.len());
            return;
        };
        let mut by_tenant = Vec::new();
        for (tenant, told) in told {
            let place = place_of(tenant, &mut by_tenant);
            by_tenant[place].metadata.push(told);
        }
        by_tenant.into_iter().for_each(|out| self.send(out));
    }
}

/// Holds a rate.
struct Pace {
    per_second: u64,
    next: Instant,
}

impl Pace {
    fn new(per_second: u64) -> Self {
        Self { per_second: per_second.max(1), next: Instant::now() }
    }

    /// Waits behind a call of so many samples, and `pause` at least.
    async fn wait(&mut self, samples: u64, pause: Duration) {
        let now = Instant::now();
        let took = Duration::from_nanos(samples.saturating_mul(1_000_000_000) / self.per_second);
        self.next = self.next.max(now) + took;
        sleep_until((self.next - took.min(Duration::from_millis(10))).max(now + pause)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use head::HeadOptions;
    use model::{KeyBuilder, METRIC_NAME};
    use testkit::SimDisk;

    use super::*;

    /// A node that takes everything, in a twentieth of a second each time, while others send as many samples as `live`.
    #[derive(Default)]
    struct Taking {
        live: u64,
        sent: AtomicU64,
        calls: Mutex<Vec<(Instant, Outgoing)>>,
    }

    const CALL_TIME: Duration = Duration::from_millis(50);

    impl AsyncSend for Taking {
        fn send<'a>(&'a self, out: &'a Outgoing) -> storage_api::BoxFuture<'a, Result<Inserted, InsertError>> {
            Box::pin(async move {
                let samples = out.samples.len() as u64;
                self.calls.lock().push((Instant::now(), out.clone()));
                tokio::time::sleep(CALL_TIME).await;
                self.sent.fetch_add(samples + self.live, Relaxed);
                Ok(Inserted { samples, ..Inserted::default() })
            })
        }

        fn sent(&self) -> u64 {
            self.sent.load(Relaxed)
        }
    }

    fn slot(head: &Head, tenant: Tenant) -> u32 {
        let mut labels = KeyBuilder::new();
        labels.push(METRIC_NAME, "m");
        let key = labels.build(tenant).expect("a name is enough");
        head.find_or_create(&head.guard(), &key, ValueKind::Float).expect("there is room")
    }

    /// What is drained after `records` of so many samples were kept, by turns for each tenant.
    async fn drained(records: usize, samples: usize, tenants: &[Tenant], node: &Taking) -> Drained {
        let options = HintOptions { commits: Commits::WhenAsked, ..HintOptions::default() };
        let disk: Arc<dyn disk::Disk> = Arc::new(SimDisk::new(1));
        let log = HintLog::open(disk, "node".into(), "n", options.clone(), Arc::default()).expect("it opens");
        let (log, head) = (
            Arc::new(log),
            Arc::new(Head::new(&HeadOptions { secret: [1; 32], encodings_max: 16, is_searched: false })),
        );
        let pin = head.pin();
        for record in 0..records {
            let tenant = tenants[record % tenants.len()];
            let slot = slot(&head, tenant);
            let mut out = Outgoing::of(tenant);
            let sample = |at| Sample { time: (record * samples + at) as i64, value: record as f64 };
            out.push(slot, &(0..samples).map(sample).collect::<Vec<_>>());
            let writing = log.begin().expect("there is room");
            for ticket in writing.write(&head, &out).expect("it is written").into_iter().flatten() {
                writing.durable(ticket).await.expect("it is durable");
            }
        }
        drop(pin);
        drain_oldest(&log, &head, &options, node).await.expect("it is read and sent").expect("there is a segment")
    }

    #[tokio::test(start_paused = true)]
    async fn rows_of_many_records_go_together_and_each_tenants_apart() {
        let (records, samples) = (50, SAMPLES_TOGETHER / 20);
        let (one, other) = (Tenant::default(), Tenant::new(7, 8));
        let node = Taking::default();
        let drained = drained(records, samples, &[one, other, one], &node).await;
        assert_eq!(drained, Drained { samples: (records * samples) as u64, ..Drained::default() });
        let calls = node.calls.into_inner();
        // Two full rounds and the rest, of both tenants each.
        assert_eq!(calls.iter().map(|(_, out)| out.tenant).collect::<Vec<_>>(), [one, other].repeat(3));
        assert!(calls.iter().all(|(_, out)| out.samples.len() <= SAMPLES_TOGETHER + samples));
        let mut times: Vec<i64> =
            calls.iter().flat_map(|(_, out)| out.samples.iter().map(|sample| sample.time)).collect();
        times.sort_unstable();
        assert!(times.iter().copied().eq(0..(records * samples) as i64), "each sample once");
    }

    #[tokio::test(start_paused = true)]
    async fn live_rows_have_most_of_the_nodes_time() {
        let apart = |node: Taking| {
            let begins: Vec<Instant> = node.calls.into_inner().into_iter().map(|(begin, _)| begin).collect();
            let calls = |pair: &[Instant]| (pair[1] - pair[0]).as_secs_f64() / CALL_TIME.as_secs_f64();
            begins.windows(2).map(|pair| calls(pair).round() as u32).collect::<Vec<_>>()
        };
        let alone = Taking::default();
        drained(3, SAMPLES_TOGETHER, &[Tenant::default()], &alone).await;
        assert_eq!(apart(alone), [1, 1]);
        let shared = Taking { live: 1, ..Taking::default() };
        drained(3, SAMPLES_TOGETHER, &[Tenant::default()], &shared).await;
        assert_eq!(apart(shared), [1 + LEFT_TO_LIVE_ROWS; 2]);
    }
}
