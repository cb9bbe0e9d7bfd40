//! Ways to an answer that must not change it: threads, folding, heads, the cache.

use std::{sync::Arc, time::Duration};

use model::{Tenant, TimeRange};
use proptest::prelude::*;
use query::{Dialect, Engine, EngineOptions, Span, Value};
use storage_api::{
    BoxFuture, NamesRequest, SamplesWanted, Select, SelectError, SelectRequest, SeriesStream, ValuesRequest, Version,
};
use store::Store;
use testkit::ManualClock;

use crate::driver::{Driver, NOW, Rows, query, rows_of};

const DIALECTS: [Dialect; 2] = [Dialect::MetricsQl, Dialect::PromQl];

fn options(workers: usize) -> EngineOptions {
    EngineOptions { workers_per_query_max: workers, latency_offset: Duration::ZERO, ..EngineOptions::default() }
}

/// Many counters over half an hour, which fall now and then.
fn with_counters(workers: usize, series: usize) -> Driver {
    let driver = Driver::with(options(workers));
    for number in 0..series {
        let mut total = 0.0;
        let samples: Vec<(i64, f64)> = (0..120)
            .map(|i| {
                total = if (i + number) % 50 == 0 { 0.1 } else { total + ((i * number) % 7) as f64 * 0.3 };
                (NOW - 1_800_000 + i as i64 * 15_000, total)
            })
            .collect();
        let (pod, number) = (format!("p{}", number % 5), number.to_string());
        driver.put(&[("__name__", "c_total"), ("number", &number), ("pod", &pod)], &samples);
    }
    driver
}

fn bits(rows: &Rows) -> Vec<(String, Vec<(i64, u64)>)> {
    let bits = |samples: &[(i64, f64)]| samples.iter().map(|(time, value)| (*time, value.to_bits())).collect();
    rows.iter().map(|(labels, samples)| (format!("{labels:?}"), bits(samples))).collect()
}

fn assert_close(a: &Rows, b: &Rows, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for ((labels, one), (others, two)) in a.iter().zip(b) {
        assert_eq!(labels, others, "{what}");
        assert_eq!(one.len(), two.len(), "{what}");
        for (x, y) in one.iter().zip(two) {
            let close = x.0 == y.0 && (x.1 - y.1).abs() <= 1e-9 * x.1.abs().max(1.0);
            assert!(close, "{what}: {x:?} {y:?}");
        }
    }
}

#[test]
fn answers_do_not_depend_on_threads() {
    let (alone, many) = (with_counters(1, 400), with_counters(4, 400));
    let times = (NOW - 1_500_000, NOW, 60_000);
    for dialect in DIALECTS {
        for text in
            ["sum by (pod) (rate(c_total[5m]))", "stddev(rate(c_total[5m]))", "avg(c_total)", "rate(c_total[2m])"]
        {
            let of = |driver: &Driver| rows_of(&driver.range(dialect, text, times).expect("the query is right").value);
            assert_eq!(bits(&of(&alone)), bits(&of(&many)), "{text}");
        }
    }
}

#[test]
fn folding_series_by_series_gives_what_whole_operands_give() {
    let driver = with_counters(2, 300);
    let times = (NOW - 1_500_000, NOW, 60_000);
    for dialect in DIALECTS {
        for aggregate in ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"] {
            for grouping in ["by (pod)", "without (number)", "by (__name__)", ""] {
                let folded = format!("{aggregate} {grouping} (increase(c_total[5m]))");
                let whole = format!("{aggregate} {grouping} ((increase(c_total[5m])) ^ 1)");
                let of = |text: &str| rows_of(&driver.range(dialect, text, times).expect("the query is right").value);
                assert_close(&of(&folded), &of(&whole), &folded);
            }
        }
    }
}

#[test]
fn heads_of_blocks_give_what_their_samples_give() {
    let driver = Driver::with(options(2));
    let hour = 3_600_000;
    for number in 0..3 {
        let samples: Vec<(i64, f64)> =
            (0..3 * 24 * 60).map(|i| (NOW - 72 * hour + i * 60_000, (i % (17 + number)) as f64 * 0.25 - 1.0)).collect();
        driver.put(&[("__name__", "g"), ("number", &number.to_string())], &samples);
    }
    driver.flush();
    for dialect in DIALECTS {
        for name in
            ["sum_over_time", "avg_over_time", "count_over_time", "min_over_time", "max_over_time", "present_over_time"]
        {
            for window in ["24h", "30h17m", "2h"] {
                let end = NOW - 90_000;
                let text = format!("{name}(g[{window}])");
                // A range with a short step looks at each sample.
                let raw = driver.range(dialect, &text, (end, end + 60_000, 60_000)).expect("the query is right");
                let raw: Rows = rows_of(&raw.value)
                    .into_iter()
                    .map(|(labels, samples)| (labels, samples.into_iter().filter(|(time, _)| *time == end).collect()))
                    .collect();
                let heads = driver.instant(dialect, &text, end).expect("the query is right");
                assert_close(&rows_of(&heads.value), &raw, &text);
                let summed = driver.instant(dialect, &format!("sum(sort({text}))"), end).expect("the query is right");
                let folded = driver.instant(dialect, &format!("sum({text})"), end).expect("the query is right");
                assert_close(&rows_of(&folded.value), &rows_of(&summed.value), &text);
            }
        }
    }
}

