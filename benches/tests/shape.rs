//! What the traffic promises about itself: the mix, the sizes, the order, the same bytes each time.

mod wire;

use std::collections::{BTreeMap, HashMap, HashSet};

use traffic::{Churn, Class, LATE_SCRAPES_MAX, STALE_MARKER_BITS, Shape, Traffic};
use wire::{Series, decode};

const SERIES: usize = 10_000;
const FEW_SERIES: usize = 1_500;
const CHURN: Churn = Churn { replacements: 4, scrapes: 60 };

type Labels = Vec<(String, String)>;
/// Times and bits of the values.
type Column = Vec<(i64, u64)>;

fn series_of(shape: Shape, scrapes: u64) -> Vec<Series> {
    let mut all = Vec::new();
    Traffic::new(shape).requests(0..scrapes, |body| all.extend(decode(body)));
    all
}

fn columns_of(shape: Shape, scrapes: u64) -> HashMap<Labels, Column> {
    let mut columns: HashMap<Labels, Column> = HashMap::new();
    for one in series_of(shape, scrapes) {
        columns.entry(one.labels).or_default().push((one.timestamp_ms, one.value.to_bits()));
    }
    columns
}

fn few() -> Shape {
    Shape { series: FEW_SERIES, ..Shape::default() }
}

fn is_stale(bits: u64) -> bool {
    bits == STALE_MARKER_BITS
}

fn assert_share(name: &str, share: f64, low: f64, high: f64) {
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
        assert_share(&format!("{class:?}"), share, expected - 0.02, expected + 0.02);
    }
}

#[test]
fn a_sample_has_twelve_labels_and_490_bytes() {
    let series = series_of(Shape { series: SERIES, ..Shape::default() }, 1);
    let count = series.len() as f64;
    let labels: usize = series.iter().map(|one| one.labels.len()).sum();
    let bytes: usize = series.iter().map(|one| one.message_bytes).sum();
    assert_share("labels a series", labels as f64 / count, 11.5, 12.5);
    assert_share("bytes a sample", bytes as f64 / count, 475.0, 505.0);
}

#[test]
fn targets_have_50_to_250_series_and_equal_columns() {
    let mut traffic = Traffic::new(Shape { series: SERIES, ..Shape::default() });
    let mut columns = vec![Vec::new(); SERIES];
    for scrape in 0..100 {
        traffic.scrape(scrape, |sample| columns[sample.series as usize].push(sample.value.to_bits()));
    }
    let (mut equal, mut moving) = (0, 0);
    for target in 0..traffic.target_count() {
        let series = traffic.target_series(target);
        // The last target ends where the number of series is reached.
        assert!((50..=250).contains(&series.len()) || series.end == SERIES, "target {target} has {}", series.len());
        let mut seen = HashSet::new();
        for column in series.filter(|&series| traffic.class(series) != Class::Constant).map(|series| &columns[series]) {
            if column.iter().any(|value| value != &column[0]) {
                moving += 1;
                equal += usize::from(!seen.insert(column));
            }
        }
    }
    assert_share("equal columns", f64::from(equal as u32) / f64::from(moving), 0.03, 0.07);
}

#[test]
fn histograms_are_cumulative_and_have_11_or_12_buckets() {
    let mut buckets: HashMap<Labels, Vec<(f64, f64)>> = HashMap::new();
    for mut one in series_of(few(), 1).into_iter().filter(|one| one.label("le").is_some()) {
        let le = one.label("le").expect("filtered").replace("+Inf", "inf").parse().expect("a bound");
        one.labels.retain(|(name, _)| name != "le");
        buckets.entry(one.labels).or_default().push((le, one.value));
    }
    assert!(!buckets.is_empty());
    for bucket in buckets.into_values() {
        assert!(matches!(bucket.len(), 11 | 12));
        assert!(bucket.is_sorted_by(|left, right| left.0 < right.0 && left.1 <= right.1), "{bucket:?}");
    }
}

#[test]
fn labels_are_sorted_unique_and_those_of_the_bodies() {
    let mut traffic = Traffic::new(few());
    let mut bodies = Vec::new();
    traffic.requests(0..1, |body| bodies.extend(decode(body)));
    assert_eq!(bodies.len(), FEW_SERIES);
    let mut seen = HashSet::new();
    for (series, one) in bodies.iter().enumerate() {
        let labels: Labels = traffic.labels(series).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(labels, one.labels);
        assert!(labels.is_sorted_by(|left, right| left.0 < right.0));
        assert!(seen.insert(labels), "two series are called {:?}", one.labels);
    }
}

