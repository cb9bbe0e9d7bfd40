//! The index of a part: building it, walking its keys, searching it, with a million series and with a million values of one label.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use disk::Map;
use index::{CompiledSelector, IndexWriter, PartIndex};
use model::{KeyBuilder, MatchOp, Matcher, Selector, SeriesId, SeriesKey, Tenant};

mod cpu;
#[path = "../tests/index/kubernetes.rs"]
mod kubernetes;

const SERIES: usize = 1_000_000;
/// Searches of each kind whose processor time is told.
const RUNS: usize = 10;

fn write(keys: &[SeriesKey], ids: &[SeriesId]) -> Vec<u8> {
    let mut writer = IndexWriter::new();
    for (key, id) in keys.iter().zip(ids) {
        writer.add_with_id(key, *id);
    }
    let held = writer.bytes();
    let mut bytes = Vec::new();
    let summary = writer
        .finish(&mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })
        .expect("memory refuses nothing");
    assert_eq!(summary.series as usize, keys.len());
    black_box(held);
    bytes
}

fn sorted(mut keys: Vec<SeriesKey>) -> Vec<SeriesKey> {
    keys.sort_unstable();
    keys.iter().map(SeriesKey::clone).collect()
}

fn walk(part: &PartIndex) -> usize {
    let mut cursor = part.keys(0);
    let mut bytes = 0;
    while let Some((_, key)) = cursor.next().expect("a sound index") {
        bytes += key.as_bytes().len();
    }
    bytes
}

fn describe(name: &str, keys: &[SeriesKey], ids: &[SeriesId]) {
    let mut writer = IndexWriter::new();
    for (key, id) in keys.iter().zip(ids) {
        writer.add_with_id(key, *id);
    }
    let held = writer.bytes();
    let mut bytes = 0;
    let summary = writer
        .finish(&mut |piece| {
            bytes += piece.len();
            Ok(())
        })
        .expect("memory refuses nothing");
    eprintln!(
        "{name}: {:.2} bytes a series, {} origins, {} terms, {:.1} MB held while building",
        bytes as f64 / keys.len() as f64,
        summary.origins,
        summary.terms,
        held as f64 / 1e6
    );
}

fn open(bytes: Vec<u8>) -> PartIndex {
    PartIndex::open(Map::from(bytes), Path::new("bench")).expect("a sound index")
}

fn bench_search(c: &mut Criterion, group: &str, part: &PartIndex, cases: &[(&str, Selector)]) {
    let mut group = c.benchmark_group(group);
    group.sample_size(20);
    for (name, selector) in cases {
        let compiled = CompiledSelector::compile(selector).expect("good matchers");
        let search = || part.search(Tenant::DEFAULT, &compiled).expect("a sound index");
        let found = search().len();
        cpu::report(&format!("{name} ({found} found)"), RUNS, || (0..RUNS).for_each(|_| drop(search())));
        group.bench_function(*name, |b| b.iter(search));
    }
    group.finish();
}

fn selector(matchers: &[(&str, MatchOp, &str)]) -> Selector {
    Selector::all_of(matchers.iter().map(|(name, op, value)| Matcher::new(*name, *op, *value)).collect())
}

