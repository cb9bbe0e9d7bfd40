//! Functions that make series or numbers of little: times, constants, random numbers, what is absent, unions.

use std::{
    f64::consts,
    hash::{BuildHasher, RandomState},
};

use hashbrown::HashSet;
use metricsql::{Expr, ExprKind};
use model::{METRIC_NAME, MatchOp, Matcher};

use super::{
    ANY_NUMBER, Context,
    Dialects::{Both, MetricsQl, PromQl},
    Function,
    Run::Whole,
    args::{Args, into_rows},
    function,
    names::drop_name,
};
use crate::{
    api::{Dialect, QueryError},
    frame::{ABSENT, Operand, Row},
    labels::Labels,
};

pub(super) const TABLE: &[Function] = &[
    function("absent", Both, (1, 1), Whole(absent)),
    function("end", Both, (0, 0), Whole(|args| constant(&args, seconds(args.ctx.end)))),
    function("now", MetricsQl, (0, 0), Whole(|args| constant(&args, seconds(args.ctx.now)))),
    function("pi", Both, (0, 0), Whole(|args| constant(&args, consts::PI))),
    function("rand", MetricsQl, (0, 1), Whole(|args| random(args, Random::uniform))),
    function("rand_exponential", MetricsQl, (0, 1), Whole(|args| random(args, Random::exponential))),
    function("rand_normal", MetricsQl, (0, 1), Whole(|args| random(args, Random::normal))),
    function("range", PromQl, (0, 0), Whole(|args| constant(&args, seconds(args.ctx.end - span_of(&args).start)))),
    function("scalar", Both, (1, 1), Whole(scalar)),
    function("start", Both, (0, 0), Whole(|args| constant(&args, seconds(span_of(&args).start)))),
    function("step", Both, (0, 0), Whole(|args| constant(&args, step(&args)))),
    function("time", Both, (0, 0), Whole(|args| time(&args))),
    function("timestamp", PromQl, (1, 1), Whole(timestamp)),
    function("union", MetricsQl, (0, ANY_NUMBER), Whole(|args| union(args.ctx, args.into_operands().collect()))),
    function("vector", Both, (1, 1), Whole(vector)),
];

fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1_000.0
}

fn constant(args: &Args<'_>, value: f64) -> Result<Operand, QueryError> {
    Ok(Operand::Scalar(vec![value; args.ctx.grid.points]))
}

/// The instants that `start()` and its like speak of: those of the query (dialect `promql`), or of the part of it that they stand in.
fn span_of(args: &Args<'_>) -> crate::frame::Grid {
    if args.is_promql() { args.ctx.query_grid } else { args.ctx.grid }
}

fn step(args: &Args<'_>) -> f64 {
    if args.is_promql() && !args.ctx.is_range { 0.0 } else { seconds(span_of(args).step) }
}

fn time(args: &Args<'_>) -> Result<Operand, QueryError> {
    let grid = args.ctx.grid;
    Ok(Operand::Scalar((0..grid.points).map(|at| seconds(grid.at(at))).collect()))
}

/// Of what is computed: the time at which it is. (Of what is selected, the engine knows the time of the sample.)
fn timestamp(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let rows = args.rows(0);
    let grid = args.ctx.grid;
    super::math::map_points(&args, rows, false, |at, _| seconds(grid.at(at)))
}

fn vector(mut args: Args<'_>) -> Result<Operand, QueryError> {
    Ok(Operand::Rows(args.rows(0)))
}

fn scalar(mut args: Args<'_>) -> Result<Operand, QueryError> {
    if args.is_promql() {
        let rows = args.rows(0);
        let mut values = vec![ABSENT; args.ctx.grid.points];
        let mut counts = vec![0; values.len()];
        for row in &rows {
            for (at, value) in row.values.samples().filter(|(_, value)| args.ctx.is_sample(*value)) {
                values[at] = value;
                counts[at] += 1;
            }
        }
        let alone = values.into_iter().zip(counts).map(|(value, count)| if count == 1 { value } else { f64::NAN });
        return Ok(Operand::Scalar(alone.collect()));
    }
    if let Some(ExprKind::Text(text)) = args.expr(0).map(|expr| &expr.kind) {
        return constant(&args, text.parse().unwrap_or(ABSENT));
    }
    let mut rows = args.rows(0);
    match (rows.pop(), rows.is_empty()) {
        (Some(row), true) => Ok(Operand::Scalar(row.values.into_whole())),
        _ => constant(&args, ABSENT),
    }
}

