//! Rollups against naive ones: for each instant all samples are looked at, by the definitions of the languages.

use model::{STALE_NAN_BITS, is_stale};
use proptest::prelude::*;
use query::Dialect;

use crate::driver::{Driver, NOW, rows_of};

type Samples = Vec<(i64, f64)>;

/// A series with gaps, falls, repeated values and stale markers.
fn samples() -> impl Strategy<Value = Samples> {
    let gap = prop_oneof![12 => Just(15_000i64), 3 => 14_000i64..16_000, 1 => 60_000i64..900_000];
    let value = prop_oneof![
        10 => (0u32..40).prop_map(f64::from),
        4 => -50.0f64..50.0,
        1 => Just(f64::from_bits(STALE_NAN_BITS)),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
    ];
    prop::collection::vec((gap, value), 1..90).prop_map(|steps| {
        let mut time = NOW - 3_600_000;
        steps
            .into_iter()
            .map(|(gap, value)| {
                time += gap;
                (time, value)
            })
            .collect()
    })
}

/// What lies in `(end - window, end]`, and all that lies before.
fn window(samples: &Samples, end: i64, length: i64) -> (Samples, Samples) {
    let inside = |time: i64| end - length < time && time <= end;
    let before = samples.iter().copied().filter(|(time, _)| *time <= end - length).collect();
    (samples.iter().copied().filter(|(time, _)| inside(*time)).collect(), before)
}

/// A function by its definition; `None` for no sample.
fn naive(dialect: Dialect, name: &str, samples: &Samples, end: i64, length: i64) -> Option<f64> {
    let keeps = |value: f64| match dialect {
        Dialect::MetricsQl => !value.is_nan(),
        Dialect::PromQl => !is_stale(value),
    };
    let kept: Samples = samples.iter().copied().filter(|(_, value)| keeps(*value)).collect();
    let (inside, _) = window(&kept, end, length);
    let values: Vec<f64> = inside.iter().map(|(_, value)| *value).collect();
    let (first, last) = (values.first().copied()?, values.last().copied()?);
    let falls = || values.windows(2).filter(|pair| pair[1] < pair[0]);
    Some(match name {
        "count_over_time" => values.len() as f64,
        "present_over_time" => 1.0,
        "sum_over_time" => values.iter().sum(),
        "avg_over_time" => values.iter().sum::<f64>() / values.len() as f64,
        "min_over_time" => values.iter().copied().filter(|value| !value.is_nan()).reduce(f64::min).unwrap_or(f64::NAN),
        "max_over_time" => values.iter().copied().filter(|value| !value.is_nan()).reduce(f64::max).unwrap_or(f64::NAN),
        "last_over_time" => last,
        "first_over_time" => first,
        "changes_prometheus" | "changes" => {
            values.windows(2).filter(|pair| pair[0] != pair[1] && !(pair[0].is_nan() && pair[1].is_nan())).count()
                as f64
        }
        "resets" => falls().count() as f64,
        "delta_prometheus" => {
            if values.len() < 2 {
                return None;
            }
            last - first
        }
        _ => unreachable!("the test names functions that it knows"),
    })
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

fn check(dialect: Dialect, names: &[&str], series: &[Samples], length: i64, step: i64, offset: i64, flush: bool) {
    let driver = Driver::new();
    for (number, samples) in series.iter().enumerate() {
        driver.put(&[("__name__", "m"), ("number", &number.to_string())], samples);
        if flush {
            driver.flush();
        }
    }
    let (start, end) = (NOW - 1_800_000, NOW);
    for name in names {
        let text = format!("{name}(m[{length}ms] offset {offset}ms)");
        let answer = driver.range(dialect, &text, (start, end, step)).expect("the query is right");
        let have = rows_of(&answer.value);
        let mut found = 0;
        for (number, samples) in series.iter().enumerate() {
            let times = (0..).map(|i| start + step * i).take_while(|time| *time <= end);
            let want = times.filter_map(|time| {
                let value = naive(dialect, name, samples, time - offset, length)?;
                (dialect == Dialect::PromQl || !value.is_nan()).then_some((time, value))
            });
            let want: Samples = want.collect();
            let labels = |row: &&(query::Labels, Samples)| row.0.get("number") == number.to_string();
            let row = have.iter().find(labels).map_or(&[][..], |(_, samples)| samples);
            found += usize::from(!row.is_empty());
            let equal = row.len() == want.len() && row.iter().zip(&want).all(|(a, b)| a.0 == b.0 && same(a.1, b.1));
            assert!(equal, "{text} of {samples:?}: {row:?}, want {want:?}");
        }
        assert_eq!(found, have.len(), "{text} gives series that nobody stored");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn rollups_of_metricsql_are_what_their_definitions_say(
        series in prop::collection::vec(samples(), 1..4),
        length in prop_oneof![Just(60_000i64), 1_000i64..600_000, 600_000i64..4_000_000],
        step in prop_oneof![Just(15_000i64), 7_000i64..300_000],
        offset in prop_oneof![Just(0i64), -100_000i64..400_000],
        flush in any::<bool>(),
    ) {
        let names = [
            "count_over_time", "present_over_time", "sum_over_time", "avg_over_time", "min_over_time", "max_over_time",
            "last_over_time", "first_over_time", "changes_prometheus", "delta_prometheus",
        ];
        check(Dialect::MetricsQl, &names, &series, length, step, offset, flush);
    }

    #[test]
    fn rollups_of_promql_are_what_their_definitions_say(
        series in prop::collection::vec(samples(), 1..4),
        length in prop_oneof![Just(60_000i64), 1_000i64..600_000, 600_000i64..4_000_000],
        step in prop_oneof![Just(15_000i64), 7_000i64..300_000],
        offset in prop_oneof![Just(0i64), -100_000i64..400_000],
        flush in any::<bool>(),
    ) {
        let names = [
            "count_over_time", "present_over_time", "sum_over_time", "min_over_time", "max_over_time", "last_over_time",
            "first_over_time", "changes", "resets",
        ];
        check(Dialect::PromQl, &names, &series, length, step, offset, flush);
    }

    /// An instant selector gives the last sample of the lookback, unless that is a stale marker.
    #[test]
    fn selectors_of_promql_look_back(samples in samples(), step in 7_000i64..300_000) {
        let driver = Driver::new();
        driver.put(&[("__name__", "m")], &samples);
        let (start, end) = (NOW - 1_800_000, NOW);
        let answer = driver.range(Dialect::PromQl, "m", (start, end, step)).expect("the query is right");
        let have = rows_of(&answer.value).pop().map_or(Vec::new(), |(_, samples)| samples);
        let times = (0..).map(|i| start + step * i).take_while(|time| *time <= end);
        let want: Samples = times
            .filter_map(|time| Some((time, window(&samples, time, 300_000).0.last()?.1)))
            .filter(|(_, value)| !is_stale(*value))
            .collect();
        prop_assert_eq!(have.len(), want.len());
        prop_assert!(have.iter().zip(&want).all(|(a, b)| a.0 == b.0 && same(a.1, b.1)), "{:?} {:?}", have, want);
    }
}
