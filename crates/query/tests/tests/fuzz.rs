//! Whatever expression, its evaluation ends without a panic, within its limits.
//!
//! Strategy: texts made of all functions that the tables know, and mutations of texts that mean something, in both dialects, at an instant and over a range.

use std::time::Duration;

use query::{Dialect, EngineOptions, Span};
use testkit::{Rng, fuzz};

use crate::driver::{Driver, NOW, query};

const FUNCTIONS: &str = "rate increase delta irate idelta deriv resets changes avg_over_time sum_over_time min_over_time max_over_time count_over_time \
    last_over_time first_over_time stddev_over_time quantile_over_time mad_over_time absent_over_time present_over_time predict_linear holt_winters \
    double_exponential_smoothing timestamp ts_of_max_over_time rollup rollup_rate rollup_candlestick rollup_increase rollup_scrape_interval \
    aggr_over_time histogram_over_time quantiles_over_time count_values_over_time integrate ideriv lag lifetime scrape_interval zscore_over_time \
    outlier_iqr_over_time mode_over_time duration_over_time increase_pure hoeffding_bound_lower share_gt_over_time tlast_change_over_time \
    default_rollup abs ceil clamp clamp_max round sort sort_desc label_replace label_set label_join histogram_quantile absent scalar vector time \
    start end step now hour month union running_sum range_avg keep_last_value interpolate smooth_exponential limit_offset buckets_limit \
    prometheus_buckets histogram_share sgn rand remove_resets label_match drop_common_labels ru ttf info sort_by_label";
const AGGREGATES: &str = "sum avg min max count group stddev stdvar topk bottomk quantile count_values any geomean sum2 median mode distinct limitk \
    outliersk outliers_mad topk_max bottomk_avg quantiles histogram share zscore limit_ratio mad";
const OPERATORS: &str = "+ - * / % ^ == != < > <= >= and or unless default if ifnot atan2";
const LENGTHS: &str = "5m 1i 1.5h 30s 1h:1m 10m: 0s 1y 7 [";

struct Maker(Rng);

impl Maker {
    fn below(&mut self, n: usize) -> usize {
        (self.0.next_u64() % n as u64) as usize
    }

    fn word<'t>(&mut self, words: &'t str) -> &'t str {
        let words: Vec<&str> = words.split_whitespace().collect();
        words[self.below(words.len())]
    }

    fn expression(&mut self, depth: usize) -> String {
        let depth = depth.saturating_sub(1);
        match if depth == 0 { self.below(4) } else { self.below(10) } {
            0 => "m".into(),
            1 => format!("{{__name__=~\"m|c_total\", number!=\"{}\"}}", self.below(5)),
            2 => ["1", "-0.5", "NaN", "Inf", "1e308", "5m", "\"text\"", "()"][self.below(8)].into(),
            3 => format!("c_total[{}]", self.word(LENGTHS)),
            4 | 5 => {
                let args: Vec<String> = (0..1 + self.below(3)).map(|_| self.expression(depth)).collect();
                format!("{}({})", self.word(FUNCTIONS), args.join(", "))
            }
            6 => format!("{} by (number, le) ({})", self.word(AGGREGATES), self.expression(depth)),
            7 => format!("{}({}, {})", self.word(AGGREGATES), self.expression(1), self.expression(depth)),
            8 => format!("({}) {} ({})", self.expression(depth), self.word(OPERATORS), self.expression(depth)),
            _ => {
                let suffix =
                    [" offset 7m", " @ end()", " @ 1e9", "[10m:1m]", " offset -1h", "[1h] smoothed", "[1h] anchored"];
                format!("({}){}", self.expression(depth), suffix[self.below(suffix.len())])
            }
        }
    }
}

fn driver() -> Driver {
    let options = EngineOptions {
        memory_per_query_max: 64 << 20,
        points_per_series_max: 1_000,
        subquery_points_max: 2_000,
        workers_per_query_max: 2,
        ..EngineOptions::default()
    };
    let driver = Driver::with(options);
    for number in 0..4 {
        let samples: Vec<(i64, f64)> = (0..60)
            .map(|i| {
                let value = match (i + number) % 13 {
                    0 => f64::from_bits(model::STALE_NAN_BITS),
                    1 => f64::NAN,
                    2 => f64::INFINITY,
                    3 => -1e308,
                    n => n as f64 * 0.5,
                };
                (NOW - 900_000 + i * 15_000, value)
            })
            .collect();
        let le = ["0.1", "1", "+Inf", "x"][number as usize];
        driver.put(&[("__name__", "m"), ("number", &number.to_string())], &samples);
        driver.put(&[("__name__", "c_total"), ("le", le)], &samples);
    }
    driver
}

fn ask(driver: &Driver, text: &str) {
    for dialect in [Dialect::MetricsQl, Dialect::PromQl] {
        for span in
            [Span::Instant { time: NOW, step: 300_000 }, Span::Range { start: NOW - 300_000, end: NOW, step: 20_000 }]
        {
            // Whether it has an answer does not matter here.
            let _ = driver.engine.run(&query(dialect, text, span));
        }
    }
    assert_eq!(driver.engine.stats().memory_held, 0, "{text} left memory counted");
}

#[test]
fn expressions_of_all_functions_are_evaluated() {
    let driver = driver();
    let made = fuzz::run("query-functions", &[], Duration::from_millis(1_500), |seed| {
        let seed = seed.iter().fold(7u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        let text = Maker(Rng::new(seed)).expression(4);
        ask(&driver, &text);
    });
    assert!(made > 0);
}

#[test]
fn mutated_expressions_are_evaluated() {
    let driver = driver();
    let corpus = [
        "sum by (number) (rate(m[5m] offset 1m)) / on (number) group_left () max_over_time(m[10m:1m])",
        "topk(2, m) or vector(1) unless m{number=~\"1|2\"} @ end()",
        "quantiles_over_time(\"phi\", 0.5, 0.9, m[5m]) default 0 keep_metric_names",
        "histogram_quantile(0.9, sum by (le) (rate(c_total[5m]))) + absent_over_time(none{a=\"b\"}[5m])",
        "WITH (w = 5m) rollup_candlestick(m[w]) if count_values(\"v\", m) > 0",
    ];
    let corpus: Vec<Vec<u8>> = corpus.iter().map(|text| text.as_bytes().to_vec()).collect();
    fuzz::run("query-mutations", &corpus, Duration::from_millis(1_000), |bytes| {
        ask(&driver, &String::from_utf8_lossy(bytes));
    });
}
