//! Whole expressions against a naive evaluator, from a seed.
//!
//! Strategy: series with gaps and stale markers; random trees of selectors, windows, subqueries, functions, aggregates and operators; both dialects. The
//! naive evaluator ([`naive`]) knows one instant at a time and goes by the definitions of the languages. What it gives for each instant of a range must be
//! what the engine gives, and what it refuses the engine must refuse. Where the definitions leave open what comes out, it says so, and only panics count.
//!
//! `BASALT_EXPRESSIONS` asks for more expressions, `BASALT_EXPRESSIONS_SEED` for others.

mod expression;
mod naive;

use std::collections::BTreeMap;

use query::Dialect;
use testkit::Rng;

use crate::driver::{Driver, NOW, rows_of};
use expression::Expression;
use naive::{Naive, Outcome};

/// A series: labels with the metric name, and samples.
pub type Series = (BTreeMap<String, String>, Vec<(i64, f64)>);

const EXPRESSIONS: u64 = 1_200;
/// So many expressions are asked of the same series.
const BATCH: u64 = 100;

#[test]
fn expressions_are_what_their_definitions_say() {
    let number = |name: &str, usual: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let first = number("BASALT_EXPRESSIONS_SEED", 1);
    let (mut certain, count) = (0, number("BASALT_EXPRESSIONS", EXPRESSIONS));
    for batch in 0..count.div_ceil(BATCH) {
        let seed = first + batch;
        let dialect = if batch % 2 == 0 { Dialect::PromQl } else { Dialect::MetricsQl };
        let mut rng = Rng::new(seed);
        let series = series(&mut rng);
        let driver = driver(&series, batch % 3 == 0);
        for _ in 0..BATCH {
            certain += usize::from(check(&driver, dialect, &series, &mut rng, seed));
        }
    }
    assert!(certain as u64 * 3 > count, "of {count} expressions only {certain} have one answer");
}

/// Counters `c_total`, gauges `a` and `b`: up to six series each, of different labels.
fn series(rng: &mut Rng) -> Vec<Series> {
    let mut all = Vec::new();
    for name in ["a", "b", "c_total"] {
        for (i, j) in [("x", "1"), ("x", "2"), ("y", "1"), ("y", "2"), ("z", "1"), ("z", "2")] {
            if rng.chance(0.2) {
                continue;
            }
            let labels = [("__name__", name), ("i", i), ("j", j)];
            let labels = labels.map(|(name, value)| (name.to_string(), value.to_string())).into_iter().collect();
            all.push((labels, samples(rng, name == "c_total")));
        }
    }
    all
}

fn samples(rng: &mut Rng, is_counter: bool) -> Vec<(i64, f64)> {
    let (mut time, mut value) = (NOW - 3_600_000 + rng.below(15_000) as i64, rng.below(40) as f64 / 4.0);
    let mut samples = Vec::new();
    while time < NOW {
        value = match is_counter {
            true if rng.chance(0.03) => 0.0,
            true => value + rng.below(30) as f64 / 4.0,
            false => rng.below(80) as f64 / 4.0 - 8.0,
        };
        samples.push((time, value));
        time += 15_000;
        if rng.chance(0.03) {
            samples.push((time, f64::from_bits(model::STALE_NAN_BITS)));
            time += 15_000;
        }
        if rng.chance(0.02) {
            time += rng.below(900_000) as i64;
        }
    }
    samples
}

fn driver(series: &[Series], flush: bool) -> Driver {
    let driver = Driver::new();
    for (number, (labels, samples)) in series.iter().enumerate() {
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        driver.put(&labels, samples);
        if flush && number == series.len() / 2 {
            driver.flush();
        }
    }
    driver
}

/// Asks one random expression. True if there is one answer that it must have.
fn check(driver: &Driver, dialect: Dialect, series: &[Series], rng: &mut Rng, seed: u64) -> bool {
    let expression = Expression::random(dialect, rng);
    let text = expression.to_string();
    let step = 7_000 + rng.below(240_000) as i64;
    let start = NOW - 1_800_000 + rng.below(300_000) as i64;
    let times: Vec<i64> = (0..1 + rng.below(8) as i64).map(|i| start + step * i).collect();
    let end = *times.last().expect("there is a time at least");
    let answer = driver.range(dialect, &text, (start, end, step));
    let naive = Naive { dialect, series };
    let mut want: BTreeMap<BTreeMap<String, String>, Vec<(i64, f64)>> = BTreeMap::new();
    for time in &times {
        match naive.at(&expression, *time) {
            Ok(vector) => {
                for (labels, value) in vector {
                    want.entry(labels).or_default().push((*time, value));
                }
            }
            Err(Outcome::Open) => return false,
            Err(Outcome::Refused) => {
                assert!(answer.is_err(), "seed {seed}: {text} at {time} must be refused, but is {answer:?}");
                return true;
            }
        }
    }
    let answer = answer.unwrap_or_else(|why| panic!("seed {seed}: {text} is refused: {why}"));
    let have: BTreeMap<BTreeMap<String, String>, Vec<(i64, f64)>> = rows_of(&answer.value)
        .into_iter()
        .filter(|(_, samples)| !samples.is_empty())
        .map(|(labels, samples)| {
            (labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(), samples)
        })
        .collect();
    let what = || format!("seed {seed}: {dialect:?} {text} from {start} to {end} step {step}");
    assert_eq!(have.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>(), "{}", what());
    for (labels, samples) in &want {
        let others = &have[labels];
        let equal =
            samples.len() == others.len() && samples.iter().zip(others).all(|(a, b)| a.0 == b.0 && same(a.1, b.1));
        assert!(equal, "{}: {labels:?} is {others:?}, want {samples:?}", what());
    }
    true
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}
