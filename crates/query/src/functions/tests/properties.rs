//! Folds against sums over whole columns, and random expressions over random series: none may panic, and none may hold memory that was not asked for.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use testkit::Rng;

use super::{
    super::{
        Annotations, Context,
        fold::{Fold, FoldKind},
    },
    Evaluator, M, P, grid_of, parse,
};
use crate::{
    api::{Dialect, QueryError},
    frame::{ABSENT, Operand, Row, is_absent},
    labels::Labels,
    values::Values,
};

const KINDS: [FoldKind; 11] = [
    FoldKind::Sum,
    FoldKind::Avg,
    FoldKind::Min,
    FoldKind::Max,
    FoldKind::Count,
    FoldKind::Group,
    FoldKind::Stddev,
    FoldKind::Stdvar,
    FoldKind::Sum2,
    FoldKind::Geomean,
    FoldKind::Any,
];

/// The aggregate of a column, straight from its definition.
fn naive(kind: FoldKind, values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    match kind {
        FoldKind::Sum => values.iter().sum(),
        FoldKind::Avg => mean,
        FoldKind::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
        FoldKind::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        FoldKind::Count => count,
        FoldKind::Group => 1.0,
        FoldKind::Stddev => variance.sqrt(),
        FoldKind::Stdvar => variance,
        FoldKind::Sum2 => values.iter().map(|value| value * value).sum(),
        FoldKind::Geomean => values.iter().product::<f64>().powf(1.0 / count),
        FoldKind::Any => values[0],
    }
}

fn columns() -> impl Strategy<Value = Vec<Vec<Option<i32>>>> {
    (1usize..6).prop_flat_map(|points| {
        prop::collection::vec(prop::collection::vec(prop::option::weighted(0.8, -9..99), points), 1..12)
    })
}

proptest! {
    #[test]
    fn folding_in_parts_is_folding_at_once(rows in columns(), cut in 0usize..12, kind in prop::sample::select(&KINDS[..])) {
        let rows: Vec<Vec<f64>> = rows
            .into_iter()
            .map(|row| row.into_iter().map(|value| value.map_or(ABSENT, f64::from)).collect())
            .collect();
        let points = rows[0].len();
        for dialect in [M, P] {
            let whole = fold(kind, dialect, points, &rows);
            let (front, back) = rows.split_at(cut.min(rows.len()));
            let mut parts = fold(kind, dialect, points, front);
            parts.merge(&fold(kind, dialect, points, back));
            let (whole, parts) = (whole.finish(), parts.finish());
            for at in 0..points {
                let column: Vec<f64> = rows.iter().map(|row| row[at]).filter(|value| !is_absent(*value)).collect();
                if kind == FoldKind::Any {
                    prop_assert_eq!(whole[at].to_bits(), rows[0][at].to_bits());
                } else if column.is_empty() {
                    prop_assert!(is_absent(whole[at]) && is_absent(parts[at]));
                } else {
                    let want = naive(kind, &column);
                    prop_assert!(close(whole[at], want), "{kind:?} {dialect:?} {} {want}", whole[at]);
                    prop_assert!(close(parts[at], want), "{kind:?} {dialect:?} in parts {} {want}", parts[at]);
                }
            }
        }
    }
}

fn fold(kind: FoldKind, dialect: Dialect, points: usize, rows: &[Vec<f64>]) -> Fold {
    let mut fold = Fold::new(kind, dialect, points);
    rows.iter().for_each(|row| fold.add(row));
    fold
}

