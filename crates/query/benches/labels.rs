//! Labels while a query works on them: made from a key, grouped, matched. Twelve labels, as a container's series has them.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use model::{KeyBuilder, SeriesKey, Tenant};
use query::Labels;

const SERIES: usize = 1_000;

fn keys() -> Vec<SeriesKey> {
    let mut builder = KeyBuilder::new();
    let keys = (0..SERIES).map(|at| {
        builder.clear();
        builder.push("__name__", "container_cpu_usage_seconds_total");
        for name in ["cluster", "container", "endpoint", "image", "instance", "job", "namespace", "node", "service"] {
            builder.push(name, &format!("{name}-{}-value-of-usual-length", at % 50));
        }
        builder.push("id", &format!("/kubepods/burstable/pod{at:08x}"));
        builder.push("pod", &format!("deployment-{at:08x}"));
        builder.build(Tenant::DEFAULT).expect("labels name a series")
    });
    keys.collect()
}

fn labels(c: &mut Criterion) {
    let keys = keys();
    let all: Vec<Labels> = keys.iter().map(Labels::from).collect();
    c.bench_function("labels of 1000 keys", |b| {
        b.iter(|| keys.iter().map(Labels::from).for_each(|labels| drop(black_box(labels))));
    });
    c.bench_function("1000 labels reduced to two", |b| {
        b.iter(|| {
            for labels in &all {
                let mut labels = labels.clone();
                labels.retain(|name| name == "namespace" || name == "node");
                black_box(labels);
            }
        });
    });
    c.bench_function("1000 labels without their name", |b| {
        b.iter(|| {
            for labels in &all {
                let mut labels = labels.clone();
                labels.remove("__name__");
                black_box(labels);
            }
        });
    });
    c.bench_function("1000 labels compared with the next", |b| {
        b.iter(|| all.windows(2).filter(|pair| pair[0] < pair[1]).count());
    });
}

criterion_group!(benches, labels);
criterion_main!(benches);
