//! What the traffic promises about itself: the mix, the sizes, the order, the same bytes each time.

mod wire;

use std::collections::{BTreeMap, HashMap, HashSet};

use traffic::{Churn, Class, LATE_SCRAPES_MAX, STALE_MARKER_BITS, Shape, Traffic};
use wire::{Series, decode};

const SERIES: usize = 10_000;

fn series_of(shape: Shape, scrapes: u64) -> Vec<Series> {
    let mut all = Vec::new();
    Traffic::new(shape).requests(0..scrapes, |body| all.extend(decode(body)));
    all
}

fn samples_by_series(series: &[Series]) -> HashMap<&[(String, String)], Vec<(i64, u64)>> {
    let mut by_series: HashMap<_, Vec<_>> = HashMap::new();
    for one in series {
        by_series.entry(&one.labels[..]).or_default().push((one.timestamp_ms, one.value.to_bits()));
    }
    by_series
}

fn share_within(name: &str, share: f64, low: f64, high: f64) {
    println!("{name}: {share:.4}");
    assert!((low..=high).contains(&share), "{name} is {share}, not within {low} and {high}");
}

#[test]
fn the_classes_have_their_shares() {
    let traffic = Traffic::new(Shape { series: SERIES, ..Shape::default() });
    let mut counts = BTreeMap::new();
    for series in 0..SERIES {
        *counts.entry(traffic.class(series)).or_insert(0usize) += 1;
    }
    for (class, expected) in [
        (Class::Constant, 0.35),
        (Class::Counter, 0.35),
        (Class::Bucket, 0.15),
        (Class::Gauge, 0.10),
        (Class::Float, 0.05),
    ] {
        let share = counts[&class] as f64 / SERIES as f64;
        share_within(&format!("{class:?}"), share, expected - 0.02, expected + 0.02);
    }
}

#[test]
fn a_sample_has_twelve_labels_and_490_bytes() {
    let series = series_of(Shape { series: SERIES, ..Shape::default() }, 1);
    let count = series.len() as f64;
    let labels: usize = series.iter().map(|one| one.labels.len()).sum();
    let bytes: usize = series.iter().map(|one| one.message_bytes).sum();
    share_within("labels a series", labels as f64 / count, 11.5, 12.5);
    share_within("bytes a sample", bytes as f64 / count, 475.0, 505.0);
}