#[test]
fn dashboards_find_their_series() {
    let series = series_of(Shape { series: 3_000, ..Shape::default() }, 1);
    let has = |name: &str, label: &str, value: &str| {
        series.iter().any(|one| one.name() == name && (label.is_empty() || one.label(label) == Some(value)))
    };
    assert!(has("up", "", "") && has("kube_node_info", "", "") && has("node_cpu_seconds_total", "mode", "idle"));
    assert!(has("kube_pod_status_phase", "phase", "Running") && has("container_cpu_usage_seconds_total", "", ""));
    assert!(has("kube_pod_container_resource_requests", "resource", "cpu"));
    assert!(has("kube_pod_container_resource_requests", "resource", "memory"));
    assert!(has("container_memory_working_set_bytes", "", "") && has("DCGM_FI_DEV_GPU_UTIL", "gpu", "0"));
    assert!(has("istio_request_duration_milliseconds_bucket", "le", "+Inf"));
    let pods = |name: &str| -> HashSet<&str> {
        series.iter().filter(|one| one.name() == name).filter_map(|one| one.label("pod")).collect()
    };
    assert!(pods("kube_pod_status_phase").is_subset(&pods("container_memory_working_set_bytes")), "joins on pod match");
}

#[test]
fn values_do_not_depend_on_how_they_are_asked_for() {
    let collect = |traffic: &mut Traffic, scrape| {
        let mut all = Vec::new();
        traffic.scrape(scrape, |sample| all.push((sample.series, sample.timestamp_ms, sample.value.to_bits())));
        all
    };
    let shape = Shape { churn: Some(CHURN), gaps: 0.02, ..few() };
    let mut straight = Traffic::new(shape.clone());
    let in_order: Vec<_> = (0..40).map(|scrape| collect(&mut straight, scrape)).collect();
    let mut jumping = Traffic::new(shape);
    for scrape in [31, 7, 8, 39, 0, 20] {
        assert_eq!(collect(&mut jumping, scrape), in_order[scrape as usize], "scrape {scrape}");
    }
}

#[test]
fn seeds_differ_and_equal_seeds_do_not() {
    let bodies = |seed| {
        let mut all = Vec::new();
        Traffic::new(Shape { seed, ..few() }).requests(0..3, |body| all.push(body.to_vec()));
        all
    };
    assert_eq!(bodies(1), bodies(1));
    assert_ne!(bodies(1), bodies(2));
}

