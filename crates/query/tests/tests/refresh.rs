//! Queries that are asked again a little later, with the cache and without: the same bits, whatever was written meanwhile.

use std::time::Duration;

use model::{MatchOp, Matcher, Selector, Tenant, TimeRange};
use proptest::prelude::*;
use query::{Dialect, EngineOptions, Query, Span};
use storage_api::{Admin, DeleteRequest};

use crate::driver::{Driver, NOW, Rows, query, rows_of};

const MINUTE: i64 = 60_000;
/// When refreshing begins; the data begin three hours earlier.
const BEGIN: i64 = NOW - 5 * 60 * MINUTE;

fn options() -> EngineOptions {
    EngineOptions {
        workers_per_query_max: 2,
        latency_offset: Duration::ZERO,
        cache_timestamp_offset: Duration::ZERO,
        ..EngineOptions::default()
    }
}

fn bits(rows: &Rows) -> Vec<(String, Vec<(i64, u64)>)> {
    let bits = |samples: &[(i64, f64)]| samples.iter().map(|(time, value)| (*time, value.to_bits())).collect();
    rows.iter().map(|(labels, samples)| (format!("{labels:?}"), bits(samples))).collect()
}

const QUERIES: [&str; 17] = [
    "c_total",
    "rate(c_total[5m])",
    "increase(c_total[5m])",
    "delta(c_total[5m])",
    "sum by (pod) (rate(c_total[5m]))",
    "sum(rate(c_total[5m])) / sum(c_total)",
    "sum by (pod) (c_total) / sum by (pod) (rate(c_total[7m] offset 3m))",
    "avg by (pod) (rate(c_total[5m])) * 100 > 2",
    "max(c_total)",
    "count by (pod) (c_total)",
    "avg_over_time(c_total[10m])",
    "sum_over_time(c_total[3m])",
    "max_over_time(c_total[1h])",
    "last_over_time(c_total[2m])",
    "stddev_over_time(c_total[5m])",
    "histogram_quantile(0.9, sum by (le) (rate(c_total[5m])))",
    "sum(rate(c_total[5m]) + 1)",
];

/// How a series goes on from one refresh to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Life {
    /// It is scraped.
    Goes,
    /// It is not.
    Rests,
    /// A scrape is missed.
    Misses,
    /// It begins anew.
    Resets,
    /// It says that it ends.
    Ends,
}

/// What happens between two refreshes.
#[derive(Debug, Clone)]
struct Step {
    /// Minutes that pass.
    minutes: i64,
    lives: Vec<Life>,
    /// Samples that come late: series, minutes ago, value.
    late: Option<(usize, i64, f64)>,
    flushes: bool,
    deletes: bool,
}

fn life() -> impl Strategy<Value = Life> {
    prop_oneof![
        30 => Just(Life::Goes),
        3 => Just(Life::Rests),
        1 => Just(Life::Misses),
        1 => Just(Life::Resets),
        1 => Just(Life::Ends),
    ]
}

fn step(series: usize) -> impl Strategy<Value = Step> {
    let late = prop_oneof![4 => Just(None), 1 => (0..series, 1i64..150, 0.0..50.0f64).prop_map(Some)];
    let deletes = prop_oneof![15 => Just(false), 1 => Just(true)];
    (1i64..9, prop::collection::vec(life(), series), late, any::<bool>(), deletes)
        .prop_map(|(minutes, lives, late, flushes, deletes)| Step { minutes, lives, late, flushes, deletes })
}

struct World {
    driver: Driver,
    totals: Vec<f64>,
    rise: f64,
    /// By how much scrapes come too late at most.
    jitter: i64,
    to: i64,
}

impl World {
    fn new(series: usize, rise: f64, jitter: i64) -> Self {
        Self { driver: Driver::with(options()), totals: vec![0.0; series], rise, jitter, to: BEGIN - 180 * MINUTE }
    }

    fn put(&self, number: usize, samples: &[(i64, f64)]) {
        let (pod, number, le) = (format!("p{}", number % 3), number.to_string(), (number % 4 + 1).to_string());
        let labels = [("__name__", "c_total"), ("number", number.as_str()), ("pod", pod.as_str()), ("le", le.as_str())];
        self.driver.put(&labels, samples);
    }