#[test]
fn a_mean_of_heads_does_not_overflow_where_that_of_samples_does_not() {
    let driver = Driver::with(options(2));
    let minute = 60_000;
    // The sums of some blocks are finite, those of others not; that of all is not.
    for (name, great) in [("few", f64::MAX / 100_000.0), ("many", f64::MAX / 2.0), ("turns", f64::MAX)] {
        let value = |i: i64| if name == "turns" && i % 2 == 1 { 0.0 } else { great };
        let samples: Vec<(i64, f64)> = (0..120_000).map(|i| (NOW - 120_000 * minute + i * minute, value(i))).collect();
        driver.put(&[("__name__", name)], &samples);
        driver.flush();
        let text = format!("avg_over_time({name}[80d])");
        let heads = driver.instant(Dialect::PromQl, &text, NOW - minute).expect("the query is right");
        let want = if name == "turns" { great / 2.0 } else { great };
        let (_, found) = &rows_of(&heads.value)[0];
        assert!((found[0].1 / want - 1.0).abs() < 1e-9, "{name}: {found:?}");
    }
    let heads =
        driver.instant(Dialect::MetricsQl, "avg_over_time(many[80d])", NOW - minute).expect("the query is right");
    // VictoriaMetrics adds plainly; an infinite value is shown.
    assert_eq!(rows_of(&heads.value)[0].1[0].1, f64::INFINITY);
}

/// Gives samples only, never heads.
struct WithoutHeads(Arc<dyn Select>);

impl Select for WithoutHeads {
    fn select<'a>(&'a self, request: SelectRequest) -> BoxFuture<'a, Result<Box<dyn SeriesStream>, SelectError>> {
        let samples = match request.samples {
            SamplesWanted::Heads(_) => SamplesWanted::Raw,
            other => other,
        };
        self.0.select(SelectRequest { samples, ..request })
    }

    fn label_names<'a>(&'a self, request: NamesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        self.0.label_names(request)
    }

    fn label_values<'a>(&'a self, request: ValuesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        self.0.label_values(request)
    }

    fn series_count<'a>(&'a self, tenant: Tenant) -> BoxFuture<'a, Result<u64, SelectError>> {
        self.0.series_count(tenant)
    }

    fn versions(&self, tenant: Tenant, ranges: &[TimeRange]) -> Vec<Version> {
        self.0.versions(tenant, ranges)
    }
}

