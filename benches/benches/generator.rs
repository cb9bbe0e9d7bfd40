//! What the generator itself costs: a measurement must not wait for it.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use traffic::{Churn, Shape, Traffic, compress};

const SERIES: usize = 100_000;

fn shape() -> Shape {
    Shape { series: SERIES, ..Shape::default() }
}

fn generator(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("generator");
    group.sample_size(10).throughput(Throughput::Elements(SERIES as u64));
    for (name, shape) in [
        ("steady", shape()),
        ("churn", Shape { churn: Some(Churn { replacements: 4, scrapes: 60 }), ..shape() }),
        ("gaps and late", Shape { gaps: 0.02, late: 0.02, ..shape() }),
    ] {
        let mut traffic = Traffic::new(shape);
        let mut scrape = 0;
        group.bench_function(format!("values, {name}"), |bencher| {
            bencher.iter(|| {
                let mut sum = 0.0;
                traffic.scrape(scrape, |sample| sum += sample.value);
                scrape += 1;
                sum
            });
        });
        group.bench_function(format!("bodies, {name}"), |bencher| {
            bencher.iter(|| {
                let mut bytes = 0;
                traffic.requests(scrape..scrape + 1, |body| bytes += black_box(body).len());
                scrape += 1;
                bytes
            });
        });
    }
    let mut bodies = Vec::new();
    Traffic::new(shape()).requests(0..1, |body| bodies.push(body.to_vec()));
    group.bench_function("compression", |bencher| {
        let (mut encoder, mut out) = (snap::raw::Encoder::new(), Vec::new());
        bencher.iter(|| {
            bodies
                .iter()
                .map(|body| {
                    compress(body, &mut encoder, &mut out);
                    out.len()
                })
                .sum::<usize>()
        });
    });
    group.bench_function("layout", |bencher| {
        bencher.iter_batched(shape, Traffic::new, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, generator);
criterion_main!(benches);