fn cluster(c: &mut Criterion) {
    // Side by side in memory, as they come from a merge; else the bench measures the way to memory.
    let keys = sorted(kubernetes::keys(SERIES, 1));
    let ids: Vec<SeriesId> = keys.iter().map(SeriesId::of).collect();
    describe("million", &keys, &ids);
    let small = sorted(kubernetes::keys(10_000, 1));
    describe("ten thousand", &small, &ids[..10_000]);
    let mut group = c.benchmark_group("part");
    group.sample_size(10).throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("build 1M series", |b| b.iter(|| write(&keys, &ids)));
    let part = open(cpu::report("build 1M series", SERIES, || write(&keys, &ids)));
    cpu::report("walk 1M keys", SERIES, || walk(&part));
    group.bench_function("walk 1M keys", |b| {
        b.iter(|| walk(&part));
    });
    group.bench_function("shards of 1M ids", |b| {
        b.iter(|| {
            let ids = part.ids(0..SERIES as u32).expect("a sound index");
            ids.iter().filter(|id| id.shard() == 77).count()
        });
    });
    group.finish();
    let mut key = SeriesKey::default();
    let mut number = 0;
    c.bench_function("part/one key", |b| {
        b.iter(|| {
            number = (number + 7919) % SERIES as u32;
            part.key(number, &mut key).expect("a sound index");
        });
    });
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    let metric = ("__name__", Equal, "container_metric_number_7_bytes");
    let cases = [
        ("metric", selector(&[metric])),
        ("metric and namespace", selector(&[metric, ("namespace", Equal, "team-3-production")])),
        ("metric and not namespace", selector(&[metric, ("namespace", NotEqual, "team-3-production")])),
        ("metric and pod pattern", selector(&[metric, ("pod", Regex, ".*service-1.*-[0-9a]+.*")])),
        ("namespace", selector(&[("namespace", Equal, "team-3-production")])),
        ("namespaces and pod", selector(&[("namespace", Regex, "team-(1|2)-production"), ("pod", Regex, ".*-a.*")])),
        ("le", selector(&[("le", Equal, "+Inf")])),
        ("not job", selector(&[("job", NotRegex, "kubelet|istio.*")])),
        ("everything", selector(&[])),
    ];
    bench_search(c, "part/search cluster", &part, &cases);
    let within = part
        .search(Tenant::DEFAULT, &CompiledSelector::compile(&cases[4].1).expect("good matchers"))
        .expect("a sound index");
    let mut group = c.benchmark_group("part/labels");
    group.sample_size(20);
    group.bench_function("names within namespace", |b| b.iter(|| part.label_names(Tenant::DEFAULT, Some(&within))));
    group.bench_function("pods within namespace", |b| {
        b.iter(|| part.label_values(Tenant::DEFAULT, "pod", Some(&within), usize::MAX));
    });
    group.bench_function("all pods", |b| b.iter(|| part.label_values(Tenant::DEFAULT, "pod", None, usize::MAX)));
    group.bench_function("cardinality", |b| {
        b.iter(|| {
            part.cardinality(Tenant::DEFAULT, None, &mut |name, value, count| {
                black_box((name, value, count));
            })
        });
    });
    group.finish();
}

/// A million values of 30 bytes of one label.
fn values(c: &mut Criterion) {
    let mut random = kubernetes::Random(5);
    let mut builder = KeyBuilder::new();
    let mut keys: Vec<SeriesKey> = (0..SERIES)
        .map(|_| {
            builder.clear();
            builder.push("__name__", "m");
            builder.push("pod", &format!("service-{:03}-{}-{}", random.below(1000), random.hex(11), random.hex(5)));
            builder.build(Tenant::DEFAULT).expect("good labels")
        })
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let ids: Vec<SeriesId> = keys.iter().map(SeriesId::of).collect();
    describe("values", &keys, &ids);
    let part = open(write(&keys, &ids));
    let mut value = String::new();
    let middle = keys[keys.len() / 2].label("pod").map(|v| v.into_owned()).unwrap_or_default();
    value.push_str(&middle);
    let cases = [
        ("equal", selector(&[("pod", MatchOp::Equal, &value)])),
        ("prefix", selector(&[("pod", MatchOp::Regex, "service-12.-[0-9]+.*")])),
        ("prefix alone", selector(&[("pod", MatchOp::Regex, "service-12.*")])),
        ("inner literal", selector(&[("pod", MatchOp::Regex, ".*abc.*")])),
        ("inner literal and more", selector(&[("pod", MatchOp::Regex, ".*abc.*[0-9]")])),
        ("no literal", selector(&[("pod", MatchOp::Regex, ".*[a-f]{7}.*")])),
        ("no literal, most match", selector(&[("pod", MatchOp::Regex, ".*[0-9a].*-.*")])),
        ("case-insensitive", selector(&[("pod", MatchOp::Regex, "(?i).*ABC[0-9].*")])),
    ];
    bench_search(c, "part/search 1M values", &part, &cases);
    c.bench_function("part/compile pattern", |b| {
        b.iter(|| CompiledSelector::compile(&cases[4].1).expect("good matchers"));
    });
}

criterion_group!(benches, cluster, values);
criterion_main!(benches);
