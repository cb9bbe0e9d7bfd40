//! Handing hints to the node that they are for.
//!
//! 1. The oldest segment is read by a thread of its own, which finds or makes the head's series for its keys and cuts its samples into rows.
//! 2. Few of these wait for the node at any time; they go the same way as live rows, at a bounded rate.
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
        let inserted = send.send(&out).await.map_err(DrainError::Node)?;
        drained.samples += inserted.samples;
        drained.refused += inserted.refused.total();
        pace.wait(out.samples.len() as u64).await;
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
            let sink = IntoRows { head: &head, series: Mutex::default(), full: Mutex::new(false), sender };
            let report = log.read(number, &sink)?;
            drop(pin);
            if *sink.full.lock() {
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
    /// Slots of the head and tenants, by the numbers that the reader is given.
    series: Mutex<Vec<(u32, Tenant)>>,
    full: Mutex<bool>,
    sender: mpsc::Sender<Outgoing>,
}

impl IntoRows<'_> {
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
        let mut series = self.series.lock();
        for bytes in keys {
            // What is no key was damaged, and its checksum too.
            let Ok(key) = SeriesKey::from_bytes(bytes.to_vec()) else {
                slots_out.push(NO_SLOT);
                continue;
            };
            match self.head.find_or_create(&guard, &key, ValueKind::Float) {
                Ok(slot) => {
                    slots_out.push(series.len() as u32);
                    series.push((slot, key.tenant()));
                }
                Err(_) => {
                    *self.full.lock() = true;
                    slots_out.push(NO_SLOT);
                }
            }
        }
    }

    fn samples(&self, slots: &[u32], times: &[i64], values: &[f64]) {
        let mut by_tenant: Vec<Outgoing> = Vec::new();
        {
            let series = self.series.lock();
            for ((number, time), value) in slots.iter().zip(times).zip(values) {
                let (slot, tenant) = series[*number as usize];
                let place = by_tenant.iter().position(|out| out.tenant == tenant).unwrap_or_else(|| {
                    by_tenant.push(Outgoing::of(tenant));
                    by_tenant.len() - 1
                });
                by_tenant[place].push(slot, &[Sample { time: *time, value: *value }]);
            }
        }
        by_tenant.into_iter().for_each(|out| self.send(out));
    }

    fn tombstone(&self, _: &[u8]) {
        ::log::warn!("a hint holds a deletion, which nobody writes there; it is left out");
    }

    fn metadata(&self, bytes: &[u8]) {
        let Some(told) = metadata::decode(bytes) else {
            ::log::error!("a hint holds {} bytes of metadata that cannot be read; they are left out", bytes.len());
            return;
        };
        let mut by_tenant: Vec<Outgoing> = Vec::new();
        for (tenant, told) in told {
            match by_tenant.iter_mut().find(|out| out.tenant == tenant) {
                Some(out) => out.metadata.push(told),
                None => by_tenant.push(Outgoing { metadata: vec![told], ..Outgoing::of(tenant) }),
            }
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

    async fn wait(&mut self, samples: u64) {
        let took = Duration::from_nanos(samples.saturating_mul(1_000_000_000) / self.per_second);
        self.next = self.next.max(Instant::now()) + took;
        sleep_until(self.next - took.min(Duration::from_millis(10))).await;
    }
}
