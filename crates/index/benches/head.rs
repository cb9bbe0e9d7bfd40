//! The index of the head: inserting a million series, searching them, and what they take.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use index::{CompiledSelector, HeadIndex};
use model::{KeyBuilder, MatchOp, Matcher, Selector, SeriesKey, Tenant};

mod cpu;
#[path = "../tests/index/kubernetes.rs"]
mod kubernetes;

const SERIES: usize = 1_000_000;
/// Searches of each kind whose processor time is told.
const RUNS: usize = 10;
const BATCH: usize = 2_000;

fn fill(keys: &[SeriesKey]) -> HeadIndex {
    let head = HeadIndex::new();
    let mut slot = 0;
    for batch in keys.chunks(BATCH) {
        head.insert_many((slot..).zip(batch));
        slot += batch.len() as u32;
    }
    head
}

fn selector(matchers: &[(&str, MatchOp, &str)]) -> Selector {
    Selector::all_of(matchers.iter().map(|(name, op, value)| Matcher::new(*name, *op, *value)).collect())
}

fn bench_search(c: &mut Criterion, group: &str, head: &HeadIndex, cases: &[(&str, Selector)]) {
    let mut group = c.benchmark_group(group);
    group.sample_size(20);
    for (name, selector) in cases {
        let compiled = CompiledSelector::compile(selector).expect("good matchers");
        let search = || head.search(Tenant::DEFAULT, &compiled);
        let found = search().len();
        cpu::report(&format!("{name} ({found} found)"), RUNS, || (0..RUNS).for_each(|_| drop(search())));
        group.bench_function(*name, |b| b.iter(search));
    }
    group.finish();
}

fn cluster(c: &mut Criterion) {
    let keys = kubernetes::keys(SERIES, 1);
    let mut group = c.benchmark_group("head");
    group.sample_size(10).throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("insert 1M series", |b| b.iter_batched(|| (), |()| fill(&keys), BatchSize::PerIteration));
    let head = cpu::report("insert 1M series", SERIES, || fill(&keys));
    eprintln!("1M series: {:.1} MB", head.bytes() as f64 / 1e6);
    let all = (0..SERIES as u32).collect();
    cpu::report("order 1M series", SERIES, || head.in_key_order(&all));
    group.bench_function("order 1M series", |b| b.iter(|| head.in_key_order(&all)));
    group.bench_function("1M keys in order", |b| {
        let order = head.in_key_order(&all);
        let mut key = SeriesKey::default();
        b.iter(|| order.iter().filter(|slot| head.key(**slot, &mut key)).count());
    });
    group.finish();
    use MatchOp::{Equal, NotRegex, Regex};
    let metric = ("__name__", Equal, "container_metric_number_7_bytes");
    let pod =
        keys[SERIES / 2..].iter().find_map(|key| key.label("pod")).map(|pod| pod.into_owned()).unwrap_or_default();
    let cases = [
        ("metric", selector(&[metric])),
        ("pod", selector(&[("pod", Equal, &pod)])),
        ("metric and pod", selector(&[metric, ("pod", Equal, &pod)])),
        ("metric and namespace", selector(&[metric, ("namespace", Equal, "team-3-production")])),
        ("metric and namespaces", selector(&[metric, ("namespace", Regex, "team-(3|4|5)-production")])),
        ("metric and pod pattern", selector(&[metric, ("pod", Regex, ".*service-1.*-[0-9a]+.*")])),
        ("namespace", selector(&[("namespace", Equal, "team-3-production")])),
        ("le", selector(&[("le", Equal, "+Inf")])),
        ("not job", selector(&[("job", NotRegex, "kubelet|istio.*")])),
        ("everything", selector(&[])),
    ];
    bench_search(c, "head/search cluster", &head, &cases);
}

/// A million values of 30 bytes of one label.
fn values(c: &mut Criterion) {
    let mut random = kubernetes::Random(5);
    let mut builder = KeyBuilder::new();
    let keys: Vec<SeriesKey> = (0..SERIES)
        .map(|_| {
            builder.clear();
            builder.push("__name__", "m");
            builder.push("pod", &format!("service-{:03}-{}-{}", random.below(1000), random.hex(11), random.hex(5)));
            builder.build(Tenant::DEFAULT).expect("good labels")
        })
        .collect();
    let mut group = c.benchmark_group("head");
    group.sample_size(10).throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("insert 1M values", |b| b.iter_batched(|| (), |()| fill(&keys), BatchSize::PerIteration));
    group.finish();
    let head = cpu::report("insert 1M values", SERIES, || fill(&keys));
    eprintln!("1M values: {:.1} MB", head.bytes() as f64 / 1e6);
    let cases = [
        ("prefix", selector(&[("pod", MatchOp::Regex, "service-12.-[0-9]+.*")])),
        ("inner literal", selector(&[("pod", MatchOp::Regex, ".*abc.*")])),
        ("no literal", selector(&[("pod", MatchOp::Regex, ".*[a-f]{7}.*")])),
    ];
    bench_search(c, "head/search 1M values", &head, &cases);
}

criterion_group!(benches, cluster, values);
criterion_main!(benches);
