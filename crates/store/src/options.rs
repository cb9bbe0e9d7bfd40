//! What a store is told at the start, and the limits that follow from it.

use std::time::Duration;

pub use wal::{Ack, Commits};

/// One hour.
pub const HOUR_MS: i64 = 3_600_000;
/// One day.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// The options of a store; each is a flag of the program.
#[derive(Debug, Clone)]
pub struct Options {
    /// `-retentionPeriod`: what is older is neither taken nor answered.
    pub retention_ms: i64,
    /// `-futureRetention`: what is further in the future is not taken.
    pub future_retention_ms: i64,
    /// `-maxBackfillAge`: what is older is not taken; 0 leaves it to the retention.
    pub max_backfill_age_ms: i64,
    /// `-storage.ack`: when a write counts as durable.
    pub ack: Ack,
    /// `-dedup.minScrapeInterval`: one sample stays per interval; 0 for off.
    pub dedup_interval_ms: i64,
    /// `-memory.allowedBytes` or what follows from `-memory.allowedPercent`.
    pub memory_allowed_bytes: u64,
    /// `-storage.minFreeDiskSpaceBytes`: below this writes are refused.
    pub min_free_disk_bytes: u64,
    /// `-storage.maxHourlySeries`; 0 for no limit.
    pub max_hourly_series: u64,
    /// `-storage.maxDailySeries`; 0 for no limit.
    pub max_daily_series: u64,
    /// `-snapshotsMaxAge`: older snapshots are removed; 0 keeps them.
    pub snapshots_max_age_ms: i64,
    /// What starts a flush.
    pub flush: FlushLimits,
    /// Whether threads do the background work; tests that want each step in their own hands say no.
    pub background: bool,
    /// Who commits the log; simulations commit when they wait.
    pub commits: Commits,
}

/// What starts a flush: the first limit that is reached.
#[derive(Debug, Clone, Copy)]
pub struct FlushLimits {
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Bytes of samples in memory.
    pub head_bytes: u64,
    /// Age of the oldest sample in memory.
    pub age_ms: i64,
    /// How long the replay of what is in memory may take, as far as it can be foreseen.
    pub replay: Duration,
}

impl Default for FlushLimits {
    fn default() -> Self {
        // Within five seconds of a kill the store answers again: what comes in while a flush is under way, and the opening of the parts, need their share of
        // them. With 128 MiB of samples, and the next ones beside them while they are flushed, a process with a million series stays below 600 MB.
        Self { log_bytes: 256 << 20, head_bytes: 128 << 20, age_ms: 2 * HOUR_MS, replay: Duration::from_secs(3) }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retention_ms: 31 * DAY_MS,
            future_retention_ms: 2 * DAY_MS,
            max_backfill_age_ms: 0,
            ack: Ack::Power,
            dedup_interval_ms: 0,
            memory_allowed_bytes: 1 << 30,
            min_free_disk_bytes: 100 << 20,
            max_hourly_series: 0,
            max_daily_series: 0,
            snapshots_max_age_ms: 0,
            flush: FlushLimits::default(),
            background: true,
            commits: Commits::default(),
        }
    }
}

impl Options {
    /// Samples in memory may take so many bytes before a flush starts: a share of all memory allowed, but no more than replays quickly.
    pub fn head_bytes(&self) -> u64 {
        self.flush.head_bytes.min(self.memory_allowed_bytes / HEAD_SHARE).max(HEAD_BYTES_MIN)
    }

    /// Above this writers have to come back later, until a flush has made room.
    pub fn head_bytes_hard(&self) -> u64 {
        (self.memory_allowed_bytes / HEAD_HARD_SHARE).max(4 * HEAD_BYTES_MIN).max(self.head_bytes() * 2)
    }

    /// What selectors mean on parts is remembered in so many bytes.
    pub fn searches_bytes(&self) -> usize {
        (self.memory_allowed_bytes / SEARCHES_SHARE) as usize
    }

    /// Series that stood in memory before the last stop are found by id with so many bytes.
    pub fn returning_bytes(&self) -> usize {
        (self.memory_allowed_bytes / RETURNING_SHARE) as usize
    }

    /// Counting series takes so many bytes.
    pub fn counting_bytes(&self) -> usize {
        (self.memory_allowed_bytes / COUNTING_SHARE) as usize
    }

    /// So many label encodings are remembered.
    pub fn encodings_max(&self) -> usize {
        ((self.memory_allowed_bytes / ENCODING_SHARE) / ENCODING_BYTES).clamp(1 << 16, 1 << 28) as usize
    }
}

const HEAD_SHARE: u64 = 6;
const HEAD_HARD_SHARE: u64 = 3;
const HEAD_BYTES_MIN: u64 = 8 << 20;
const ENCODING_SHARE: u64 = 6;
const SEARCHES_SHARE: u64 = 32;
const RETURNING_SHARE: u64 = 64;
const COUNTING_SHARE: u64 = 64;
/// About what an encoding takes in memory.
const ENCODING_BYTES: u64 = 48;

const _: () = assert!(HEAD_HARD_SHARE < HEAD_SHARE);