    /// Scrapes each series every 15 seconds.
    fn pass(&mut self, minutes: i64, lives: &[Life]) {
        let scrapes = minutes * 4;
        for (number, life) in lives.iter().enumerate() {
            let mut samples = Vec::new();
            for scrape in 1..=scrapes {
                let time = self.to + scrape * 15_000 + (scrape * 7_919 + number as i64 * 31) % (self.jitter + 1);
                let total = &mut self.totals[number];
                match life {
                    Life::Rests => continue,
                    Life::Misses if scrape % 4 == 2 => continue,
                    Life::Resets if scrape == 2 => *total = self.rise,
                    Life::Ends if scrape == 2 => {
                        samples.push((time, f64::from_bits(model::STALE_NAN_BITS)));
                        break;
                    }
                    _ => *total += self.rise * ((scrape as usize * 5 + number) % 11) as f64,
                }
                samples.push((time, *total));
            }
            if !samples.is_empty() {
                self.put(number, &samples);
            }
        }
        self.to += minutes * MINUTE;
    }

    fn happen(&mut self, step: &Step) {
        self.pass(step.minutes, &step.lives);
        if let Some((number, ago, value)) = step.late {
            self.put(number, &[(self.to - ago * MINUTE + 1_234, value)]);
        }
        if step.flushes {
            self.driver.flush();
        }
        if step.deletes {
            let selector = Selector::all_of(vec![Matcher::new("number", MatchOp::Equal, "1")]);
            let range = TimeRange::new(self.to - 60 * MINUTE, self.to - 30 * MINUTE);
            let request = DeleteRequest { tenant: Tenant::DEFAULT, selector, range, series_max: 1_000 };
            self.driver.wait(self.driver.store.delete_series(request)).expect("samples can be deleted");
        }
    }

    fn ask(&self, dialect: Dialect, text: &str, minutes: i64, may_cache: bool) -> Result<Rows, query::QueryError> {
        let span = Span::Range { start: self.to - minutes * MINUTE, end: self.to, step: MINUTE };
        let query = Query { may_cache, ..query(dialect, text, span) };
        self.driver.engine.run(&query).map(|answer| rows_of(&answer.value))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_is_known_and_what_is_new_make_what_would_be_computed(
        steps in prop::collection::vec(step(9), 4..10),
        rise in prop_oneof![Just(1.0), Just(0.1)],
        jitter in prop_oneof![Just(0i64), Just(120)],
        minutes in 20i64..170,
    ) {
        let mut world = World::new(9, rise, jitter);
        world.pass(180, &[Life::Goes; 8]);
        for step in &steps {
            world.happen(step);
            for dialect in [Dialect::MetricsQl, Dialect::PromQl] {
                for text in QUERIES {
                    let (cached, computed) = (world.ask(dialect, text, minutes, true), world.ask(dialect, text, minutes, false));
                    prop_assert_eq!(cached.is_err(), computed.is_err(), "{}", text);
                    if let (Ok(cached), Ok(computed)) = (cached, computed) {
                        prop_assert_eq!(bits(&cached), bits(&computed), "{:?} {}", dialect, text);
                    }
                }
            }
        }
    }
}

#[test]
fn a_refresh_evaluates_the_last_points_only() {
    for dialect in [Dialect::MetricsQl, Dialect::PromQl] {
        for text in ["c_total", "rate(c_total[5m])", "sum by (pod) (rate(c_total[5m]))", "sum_over_time(c_total[3m])"] {
            let mut world = World::new(6, 1.0, 100);
            world.pass(180, &[Life::Goes; 6]);
            let scanned = |world: &World| {
                let before = world.driver.engine.stats();
                world.ask(dialect, text, 170, true).expect("the query is right");
                let after = world.driver.engine.stats();
                (after.cache_hits - before.cache_hits, after.samples_scanned - before.samples_scanned)
            };
            let (hits, all) = scanned(&world);
            assert_eq!(hits, 0, "{text}");
            world.pass(1, &[Life::Goes; 6]);
            let (hits, some) = scanned(&world);
            assert_eq!(hits, 1, "{dialect:?} {text}");
            assert!(some * 8 < all, "{dialect:?} {text}: {some} of {all} samples");
        }
    }
}
