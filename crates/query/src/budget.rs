//! What a query may cost, counted as it runs.
//!
//! 1. Memory is counted where rows and states are made. While a function runs, what it makes counts beside its arguments; when it is done, only its result
//!    counts ([`Ledger::settle`]).
//! 2. What the answer holds counts until it is sent ([`Held`]): a client that reads slowly takes its share from others.
//! 3. Samples are counted as they are read.
//! 4. Whoever works for long asks from time to time whether the query must end.
//! 5. What queries do not hold any more is free, but an allocator keeps it for the thread that had it, while others take new memory. So whenever they have freed a
//!    quarter of what all may hold, the thread that freed the last of it has it given back to the system ([`EngineOptions::reclaim`]), before it goes on.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use storage_api::{Budget, Effort, SelectError};

use crate::{
    api::{AnswerSeries, Points, Query, QueryError, Value},
    frame::{Operand, Row},
    options::EngineOptions,
};

/// The account of a query.
#[derive(Debug)]
pub struct Ledger {
    /// What requests to the store may cost.
    pub budget: Budget,
    memory_max: u64,
    samples_max: u64,
    series_samples_max: u64,
    held: AtomicU64,
    /// Of what is held, so much stays whatever is settled.
    kept: AtomicU64,
    peak: AtomicU64,
    samples: AtomicU64,
    series: AtomicU64,
    bytes_moved: AtomicU64,
    all: Arc<AllQueries>,
}

/// The account of all queries together.
#[derive(Debug)]
pub struct AllQueries {
    memory_max: u64,
    held: AtomicU64,
    /// What queries have freed since memory was reclaimed.
    freed: AtomicU64,
    reclaim: fn(),
}

/// Memory is reclaimed whenever queries have freed this share of what they may hold.
const RECLAIMED_SHARE: u64 = 4;

fn or_unlimited(limit: u64) -> u64 {
    if limit == 0 { u64::MAX } else { limit }
}

impl AllQueries {
    /// An empty account.
    pub fn new(options: &EngineOptions) -> Self {
        let memory_max = or_unlimited(options.memory_max);
        Self { memory_max, held: AtomicU64::new(0), freed: AtomicU64::new(0), reclaim: options.reclaim }
    }

    fn free(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        // What was refused counts here too, and may be any number.
        if self.freed.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) >= self.memory_max / RECLAIMED_SHARE {
            self.freed.store(0, Ordering::Relaxed);
            (self.reclaim)();
        }
    }

    /// Bytes that running queries hold.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

impl Ledger {
    /// The account of a query that begins.
    pub fn new(query: &Query, options: &EngineOptions, all: &Arc<AllQueries>) -> Self {
        let budget = Budget {
            series_max: or_unlimited(options.series_max),
            cancel: query.cancel.clone(),
            deadline: query.deadline,
            completeness: query.completeness.clone(),
        };
        Self {
            budget,
            memory_max: or_unlimited(options.memory_per_query_max),
            samples_max: or_unlimited(options.samples_per_query_max),
            series_samples_max: or_unlimited(options.samples_per_series_max),
            held: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            samples: AtomicU64::new(0),
            series: AtomicU64::new(0),
            bytes_moved: AtomicU64::new(0),
            all: Arc::clone(all),
        }
    }

    /// Fails if the query must end.
    pub fn check(&self) -> Result<(), QueryError> {
        self.budget.check().map_err(QueryError::from)
    }

    /// Counts bytes that are about to be held, and fails if there may not be so many or the query must end.
    pub fn hold(&self, bytes: usize) -> Result<(), QueryError> {
        self.check()?;
        let bytes = bytes as u64;
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let all = self.all.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(held, Ordering::Relaxed);
        if held > self.memory_max {
            return Err(QueryError::Limit(format!(
                "the query needs {held} bytes of memory at least, -search.maxMemoryPerQuery allows {}; narrow its matchers or its time range, or raise its step",
                self.memory_max
            )));
        }
        if all > self.all.memory_max {
            return Err(QueryError::Limit(format!(
                "the query needs {held} bytes of memory at least, with which all queries together would hold {all} of the {} that -memory.allowedPercent and \
                 -memory.allowedBytes give them; narrow its matchers or its time range, raise its step, or ask again later",
                self.all.memory_max
            )));
        }
        Ok(())
    }

