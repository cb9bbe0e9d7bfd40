//! What a sample costs from its decoded column to the answer, on one thread.
//!
//! A store in memory hands out columns that share one column of times, as the series of a scrape target do; copying a column is part of what is measured.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use model::{KeyBuilder, SeriesId, SeriesKey, SystemClock, Tenant, TimeRange, ValueKind};
use parking_lot::Mutex;
use query::{Dialect, Engine, EngineOptions, Query, Span};
use storage_api::{
    BoxFuture, NamesRequest, Select, SelectError, SelectRequest, SeriesChunk, SeriesData, SeriesStream, ValuesRequest,
    Version,
};

const SERIES: usize = 64;
const SAMPLES: usize = 8_192;
const INTERVAL_MS: i64 = 15_000;
const END: i64 = 1_700_000_000_000;

struct Columns {
    times: Arc<Vec<i64>>,
    values: Vec<Vec<f64>>,
}

struct Memory(Arc<Columns>);

struct Stream {
    columns: Arc<Columns>,
    handed_out: Mutex<bool>,
}

struct Chunk(Arc<Columns>);

impl Select for Memory {
    fn select<'a>(&'a self, _: SelectRequest) -> BoxFuture<'a, Result<Box<dyn SeriesStream>, SelectError>> {
        let stream = Stream { columns: Arc::clone(&self.0), handed_out: Mutex::new(false) };
        Box::pin(async move { Ok(Box::new(stream) as Box<dyn SeriesStream>) })
    }

    fn label_names<'a>(&'a self, _: NamesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn label_values<'a>(&'a self, _: ValuesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn series_count<'a>(&'a self, _: Tenant) -> BoxFuture<'a, Result<u64, SelectError>> {
        Box::pin(async { Ok(SERIES as u64) })
    }

    fn versions(&self, _: Tenant, ranges: &[TimeRange]) -> Vec<Version> {
        vec![Version(0); ranges.len()]
    }
}

impl SeriesStream for Stream {
    fn next(&self) -> Result<Option<Box<dyn SeriesChunk>>, SelectError> {
        let was_handed_out = std::mem::replace(&mut *self.handed_out.lock(), true);
        Ok((!was_handed_out).then(|| Box::new(Chunk(Arc::clone(&self.columns))) as Box<dyn SeriesChunk>))
    }

    fn series_total(&self) -> Option<u64> {
        Some(SERIES as u64)
    }
}

impl SeriesChunk for Chunk {
    fn position(&self) -> u64 {
        0
    }

    fn len(&self) -> usize {
        SERIES
    }

    fn id(&self, index: usize) -> SeriesId {
        SeriesId(index as u128)
    }

    fn key(&self, index: usize, key: &mut SeriesKey) -> Result<(), SelectError> {
        let mut builder = KeyBuilder::new();
        builder.push("__name__", "c_total");
        builder.push("pod", &index.to_string());
        *key = builder.build(Tenant::DEFAULT).map_err(|error| SelectError::Corrupt(error.to_string()))?;
        Ok(())
    }

    fn read(&mut self, index: usize, data: &mut SeriesData) -> Result<(), SelectError> {
        data.times = Arc::clone(&self.0.times);
        data.values.clear();
        data.values.extend_from_slice(&self.0.values[index]);
        data.heads.clear();
        data.kind = Some(ValueKind::Float);
        Ok(())
    }
}

fn columns() -> Columns {
    let start = END - SAMPLES as i64 * INTERVAL_MS;
    let times = Arc::new((1..=SAMPLES as i64).map(|i| start + i * INTERVAL_MS).collect());
    let counter = |series: usize| {
        let mut total = 0.0;
        let step = move |i: usize| {
            total = if i % 4_000 == 3_999 { 0.0 } else { total + ((i * (series + 3)) % 17) as f64 };
            total
        };
        (0..SAMPLES).map(step).collect()
    };
    Columns { times, values: (0..SERIES).map(counter).collect() }
}

fn rollups(c: &mut Criterion) {
    let options =
        EngineOptions { workers_per_query_max: 1, latency_offset: Duration::ZERO, ..EngineOptions::default() };
    let engine = Engine::new(Arc::new(Memory(Arc::new(columns()))), Arc::new(SystemClock), options);
    let mut group = c.benchmark_group("rollup");
    group.throughput(Throughput::Elements((SERIES * SAMPLES) as u64));
    for text in
        ["sum(rate(c_total[5m]))", "sum(sum_over_time(c_total[5m]))", "sum(max_over_time(c_total[1h]))", "sum(c_total)"]
    {
        for dialect in [Dialect::MetricsQl, Dialect::PromQl] {
            let start = END - (SAMPLES as i64 - 300) * INTERVAL_MS;
            let query = Query::new(Tenant::DEFAULT, text, dialect, Span::Range { start, end: END, step: 60_000 });
            group.bench_function(BenchmarkId::new(format!("{dialect:?}"), text), |b| {
                b.iter(|| black_box(engine.run(&query).is_ok()));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, rollups);
criterion_main!(benches);