/// Steps between samples in seconds and what comes: mostly a rise, now and then a fall, a gap, a NaN or a stale marker.
fn walk() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let stale = f64::from_bits(model::STALE_NAN_BITS);
    let rise = prop_oneof![
        300 => (0u32..40).prop_map(|rise| f64::from(rise) * 0.3),
        2 => Just(f64::NEG_INFINITY),
        1 => Just(-0.7),
        1 => Just(f64::NAN),
        1 => Just(stale),
    ];
    let gap = prop_oneof![400 => 580i64..620, 2 => 1_000i64..40_000, 2 => 1i64..5];
    prop::collection::vec((gap, rise), 300..500).prop_map(|steps| {
        let (mut time, mut total) = (NOW - 72 * 3_600_000, 0.0);
        let walked = steps.into_iter().map(|(gap, rise)| {
            time += gap * 1_000;
            if rise.is_nan() {
                return (time, rise);
            }
            // A reset, else a rise or a small fall.
            total = if rise == f64::NEG_INFINITY { 0.1 } else { total + rise };
            (time, total)
        });
        walked.take_while(|(time, _)| *time < NOW).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn borders_beside_heads_give_the_same_bits(
        walks in prop::collection::vec(walk(), 1..4),
        flushed in 0usize..500,
        back in 0i64..10_000_000,
        window in prop_oneof![Just("30h"), Just("67h13m"), Just("2h"), Just("100h")],
        is_late in any::<bool>(),
    ) {
        let driver = Driver::with(options(2));
        let labels = |number: usize| [("__name__", "c_total".to_owned()), ("number", number.to_string())];
        let put = |number: usize, samples: &[(i64, f64)]| {
            let labels = labels(number);
            let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
            driver.put(&labels, samples);
        };
        for (number, walk) in walks.iter().enumerate() {
            put(number, &walk[..flushed.min(walk.len())]);
        }
        driver.flush();
        for (number, walk) in walks.iter().enumerate() {
            put(number, &walk[flushed.min(walk.len())..]);
        }
        if is_late {
            put(0, &[(NOW - 50 * 3_600_000 + 7, 3.0)]);
        }
        driver.flush();
        let clock = Arc::new(ManualClock::new(NOW));
        let raw = Engine::new(Arc::new(WithoutHeads(Arc::<Store>::clone(&driver.store))), clock, options(2));
        for dialect in DIALECTS {
            for name in [
                "rate", "increase", "delta", "first_over_time", "last_over_time", "increase_pure", "increase_prometheus",
                "rate_prometheus", "delta_prometheus", "tfirst_over_time", "tlast_over_time", "ts_of_first_over_time",
            ] {
                let end = NOW - back;
                let instant = Span::Instant { time: end, step: 300_000 };
                let range = Span::Range { start: end - 40 * 3_600_000, end, step: 5_400_000 };
                for span in [instant, range] {
                    let query = query(dialect, &format!("{name}(c_total[{window}])"), span);
                    let (heads, samples) = (driver.engine.run(&query), raw.run(&query));
                    prop_assert_eq!(heads.is_err(), samples.is_err());
                    if let (Ok(heads), Ok(samples)) = (heads, samples) {
                        prop_assert_eq!(bits(&rows_of(&heads.value)), bits(&rows_of(&samples.value)), "{}", query.text);
                    }
                }
            }
        }
    }
}

#[test]
fn what_stands_in_a_query_twice_is_evaluated_once() {
    let driver = with_counters(2, 20);
    let times = (NOW - 1_500_000, NOW, 60_000);
    for dialect in DIALECTS {
        for (text, apart) in [
            ("rate(c_total[5m]) + rate(c_total[5m])", "rate(c_total[5m]) + rate(c_total{number!=\"\"}[5m])"),
            (
                "sum by (pod) (c_total) / sum by (pod) (c_total)",
                "sum by (pod) (c_total) / sum by (pod) ((c_total{number!=\"\"}))",
            ),
            (
                "max_over_time(abs(c_total)[5m:1m]) - min_over_time(abs(c_total)[5m:1m])",
                "max_over_time(abs(c_total)[5m:1m]) - min_over_time(abs(c_total{number!=\"\"})[5m:1m])",
            ),
        ] {
            let of = |text: &str| driver.range(dialect, text, times).expect("the query is right");
            let (once, twice) = (of(text), of(apart));
            assert_eq!(bits(&rows_of(&once.value)), bits(&rows_of(&twice.value)), "{text}");
            assert_eq!(once.stats.series_fetched * 2, twice.stats.series_fetched, "{text}");
        }
        assert_eq!(driver.engine.stats().memory_held, 0);
    }
}

#[test]
fn the_cache_answers_only_what_would_be_computed() {
    let driver = with_counters(2, 5);
    let span = Span::Range { start: NOW - 1_700_000, end: NOW - 600_000, step: 60_000 };
    for dialect in DIALECTS {
        driver.engine.reset_cache();
        let text = "sum by (pod) (rate(c_total[5m]))";
        let ask = |may_cache: bool| {
            let query = query::Query { may_cache, ..query(dialect, text, span) };
            rows_of(&driver.engine.run(&query).expect("the query is right").value)
        };
        let before = driver.engine.stats();
        let computed = ask(true);
        assert_eq!(bits(&ask(true)), bits(&computed));
        let stats = driver.engine.stats();
        assert_eq!((stats.cache_hits - before.cache_hits, stats.cache_entries), (1, 1));
        assert_eq!(bits(&ask(false)), bits(&computed), "what is kept is what is computed");
        // A late sample changes what would be computed.
        let late = if dialect == Dialect::MetricsQl { 1 } else { 90_000 };
        driver.put(
            &[("__name__", "c_total"), ("number", "0"), ("pod", "p0")],
            &[(NOW - 900_000 + late, 1e6 + late as f64)],
        );
        let changed = ask(true);
        assert_ne!(bits(&changed), bits(&computed));
        assert_eq!(bits(&changed), bits(&ask(false)));
    }
}

#[test]
fn results_close_to_now_are_not_kept() {
    let driver = with_counters(1, 2);
    let span = Span::Range { start: NOW - 240_000, end: NOW, step: 60_000 };
    for _ in 0..2 {
        let query = query::Query { may_cache: true, ..query(Dialect::PromQl, "c_total", span) };
        assert!(matches!(driver.engine.run(&query).expect("the query is right").value, Value::Matrix(_)));
    }
    assert_eq!(driver.engine.stats().cache_entries, 0);
}