    /// Bytes that are not held any more.
    pub fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes as u64, Ordering::Relaxed);
        self.all.free(bytes as u64);
    }

    /// How many bytes are held; for [`Self::settle`].
    pub fn mark(&self) -> u64 {
        self.held.load(Ordering::Relaxed) - self.kept.load(Ordering::Relaxed)
    }

    /// Counts bytes that stay until [`Self::unkeep`], if there is room for them.
    pub fn try_keep(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let fits = |held: &AtomicU64, max: u64| held.load(Ordering::Relaxed).saturating_add(bytes) <= max;
        if !fits(&self.held, self.memory_max) || !fits(&self.all.held, self.all.memory_max) {
            return false;
        }
        self.all.held.fetch_add(bytes, Ordering::Relaxed);
        self.kept.fetch_add(bytes, Ordering::Relaxed);
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(held, Ordering::Relaxed);
        true
    }

    /// Bytes that are not kept any more.
    pub fn unkeep(&self, bytes: usize) {
        self.kept.fetch_sub(bytes as u64, Ordering::Relaxed);
        self.release(bytes);
    }

    /// Of what is held since `mark`, only so many bytes stay, beside those that are kept.
    pub fn settle(&self, mark: u64, bytes: usize) {
        let wanted = mark + self.kept.load(Ordering::Relaxed) + bytes as u64;
        let held = self.held.swap(wanted, Ordering::Relaxed);
        if wanted >= held {
            self.all.held.fetch_add(wanted - held, Ordering::Relaxed);
        } else {
            self.all.free(held - wanted);
        }
        self.peak.fetch_max(wanted, Ordering::Relaxed);
    }

    /// Counts series that are read.
    pub fn read_series(&self, series: u64) {
        self.series.fetch_add(series, Ordering::Relaxed);
    }

    /// Counts samples of one series that were read.
    pub fn read_samples(&self, samples: u64) -> Result<(), QueryError> {
        if samples > self.series_samples_max {
            return Err(QueryError::Limit(format!(
                "a series has {samples} samples in the time range, -search.maxSamplesPerSeries allows {}; narrow the time range",
                self.series_samples_max
            )));
        }
        self.count_samples(samples)
    }

    /// Counts what was done elsewhere.
    pub fn add_effort(&self, effort: Effort) -> Result<(), QueryError> {
        self.bytes_moved.fetch_add(effort.bytes, Ordering::Relaxed);
        self.count_samples(effort.samples)
    }

    /// Bytes that came from other nodes.
    pub fn bytes_moved(&self) -> u64 {
        self.bytes_moved.load(Ordering::Relaxed)
    }

    fn count_samples(&self, samples: u64) -> Result<(), QueryError> {
        let all = self.samples.fetch_add(samples, Ordering::Relaxed) + samples;
        if all > self.samples_max {
            return Err(QueryError::Limit(format!(
                "the query looks at {all} samples at least, -search.maxSamplesPerQuery allows {}; narrow its matchers or its time range",
                self.samples_max
            )));
        }
        Ok(())
    }

    /// The query ends, and so many bytes are its answer.
    pub fn leave(&self, bytes: usize) -> Held {
        // At no moment does it look as if they were free.
        let held = Held::new(bytes, &self.all);
        self.all.free(self.held.swap(0, Ordering::Relaxed));
        held
    }

    /// Series and samples that were read.
    pub fn read(&self) -> (u64, u64) {
        (self.series.load(Ordering::Relaxed), self.samples.load(Ordering::Relaxed))
    }

    /// The most bytes that were held at once.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

/// Bytes of an answer, which count until it is sent.
#[derive(Debug)]
pub struct Held {
    bytes: u64,
    all: Arc<AllQueries>,
}

impl Held {
    /// Counts what an answer holds that no query made anew.
    pub fn new(bytes: usize, all: &Arc<AllQueries>) -> Self {
        all.held.fetch_add(bytes as u64, Ordering::Relaxed);
        Self { bytes: bytes as u64, all: Arc::clone(all) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.free(self.bytes);
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.all.free(self.held.load(Ordering::Relaxed));
    }
}

/// Bytes that a row holds.
pub fn row_bytes(row: &Row) -> usize {
    size_of::<Row>() + row.labels.bytes() + row.values.bytes()
}

/// Bytes that a value holds.
pub fn value_bytes(value: &Value) -> usize {
    let points = |points: &Points| match points {
        Points::Grid { values, .. } => values.capacity() * size_of::<f64>(),
        // Series share their times.
        Points::Own { times, values } => {
            (times.capacity() / Arc::strong_count(times) + values.capacity()) * size_of::<f64>()
        }
    };
    match value {
        Value::Scalar(..) => 0,
        Value::Text(_, text) => text.len(),
        Value::Vector(all) | Value::Matrix(all) => {
            all.iter().map(|one| size_of::<AnswerSeries>() + one.labels.bytes() + points(&one.points)).sum()
        }
    }
}

/// Bytes that an operand holds.
pub fn operand_bytes(operand: &Operand) -> usize {
    match operand {
        Operand::Scalar(values) => values.capacity() * size_of::<f64>(),
        Operand::Text(text) => text.len(),
        Operand::Rows(rows) => rows.iter().map(row_bytes).sum(),
    }
}

/// Whether a request failed because its query must end, or by the store.
pub fn select_error(error: SelectError, budget: &Budget) -> QueryError {
    match error {
        SelectError::TooManySeries { found, .. } => QueryError::Limit(format!(
            "the query means at least {found} series, -search.maxUniqueTimeseries allows {}; narrow its matchers or its time range",
            budget.series_max
        )),
        other => other.into(),
    }
}
