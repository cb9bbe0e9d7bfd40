//! Functions, operators and aggregates run over series that stand in the test.
//!
//! [`check`] takes series, one a line (`m{a="1"} 1 _ 3`), an expression, and what must come out, in the same form; an expected line `error: …` must be part
//! of the error.

mod aggregates;
mod labels;
mod operators;
mod properties;
mod transforms;

use metricsql::{Expr, ExprKind, Options};
use model::{MatchOp, Selector};

use super::{Annotations, Context, aggregate, binary, call, finish_names, keeps_order, negate, text::in_braces, union};
use crate::{
    api::{Dialect, QueryError},
    frame::{ABSENT, Grid, Operand, Row},
    labels::Labels,
};

pub(super) const M: Dialect = Dialect::MetricsQl;
pub(super) const P: Dialect = Dialect::PromQl;

/// Evaluates expressions whose selectors choose among given rows.
pub(super) struct Evaluator<'a> {
    pub(super) ctx: Context<'a>,
    pub(super) rows: &'a [Row],
}

impl Evaluator<'_> {
    pub(super) fn eval(&self, expr: &Expr) -> Result<Operand, QueryError> {
        let ctx = &self.ctx;
        let all = |exprs: &[Expr]| exprs.iter().map(|expr| self.eval(expr)).collect::<Result<Vec<_>, _>>();
        match &expr.kind {
            ExprKind::Number(number) => Ok(Operand::Scalar(vec![*number; ctx.grid.points])),
            ExprKind::Text(text) => Ok(Operand::Text(text.clone())),
            ExprKind::Selector(selector) => Ok(Operand::Rows(self.select(selector))),
            ExprKind::Call(written) => call(ctx, written, expr.span, all(&written.args)?),
            ExprKind::Aggregate(written) => aggregate(ctx, written, expr.span, all(&written.args)?).map(Operand::Rows),
            ExprKind::Binary(written) => {
                binary(ctx, written, expr.span, self.eval(&written.left)?, self.eval(&written.right)?)
            }
            ExprKind::Negate(inner) => negate(ctx, self.eval(inner)?),
            ExprKind::Plus(inner) | ExprKind::Paren(inner) => self.eval(inner),
            ExprKind::Union(exprs) => union(ctx, all(exprs)?),
            other => panic!("tests do not evaluate {other:?}"),
        }
    }

    fn select(&self, selector: &Selector) -> Vec<Row> {
        let is_chosen = |row: &&Row| {
            selector.any_of.iter().any(|matchers| {
                matchers.iter().all(|matcher| {
                    let is_equal = row.labels.get(&matcher.name) == matcher.value;
                    match matcher.op {
                        MatchOp::Equal => is_equal,
                        MatchOp::NotEqual => !is_equal,
                        MatchOp::Regex => {
                            row.labels.get(&matcher.name).starts_with(matcher.value.trim_end_matches(".*"))
                        }
                        MatchOp::NotRegex => panic!("tests do not select by {matcher:?}"),
                    }
                })
            })
        };
        self.rows.iter().filter(is_chosen).cloned().collect()
    }
}

pub(super) fn parse(text: &str) -> Expr {
    metricsql::parse(text, &Options::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn labels_of(text: &str) -> Labels {
    match parse(text).kind {
        ExprKind::Selector(selector) => {
            selector.any_of[0].iter().map(|matcher| (matcher.name.clone(), matcher.value.clone())).collect()
        }
        _ => panic!("{text} names no series"),
    }
}

fn rows_of(text: &str) -> Vec<Row> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let end = line.find('}').map_or_else(|| line.find(' ').expect("values"), |at| at + 1);
            let values = line[end..].split_whitespace().map(|value| match value {
                "_" => ABSENT,
                value => value.parse().expect("a number"),
            });
            let labels = if line.starts_with("{}") { Labels::default() } else { labels_of(&line[..end]) };
            Row { labels, values: values.collect(), drop_name: false }
        })
        .collect()
}

pub(super) fn grid_of(points: usize) -> Grid {
    Grid { start: 1_000_000, step: 10_000, points }
}

/// What came out, a line a series; names that are to go are gone, and gaps are `_`.
fn text_of(ctx: &Context<'_>, operand: Operand, is_ordered: bool) -> Result<Vec<String>, QueryError> {
    let rows = match operand {
        Operand::Text(text) => return Ok(vec![format!("{text:?}")]),
        Operand::Scalar(values) => return Ok(vec![format!("scalar{}", values_text(ctx, &values))]),
        Operand::Rows(rows) => finish_names(ctx, rows)?,
    };
    let mut lines: Vec<String> = rows
        .iter()
        .filter(|row| row.values.iter().any(|value| ctx.is_sample(*value)))
        .map(|row| {
            let mut labels = row.labels.clone();
            let name = labels.metric_name().to_string();
            labels.remove(model::METRIC_NAME);
            let braces = in_braces(&labels);
            let braces = if braces == "{}" && !name.is_empty() { "" } else { braces.as_str() };
            format!("{name}{}{}", braces.replace(", ", ","), values_text(ctx, &row.values.clone().into_whole()))
        })
        .collect();
    if !is_ordered {
        lines.sort();
    }
    Ok(lines)
}

fn values_text(ctx: &Context<'_>, values: &[f64]) -> String {
    let text = |value: &f64| {
        if !ctx.is_sample(*value) {
            return " _".to_string();
        }
        let rounded: f64 = format!("{value:.9e}").parse().expect("a number");
        format!(" {rounded}")
    };
    values.iter().map(text).collect()
}

/// Evaluates, and gives the lines that come out with the annotations.
pub(super) fn run(dialect: Dialect, load: &str, text: &str) -> (Result<Vec<String>, QueryError>, Vec<String>) {
    let rows = rows_of(load);
    let points = rows.first().map_or(1, |row| row.values.len());
    let notes = Annotations::new(text);
    let grid = grid_of(points);
    let ctx = Context {
        dialect,
        grid,
        query_grid: grid,
        end: grid.end(),
        is_range: points > 1,
        now: grid.start,
        notes: &notes,
        check: &|_| Ok(()),
    };
    let expr = parse(text);
    let is_ordered = keeps_order(M, &expr) && points == 1;
    let result = Evaluator { ctx, rows: &rows }.eval(&expr).and_then(|operand| text_of(&ctx, operand, is_ordered));
    let (mut warnings, mut infos) = notes.to_strings();
    warnings.append(&mut infos);
    (result, warnings)
}

/// Checks what comes out of expressions over the same series.
#[track_caller]
pub(super) fn check(dialect: Dialect, load: &str, cases: &[(&str, &str)]) {
    for (text, want) in cases {
        let (result, _) = run(dialect, load, text);
        if let Some(error) = want.trim().strip_prefix("error: ") {
            let message = result.expect_err(text).to_string();
            assert!(message.contains(error), "{text}: {message}");
            continue;
        }
        let want: Vec<String> =
            want.lines().map(|line| line.trim().to_string()).filter(|line| !line.is_empty()).collect();
        let got = result.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(got, want, "{text} in {dialect:?}");
    }
}

#[test]
fn every_name_stands_in_the_tables_once_a_dialect() {
    for dialect in [M, P] {
        let mut seen = std::collections::BTreeSet::new();
        for function in super::TABLES.iter().flat_map(|table| table.iter()) {
            if function.dialects.contain(dialect) {
                assert!(seen.insert(function.name), "{} stands there twice", function.name);
            }
            assert!(function.args.0 <= function.args.1);
            assert_eq!(function.name, function.name.to_ascii_lowercase());
        }
    }
}
