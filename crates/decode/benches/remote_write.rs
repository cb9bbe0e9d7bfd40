//! The walk over remote-write bodies, alone and with unpacking, on Kubernetes-shaped traffic.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use decode::{Packing, Unpacked, remote_write::Rows};

const UNPACKED_MAX: usize = 32 << 20;

fn bodies() -> Vec<Vec<u8>> {
    let mut traffic = traffic::Traffic::new(traffic::Shape { series: 20_000, ..traffic::Shape::default() });
    let mut bodies = Vec::new();
    traffic.requests(0..1, |body| bodies.push(body.to_vec()));
    bodies
}

fn remote_write(criterion: &mut Criterion) {
    let raw = bodies();
    let packed: Vec<Vec<u8>> =
        raw.iter().map(|body| snap::raw::Encoder::new().compress_vec(body).expect("snappy packs everything")).collect();
    let mut unpacked: Vec<Unpacked> = raw.iter().map(|_| Unpacked::default()).collect();
    unpacked.iter_mut().zip(&raw).for_each(|(unpacked, body)| unpacked.set(body));
    let mut rows = Rows::default();
    let mut samples = 0;
    for body in &mut unpacked {
        rows.decode(body).expect("a good body");
        samples += rows.samples().len() as u64;
    }

    let mut group = criterion.benchmark_group("remote_write");
    group.throughput(Throughput::Elements(samples));
    group.bench_function("walk", |bencher| {
        bencher.iter(|| {
            for body in &mut unpacked {
                rows.decode(body).expect("a good body");
                black_box(rows.samples());
            }
        });
    });
    let mut body = Unpacked::default();
    group.bench_function("snappy_and_walk", |bencher| {
        bencher.iter(|| {
            for packed in &packed {
                body.unpack(packed, Packing::Snappy, UNPACKED_MAX).expect("a good body");
                rows.decode(&mut body).expect("a good body");
                black_box(rows.samples());
            }
        });
    });
    group.bench_function("snappy", |bencher| {
        bencher.iter(|| {
            for packed in &packed {
                body.unpack(packed, Packing::Snappy, UNPACKED_MAX).expect("a good body");
                black_box(body.bytes());
            }
        });
    });
    group.finish();
}

criterion_group!(benches, remote_write);
criterion_main!(benches);