fn close(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

/// What random expressions are made of; `$` stands for an expression.
const SHAPES: [&str; 67] = [
    "$ + $",
    "$ / on(a) $",
    "$ * on(a) group_left(b) $",
    "$ > $",
    "$ == bool $",
    "$ and $",
    "$ or $",
    "$ unless on(b) $",
    "$ default $",
    "$ if $",
    "$ ifnot $",
    "-$",
    "($, $)",
    "sum($)",
    "avg by (a) ($)",
    "stddev without (b) ($)",
    "count($)",
    "$ ^ $",
    "$ ^ on (a) group_left () $",
    "clamp_max($, 0) ^ 0",
    "min by (__name__) ($)",
    "topk(2, $)",
    "bottomk by (a) (1, $)",
    "quantile(0.3, $)",
    "count_values(\"v\", $)",
    "limitk(2, $)",
    "limit_ratio(0.5, $)",
    "topk_avg(1, $, \"a=x\")",
    "outliersk(1, $)",
    "outliers_iqr($)",
    "outliers_mad(1, $)",
    "histogram($)",
    "share($)",
    "zscore($)",
    "mode($)",
    "distinct($)",
    "geomean($)",
    "any by (a) ($)",
    "quantiles(\"q\", 0.1, 2, $)",
    "abs($)",
    "clamp($, -1, 1)",
    "round($, 0.3)",
    "sgn($)",
    "sort($)",
    "sort_by_label_desc($, \"a\")",
    "sort_by_label_numeric($, \"le\")",
    "label_replace($, \"a\", \"$1\", \"le\", \"(.*)\")",
    "label_join($, \"a\", \"-\", \"b\", \"le\")",
    "label_set($, \"a\", \"x\")",
    "label_map($, \"a\", \"1\", \"2\")",
    "drop_common_labels($, $)",
    "absent($)",
    "scalar($)",
    "year($)",
    "day_of_week($)",
    "histogram_quantile(0.5, $)",
    "histogram_share(1, $, \"b\")",
    "histogram_stddev($)",
    "buckets_limit(3, $)",
    "prometheus_buckets($)",
    "range_quantile(0.1, $)",
    "range_trim_spikes(0.2, $)",
    "range_linear_regression($)",
    "interpolate($)",
    "remove_resets($)",
    "running_avg($)",
    "smooth_exponential($, 0.5)",
];
const LEAVES: [&str; 6] = ["m", "n", "{a=\"1\"}", "3", "time()", "{b!=\"9\"}"];

fn expression(rng: &mut Rng, depth: u32) -> String {
    if depth == 0 {
        return LEAVES[rng.index(LEAVES.len())].to_string();
    }
    let shape = SHAPES[rng.index(SHAPES.len())];
    let mut text = String::new();
    for (at, part) in shape.split('$').enumerate() {
        // A `$1` of a replacement is no place for an expression.
        if at > 0 && part.starts_with('1') {
            text.push('$');
        } else if at > 0 {
            text.push_str(&format!("({})", expression(rng, depth - 1)));
        }
        text.push_str(part);
    }
    text
}

fn random_rows(rng: &mut Rng, points: usize) -> Vec<Row> {
    const VALUES: [f64; 10] = [0.0, -0.0, 1.0, -1.5, 1e300, -1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, ABSENT];
    let mut rows: Vec<Row> = Vec::new();
    for _ in 0..rng.below(8) {
        let name = ["m", "n"][rng.below(2) as usize];
        let mut labels: Labels = [("__name__", name)].into_iter().collect();
        labels.set("a", ["", "1", "2"][rng.below(3) as usize]);
        labels.set("b", ["", "x", "9"][rng.below(3) as usize]);
        labels.set("le", ["", "0.5", "+Inf", "x"][rng.below(4) as usize]);
        labels.set("vmrange", ["", "", "0...1", "2...+Inf", "x...y"][rng.below(5) as usize]);
        let (first, last) = (rng.below(points as u64), rng.below(2 * points as u64));
        let values = (0..points as u64).map(|at| match rng.below(3) {
            _ if at < first || at > last => ABSENT,
            0 => VALUES[rng.below(10) as usize],
            _ => rng.below(100) as f64 / 4.0,
        });
        let values = values.collect();
        if rows.iter().all(|row| row.labels != labels) {
            rows.push(Row { labels, values, drop_name: false });
        }
    }
    rows
}

#[test]
fn no_expression_panics_or_holds_what_it_did_not_ask_for() {
    let mut rng = Rng::new(7);
    for _ in 0..20_000 {
        let points = 1 + rng.below(7) as usize;
        let rows = random_rows(&mut rng, points);
        // The same series, held only from their first sample to their last.
        let held = |row: &Row| Row { values: row.values.stretch(0..points), ..row.clone() };
        let held: Vec<Row> = rows.iter().map(held).collect();
        let depth = 1 + rng.below(3) as u32;
        let text = expression(&mut rng, depth);
        let expr = parse(&text);
        for dialect in [M, P] {
            let (notes, asked) = (Annotations::new(text.as_str()), AtomicUsize::new(0));
            let grid = grid_of(points);
            let check = |bytes: usize| {
                asked.fetch_add(bytes, Ordering::Relaxed);
                if asked.load(Ordering::Relaxed) > 1 << 24 { Err(QueryError::Limit("memory".into())) } else { Ok(()) }
            };
            let ctx = Context {
                dialect,
                grid,
                query_grid: grid,
                end: grid.end(),
                is_range: points > 1,
                now: 0,
                notes: &notes,
                check: &check,
            };
            let result = (Evaluator { ctx, rows: &rows }).eval(&expr);
            if let Ok(Operand::Rows(rows)) = &result {
                for row in rows {
                    assert_eq!(row.values.len(), points, "{text}");
                    assert!(row.labels.iter().all(|(_, value)| !value.is_empty()), "{text}");
                }
            }
            if !text.contains("rand") {
                let of_held = (Evaluator { ctx, rows: &held }).eval(&expr);
                let shown = |result: Result<Operand, QueryError>| {
                    let lines = result.and_then(|operand| super::text_of(&ctx, operand, true));
                    lines.map_err(|error| error.to_string())
                };
                assert_eq!(shown(of_held), shown(result), "{dialect:?} {text} {rows:?}");
            }
        }
    }
}

/// Series of 100 points, with samples at some.
fn series_at(points: std::ops::Range<i32>) -> Vec<Row> {
    let values = |i: i32| {
        let samples: Vec<f64> = points.clone().map(|at| f64::from(i * 100 + at)).collect();
        Values::new(100, points.start as usize, samples)
    };
    let row = |i: i32| Row {
        labels: [("__name__".to_string(), "m".to_string()), ("a".to_string(), i.to_string())].into_iter().collect(),
        values: values(i),
        drop_name: false,
    };
    (0..200).map(row).collect()
}

#[test]
fn a_budget_ends_what_grows() {
    ends_beyond_the_budget(
        &series_at(0..100),
        &[
            "count_values(\"v\", m)",
            "histogram(m)",
            "sum by (a) (m)",
            "quantile by (a) (0.5, m)",
            "m * on() group_left(b) label_set(m, \"b\", \"c\")",
        ],
    );
}

#[test]
fn a_budget_ends_what_gives_brief_series_all_points() {
    ends_beyond_the_budget(
        &series_at(40..42),
        &[
            "keep_last_value(m)",
            "running_sum(m)",
            "range_sum(m)",
            "m ^ 0",
            "1 ^ m",
            "sgn(m)",
            "m default 1",
            "m default ignoring(a) label_del(m{a=\"1\"}, \"a\")",
            "scalar(m{a=\"1\"}) < m",
        ],
    );
}

fn ends_beyond_the_budget(rows: &[Row], texts: &[&str]) {
    let grid = grid_of(100);
    for text in texts {
        let (notes, left) = (Annotations::new(*text), AtomicUsize::new(100_000));
        let check = |bytes: usize| {
            let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
            taken.map(|_| ()).map_err(|_| QueryError::Limit("memory".into()))
        };
        let ctx = Context {
            dialect: M,
            grid,
            query_grid: grid,
            end: grid.end(),
            is_range: true,
            now: 0,
            notes: &notes,
            check: &check,
        };
        let result = (Evaluator { ctx, rows }).eval(&parse(text));
        assert!(result.is_err(), "{text}");
    }
}