/// The shapes stay as they were calibrated: whoever changes them has to calibrate and measure everything again.
#[test]
fn the_bytes_are_those_that_were_calibrated() {
    let fingerprint = |shape: Shape| {
        let mut sum = 0xcbf2_9ce4_8422_2325u64;
        Traffic::new(shape).requests(0..20, |body| {
            sum = body.iter().fold(sum, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        });
        sum
    };
    let jittered = Shape { series: FEW_SERIES, ..Shape::default() };
    let rough = Shape { gaps: 0.02, late: 0.02, churn: Some(CHURN), ..jittered.clone() };
    assert_eq!((fingerprint(jittered), fingerprint(rough)), (14_718_922_643_797_836_021, 14_993_842_169_781_990_715));
}

#[test]
fn scrapes_are_jittered_or_aligned() {
    for (jitter_ms, spread_ms) in [(5, 15_000), (0, 15_000), (0, 0)] {
        let shape = Shape { jitter_ms, spread_ms, ..few() };
        let (mut strayed, mut offsets) = (HashSet::new(), HashSet::new());
        let mut last = HashMap::new();
        let mut traffic = Traffic::new(shape.clone());
        for scrape in 0..50 {
            traffic.scrape(scrape, |sample| {
                if let Some(before) = last.insert(sample.series, sample.timestamp_ms) {
                    strayed.insert(sample.timestamp_ms - before - shape.step_ms);
                }
                offsets.insert((sample.timestamp_ms - shape.start_ms) % shape.step_ms);
            });
        }
        assert!(strayed.iter().all(|ms| ms.abs() <= 2 * jitter_ms), "{strayed:?}");
        assert_eq!(strayed.len() > 10, jitter_ms > 0);
        assert_eq!(offsets.len() > 1, spread_ms > 0);
    }
}

#[test]
fn bodies_keep_their_size_order_and_place() {
    for samples_per_request in [2_000, 10_000] {
        let shape = Shape { series: 12_345, samples_per_request, ..Shape::default() };
        let mut names_by_place: HashMap<u32, Vec<Labels>> = HashMap::new();
        let mut total = 0;
        Traffic::new(shape.clone()).requests_with(0..2, |request| {
            let series = decode(request.body);
            assert_eq!(series.len(), request.samples);
            assert!(request.samples <= samples_per_request);
            total += request.samples;
            let names: Vec<Labels> = series.into_iter().map(|one| one.labels).collect();
            assert_eq!(names_by_place.entry(request.place).or_insert_with(|| names.clone()), &names);
        });
        assert_eq!(total, 2 * shape.series);
        assert_eq!(names_by_place.len(), shape.series.div_ceil(samples_per_request));
    }
}

#[test]
fn every_pod_is_replaced_as_often_as_asked() {
    let shape = Shape { churn: Some(CHURN), ..few() };
    let mut traffic = Traffic::new(shape.clone());
    let mut replaced = 0;
    traffic.scrape(0, |_| ());
    let before: Vec<u32> = (0..FEW_SERIES).map(|series| traffic.generation(series)).collect();
    traffic.scrape(u64::from(CHURN.scrapes), |_| ());
    for (series, before) in before.into_iter().enumerate() {
        let times = traffic.generation(series) - before;
        assert!(times == 0 || times == CHURN.replacements, "series {series} was replaced {times} times");
        replaced += usize::from(times > 0);
    }
    assert_share("replaced series", replaced as f64 / FEW_SERIES as f64, 0.5, 0.8);

    let columns = columns_of(shape, u64::from(CHURN.scrapes));
    assert!(columns.len() > FEW_SERIES + (CHURN.replacements as usize - 1) * replaced);
    for (labels, column) in &columns {
        let markers = column.iter().filter(|sample| is_stale(sample.1)).count();
        assert!(markers <= 1, "{labels:?} ends {markers} times");
        assert!(!is_stale(column[0].1) && column.is_sorted_by(|left, right| left.0 < right.0));
    }
}

#[test]
fn gaps_leave_holes_and_markers_but_change_no_value() {
    let (whole, gappy) = (columns_of(few(), 200), columns_of(Shape { gaps: 0.05, ..few() }, 200));
    assert_eq!(whole.len(), gappy.len());
    let (mut missing, mut markers) = (0, 0);
    for (labels, column) in &gappy {
        let name = labels.iter().find(|(name, _)| name == "__name__").map_or("", |(_, value)| value);
        if name == "up" || name.starts_with("scrape_") {
            assert_eq!(column.len(), 200, "{name} goes on when scrapes fail");
            continue;
        }
        let expected: HashMap<i64, u64> = whole[labels].iter().copied().collect();
        let values: Vec<_> = column.iter().filter(|sample| !is_stale(sample.1)).collect();
        markers += column.len() - values.len();
        missing += expected.len() - values.len();
        assert!(values.iter().all(|(time, bits)| expected[time] == *bits), "{labels:?}");
    }
    assert_share("missing samples", f64::from(missing as u32) / (200.0 * FEW_SERIES as f64), 0.04, 0.10);
    assert!(markers > 0 && markers < missing);
}

#[test]
fn late_samples_arrive_late_and_once() {
    let (on_time, late) = (series_of(few(), 60), series_of(Shape { late: 0.1, ..few() }, 60));
    let sorted = |series: &[Series]| {
        let mut all: Vec<_> =
            series.iter().map(|one| (one.labels.clone(), one.timestamp_ms, one.value.to_bits())).collect();
        all.sort();
        all
    };
    assert_eq!(sorted(&on_time), sorted(&late));
    let mut newest: HashMap<&Labels, i64> = HashMap::new();
    let mut behind = 0;
    for one in &late {
        let newest = newest.entry(&one.labels).or_insert(one.timestamp_ms);
        assert!(*newest - one.timestamp_ms <= (i64::from(LATE_SCRAPES_MAX) + 1) * few().step_ms);
        behind += usize::from(*newest > one.timestamp_ms);
        *newest = one.timestamp_ms.max(*newest);
    }
    assert_share("late samples", behind as f64 / late.len() as f64, 0.05, 0.1);
}
