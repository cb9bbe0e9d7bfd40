//! Encode and decode, per data class, effort and block size; ranges, timestamps and summaries.

#[path = "classes/mod.rs"]
mod classes;

use std::hint::black_box;

use classes::{Class, Random, columns};
use codec::{
    Effort, Scratch, decode_times, decode_value_range, decode_values, decode_values_above, encode_times, encode_values,
    encode_values_above, summarize,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Columns of one class in a measurement: few enough to stay in the cache, as blocks do that were just read.
const COLUMNS: usize = 12;
const BLOCKS: [usize; 2] = [8192, 1440];

fn coded(blocks: &[Vec<f64>], effort: Effort, scratch: &mut Scratch) -> Vec<Vec<u8>> {
    let code = |block: &Vec<f64>| {
        let mut bytes = Vec::new();
        encode_values(block, effort, scratch, &mut bytes);
        bytes
    };
    blocks.iter().map(code).collect()
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let mut scratch = Scratch::new();
    let mut bytes = Vec::new();
    for (effort, count) in
        [Effort::Flush, Effort::Merge].into_iter().flat_map(|effort| BLOCKS.map(|count| (effort, count)))
    {
        for class in Class::ALL {
            let blocks = columns(class, COLUMNS, count, 1);
            group.throughput(Throughput::Elements((COLUMNS * count) as u64));
            group.bench_function(BenchmarkId::new(format!("{effort:?}/{class:?}"), count), |bencher| {
                bencher.iter(|| {
                    for block in &blocks {
                        bytes.clear();
                        black_box(encode_values(block, effort, &mut scratch, &mut bytes));
                    }
                });
            });
        }
    }
    let blocks = columns(Class::FullFloat, 1, 1440, 1);
    group.throughput(Throughput::Elements(1440));
    group.bench_function("Cold/FullFloat/1440", |bencher| {
        bencher.iter(|| {
            bytes.clear();
            black_box(encode_values(&blocks[0], Effort::Cold, &mut scratch, &mut bytes));
        });
    });
    group.finish();
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    let mut scratch = Scratch::new();
    let mut values = Vec::new();
    for (effort, count) in
        [Effort::Flush, Effort::Merge].into_iter().flat_map(|effort| BLOCKS.map(|count| (effort, count)))
    {
        for class in Class::ALL {
            let coded = coded(&columns(class, COLUMNS, count, 1), effort, &mut scratch);
            group.throughput(Throughput::Elements((COLUMNS * count) as u64));
            group.bench_function(BenchmarkId::new(format!("{effort:?}/{class:?}"), count), |bencher| {
                bencher.iter(|| {
                    for bytes in &coded {
                        values.clear();
                        decode_values(bytes, count, &mut scratch, &mut values).expect("just encoded");
                    }
                    black_box(&values);
                });
            });
        }
    }
    let cold = coded(&columns(Class::Bucket, COLUMNS, 8192, 1), Effort::Cold, &mut scratch);
    group.throughput(Throughput::Elements((COLUMNS * 8192) as u64));
    group.bench_function("Cold/Bucket/8192", |bencher| {
        bencher.iter(|| {
            for bytes in &cold {
                values.clear();
                decode_values(bytes, 8192, &mut scratch, &mut values).expect("just encoded");
            }
            black_box(&values);
        });
    });
    group.finish();
}

fn parts_of_blocks(criterion: &mut Criterion) {
    let mut scratch = Scratch::new();
    let mut values = Vec::new();
    let blocks = columns(Class::Bucket, 2, 8192, 1);
    let coded = coded(&blocks, Effort::Flush, &mut scratch);
    criterion.bench_function("range/last 240 of 8192", |bencher| {
        bencher.iter(|| {
            values.clear();
            decode_value_range(&coded[1], 8192, 7952..8192, &mut scratch, &mut values).expect("just encoded");
            black_box(&values);
        });
    });
    let mut above = Vec::new();
    encode_values_above(&blocks[1], &blocks[0], Effort::Flush, &mut scratch, &mut above).expect("buckets are integers");
    criterion.bench_function("above/8192", |bencher| {
        bencher.iter(|| {
            values.clear();
            decode_values_above(&above, &blocks[0], &mut scratch, &mut values).expect("just encoded");
            black_box(&values);
        });
    });
    criterion.bench_function("summarize/8192", |bencher| bencher.iter(|| summarize(black_box(&blocks[0]))));
}

fn times(criterion: &mut Criterion) {
    let mut random = Random::new(1);
    let mut group = criterion.benchmark_group("times");
    for (name, jitter) in [("aligned", 0), ("jittered", 10)] {
        let times: Vec<i64> =
            (0..8192).map(|index| 1_753_000_000_000 + index * 15_000 + (random.bits() % (jitter + 1)) as i64).collect();
        let mut bytes = Vec::new();
        group.throughput(Throughput::Elements(8192));
        group.bench_function(BenchmarkId::new("encode", name), |bencher| {
            bencher.iter(|| {
                bytes.clear();
                encode_times(black_box(&times), &mut bytes);
            });
        });
        let mut back = Vec::new();
        group.bench_function(BenchmarkId::new("decode", name), |bencher| {
            bencher.iter(|| {
                back.clear();
                decode_times(&bytes, 8192, &mut back).expect("just encoded");
                black_box(&back);
            });
        });
    }
    group.finish();
}

fn quick() -> Criterion {
    let short = std::time::Duration::from_millis(400);
    Criterion::default().sample_size(20).warm_up_time(short / 4).measurement_time(short)
}

criterion_group!(name = benches; config = quick(); targets = encode, decode, parts_of_blocks, times);
criterion_main!(benches);