fn absent(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let rows = args.rows(0);
    let mut values = vec![1.0; args.ctx.grid.points];
    for row in &rows {
        (args.ctx.check)(0)?;
        let samples = row.values.samples().filter(|(_, value)| args.ctx.is_sample(*value));
        samples.for_each(|(at, _)| values[at] = ABSENT);
    }
    if values.iter().all(|value| value.is_nan()) {
        return Ok(Operand::Rows(Vec::new()));
    }
    let labels = args.expr(0).map_or_else(Labels::default, |expr| absent_labels(args.ctx.dialect, expr));
    Ok(Operand::Rows(vec![Row { labels, values: values.into(), drop_name: false }]))
}

/// The labels that series of a selector certainly have: those that it compares for equality, once.
pub fn absent_labels(dialect: Dialect, expr: &Expr) -> Labels {
    let mut expr = expr;
    let selector = loop {
        match &expr.kind {
            ExprKind::Selector(selector) => break selector,
            ExprKind::Paren(inner) => expr = inner,
            ExprKind::Rollup(rollup) if rollup.subquery.is_none() && dialect == Dialect::PromQl => expr = &rollup.inner,
            _ => return Labels::default(),
        }
    };
    let [matchers] = selector.any_of.as_slice() else { return Labels::default() };
    let mut labels = Labels::default();
    let mut met = HashSet::new();
    for Matcher { name, op, value } in matchers.iter().filter(|matcher| matcher.name != METRIC_NAME) {
        let is_equality = *op == MatchOp::Equal;
        match dialect {
            Dialect::MetricsQl if is_equality => labels.set(name, value),
            Dialect::MetricsQl => {}
            Dialect::PromQl if is_equality && met.insert(name) => labels.set(name, value),
            Dialect::PromQl => labels.remove(name),
        }
    }
    labels
}

/// All series of all operands; of series with the same labels only the first. Operands that all are numbers all stay.
pub fn union(ctx: &Context<'_>, operands: Vec<Operand>) -> Result<Operand, QueryError> {
    if operands.is_empty() {
        return Ok(Operand::Rows(Vec::new()));
    }
    let sets: Vec<Vec<Row>> = operands.into_iter().map(into_rows).collect();
    if sets.iter().all(|rows| matches!(rows.as_slice(), [row] if row.labels.is_empty())) {
        return Ok(Operand::Rows(sets.into_iter().flatten().collect()));
    }
    let mut met = HashSet::new();
    let mut rows = Vec::new();
    for row in sets.into_iter().flatten() {
        (ctx.check)(0)?;
        if met.insert(row.labels.clone()) {
            rows.push(row);
        }
    }
    Ok(Operand::Rows(rows))
}

/// Numbers that look random, the same for the same seed.
struct Random(u64);

impl Random {
    /// After Steele, Lea and Flood (SplitMix64).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From 0 up to and without 1.
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn exponential(&mut self) -> f64 {
        -(1.0 - self.uniform()).ln()
    }

    /// After Box and Muller.
    fn normal(&mut self) -> f64 {
        (2.0 * self.exponential()).sqrt() * (consts::TAU * self.uniform()).cos()
    }
}

fn random(mut args: Args<'_>, draw: fn(&mut Random) -> f64) -> Result<Operand, QueryError> {
    let seed = if args.len() == 0 { RandomState::new().hash_one(args.ctx.now) } else { args.whole(0)? as u64 };
    let mut random = Random(seed);
    Ok(Operand::Scalar((0..args.ctx.grid.points).map(|_| draw(&mut random)).collect()))
}

/// The negative of every sample (`-q`). In dialect `metricsql` this is `0 - q`: 0 stays what it is, and series without samples go.
pub fn negate(ctx: &Context<'_>, operand: Operand) -> Result<Operand, QueryError> {
    let negative = |value: f64| if ctx.dialect == Dialect::MetricsQl { 0.0 - value } else { -value };
    match operand {
        Operand::Scalar(values) => Ok(Operand::Scalar(values.into_iter().map(negative).collect())),
        operand => {
            let mut rows = into_rows(operand);
            if ctx.dialect == Dialect::MetricsQl {
                rows.retain(|row| ctx.has_samples(row));
            }
            for row in &mut rows {
                (ctx.check)(0)?;
                drop_name(ctx.dialect, row);
                row.values
                    .held_mut()
                    .iter_mut()
                    .filter(|value| ctx.is_sample(**value))
                    .for_each(|value| *value = negative(*value));
            }
            Ok(Operand::Rows(rows))
        }
    }
}
