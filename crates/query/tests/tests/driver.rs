//! A store on a simulated disk, and an engine over it.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use model::{KeyBuilder, Sample, Tenant, ValueKind};
use query::{Answer, AnswerSeries, Dialect, Engine, EngineOptions, Labels, Points, Query, QueryError, Span, Value};
use storage_api::{Admin, Batch, EncodedSeries, Encoding, Insert, Resolved, Select};
use store::{Commits, DAY_MS, Options, Reporter, Store};
use testkit::{ManualClock, SimDisk};

/// The time of day at which tests run.
pub const NOW: i64 = 2_000 * DAY_MS;

/// Label bytes are names and values, each closed by a zero byte.
struct Plain;

impl Encoding for Plain {
    fn scope(&self) -> &[u8] {
        b"plain"
    }

    fn generation(&self) -> u32 {
        0
    }

    fn resolve(&self, bytes: &[u8], labels: &mut KeyBuilder) -> Resolved {
        let text = std::str::from_utf8(bytes).expect("tests write UTF-8");
        let mut parts = text.split_terminator('\0');
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            labels.push(name, value);
        }
        Resolved::Keep
    }
}

/// A store and an engine over it.
pub struct Driver {
    pub store: Arc<Store>,
    pub engine: Engine,
}

impl Driver {
    pub fn new() -> Self {
        Self::with(EngineOptions { latency_offset: Duration::ZERO, ..EngineOptions::default() })
    }

    pub fn with(options: EngineOptions) -> Self {
        let clock = Arc::new(ManualClock::new(NOW));
        let quiet = Options {
            retention_ms: 3_000 * DAY_MS,
            background: false,
            commits: Commits::WhenAsked,
            min_free_disk_bytes: 0,
            ..Options::default()
        };
        let reporter = Reporter::new(|_, _| {});
        let store = Store::open(Arc::new(SimDisk::new(1)), quiet, Arc::<ManualClock>::clone(&clock), reporter);
        let store = Arc::new(store.expect("the store opens"));
        let select: Arc<dyn Select> = Arc::<Store>::clone(&store);
        let engine = Engine::new(select, Arc::<ManualClock>::clone(&clock), options);
        Self { store, engine }
    }

    /// Polls a future; while it waits for the log, the log is committed.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future: Pin<Box<dyn Future<Output = T> + '_>> = Box::pin(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                return done;
            }
            self.store.sync().expect("the log is synced");
        }
    }

    /// Stores samples of a series, a batch of any size.
    pub fn put(&self, labels: &[(&str, &str)], samples: &[(i64, f64)]) {
        let bytes: String = labels.iter().flat_map(|(name, value)| [name, "\0", value, "\0"]).collect();
        let samples: Vec<Sample> = samples.iter().map(|(time, value)| Sample { time: *time, value: *value }).collect();
        let series = [EncodedSeries {
            labels_start: 0,
            labels_len: bytes.len() as u32,
            samples_end: samples.len() as u32,
            kind: ValueKind::Float,
        }];
        let batch = Batch {
            tenant: Tenant::DEFAULT,
            encoding: &Plain,
            bytes: bytes.as_bytes(),
            series: &series,
            samples: &samples,
            metadata: &[],
        };
        let inserted = self.wait(self.store.insert(batch)).expect("the samples are taken");
        assert_eq!(inserted.samples, samples.len() as u64, "{:?}", inserted.refused);
    }

    /// Moves what is in memory to parts.
    pub fn flush(&self) {
        self.wait(self.store.flush()).expect("the store flushes");
    }

    pub fn instant(&self, dialect: Dialect, text: &str, time: i64) -> Result<Answer, QueryError> {
        self.engine.run(&query(dialect, text, Span::Instant { time, step: 300_000 }))
    }

    pub fn range(&self, dialect: Dialect, text: &str, times: (i64, i64, i64)) -> Result<Answer, QueryError> {
        let (start, end, step) = times;
        self.engine.run(&query(dialect, text, Span::Range { start, end, step }))
    }
}

pub fn query(dialect: Dialect, text: &str, span: Span) -> Query {
    Query::new(Tenant::DEFAULT, text, dialect, span)
}

/// Series and their samples, absent ones left out.
pub type Rows = Vec<(Labels, Vec<(i64, f64)>)>;

pub fn rows_of(value: &Value) -> Rows {
    match value {
        Value::Scalar(time, value) => vec![(Labels::default(), vec![(*time, *value)])],
        Value::Text(..) => Vec::new(),
        Value::Vector(series) | Value::Matrix(series) => series.iter().map(samples_of).collect(),
    }
}

fn samples_of(series: &AnswerSeries) -> (Labels, Vec<(i64, f64)>) {
    let samples = match &series.points {
        Points::Own { times, values } => times.iter().copied().zip(values.iter().copied()).collect(),
        Points::Grid { start, step, values } => {
            let at = |i: usize| start + step * i as i64;
            let present = values.iter().enumerate().filter(|(_, value)| !model::is_stale(**value));
            present.map(|(i, value)| (at(i), *value)).collect()
        }
    };
    (series.labels.clone(), samples)
}
