//! What the disk layer itself costs: checksums, appends, syncs, publishing, maps.

use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use disk::{Disk, RealDisk, crc32c, publish_file};

fn p(path: &str) -> &Path {
    Path::new(path)
}

fn checksums(c: &mut Criterion) {
    let mut group = c.benchmark_group("crc32c");
    for len in [64, 1024, 64 * 1024] {
        let bytes = vec![7; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(len.to_string(), |b| b.iter(|| crc32c(black_box(&bytes))));
    }
}

fn appends(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    let bytes = vec![7; 4096];
    let mut group = c.benchmark_group("append 4096 bytes");
    for (name, synced) in [("to the page cache", false), ("and sync", true)] {
        // Short files, as many as it takes: the bench must not fill the disk.
        let mut file = disk.create(p(name)).unwrap();
        group.bench_function(name, |b| {
            b.iter(|| {
                if file.len() > 64 << 20 {
                    file = disk.reopen(p(name), 0).unwrap();
                }
                file.append(black_box(&bytes)).unwrap();
                if synced {
                    file.sync().unwrap();
                }
            });
        });
    }
    group.bench_function("as a published file", |b| b.iter(|| publish_file(&disk, p("f"), &bytes).unwrap()));
}

fn maps(c: &mut Criterion) {
    const LEN: usize = 16 << 20;
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    disk.create(p("f")).unwrap().append(&vec![7; LEN]).unwrap();
    let map = disk.map(p("f")).unwrap();
    let mut group = c.benchmark_group("map");
    group.bench_function("open and drop", |b| b.iter(|| disk.map(p("f")).unwrap().len()));
    group.bench_function("slice and read one byte", |b| b.iter(|| black_box(&map).slice(4096..8192)[7]));
    let touch = || (0..LEN).step_by(4096).fold(0u8, |sum, at| sum.wrapping_add(map[at]));
    group.throughput(Throughput::Bytes(LEN as u64));
    group.bench_function("touch every resident page of 16 MiB", |b| b.iter(touch));
    group.bench_function("touch every page of 16 MiB after release", |b| {
        b.iter_batched(|| map.release(0..LEN), |()| touch(), BatchSize::PerIteration);
    });
}

criterion_group!(benches, checksums, appends, maps);
criterion_main!(benches);
