//! Aggregates over whole operands.
//!
//! 1. The series of all arguments that are series stand one behind the other; parameters, if the aggregate has some, stand before or behind them.
//! 2. Dialect `metricsql`: series without any sample are left out first, so that they neither make a group nor take a place in one.
//! 3. What folds ([`super::fold`]) is folded, group by group.
//! 4. Everything else gets the series of its groups together.

mod count_values;
mod limits;
mod outliers;
mod pointwise;
mod quantiles;
mod range_ranks;
mod ranks;

pub(super) use quantiles::warn_of_quantiles;

use metricsql::{Aggregate, Span};

use super::{
    ANY_NUMBER, Context,
    Dialects::{self, Both, MetricsQl, PromQl},
    args::{Args, into_rows},
    fold::{Fold, FoldKind},
    group::Groups,
};
use crate::{
    api::{Dialect, QueryError},
    frame::{Operand, Row},
    labels::Labels,
    values::Values,
};

/// An aggregate that does not fold.
struct Entry {
    name: &'static str,
    dialects: Dialects,
    /// How many arguments at least and at most.
    args: (usize, usize),
    run: fn(&Aggregate, Args<'_>) -> Result<Vec<Row>, QueryError>,
}

const fn entry(
    name: &'static str,
    dialects: Dialects,
    args: (usize, usize),
    run: fn(&Aggregate, Args<'_>) -> Result<Vec<Row>, QueryError>,
) -> Entry {
    Entry { name, dialects, args, run }
}

const TABLE: &[Entry] = &[
    entry("bottomk", MetricsQl, (2, 2), ranks::bottomk_metricsql),
    entry("bottomk", PromQl, (2, 2), ranks::bottomk_promql),
    entry("bottomk_avg", MetricsQl, (2, 3), range_ranks::bottomk_avg),
    entry("bottomk_last", MetricsQl, (2, 3), range_ranks::bottomk_last),
    entry("bottomk_max", MetricsQl, (2, 3), range_ranks::bottomk_max),
    entry("bottomk_median", MetricsQl, (2, 3), range_ranks::bottomk_median),
    entry("bottomk_min", MetricsQl, (2, 3), range_ranks::bottomk_min),
    entry("count_values", Both, (2, 2), count_values::count_values),
    entry("distinct", MetricsQl, (1, ANY_NUMBER), pointwise::distinct),
    entry("histogram", MetricsQl, (1, ANY_NUMBER), pointwise::histogram),
    entry("limit_ratio", PromQl, (2, 2), limits::limit_ratio),
    entry("limitk", MetricsQl, (2, 2), limits::limitk_metricsql),
    entry("limitk", PromQl, (2, 2), limits::limitk_promql),
    entry("mad", MetricsQl, (1, ANY_NUMBER), quantiles::mad),
    entry("median", MetricsQl, (1, ANY_NUMBER), quantiles::median),
    entry("mode", MetricsQl, (1, ANY_NUMBER), pointwise::mode),
    entry("outliers_iqr", MetricsQl, (1, 1), outliers::iqr),
    entry("outliers_mad", MetricsQl, (2, 2), outliers::mad),
    entry("outliersk", MetricsQl, (2, 2), outliers::outliersk),
    entry("quantile", Both, (2, 2), quantiles::quantile),
    entry("quantiles", MetricsQl, (3, ANY_NUMBER), quantiles::quantiles),
    entry("share", MetricsQl, (1, ANY_NUMBER), pointwise::share),
    entry("topk", MetricsQl, (2, 2), ranks::topk_metricsql),
    entry("topk", PromQl, (2, 2), ranks::topk_promql),
    entry("topk_avg", MetricsQl, (2, 3), range_ranks::topk_avg),
    entry("topk_last", MetricsQl, (2, 3), range_ranks::topk_last),
    entry("topk_max", MetricsQl, (2, 3), range_ranks::topk_max),
    entry("topk_median", MetricsQl, (2, 3), range_ranks::topk_median),
    entry("topk_min", MetricsQl, (2, 3), range_ranks::topk_min),
    entry("zscore", MetricsQl, (1, ANY_NUMBER), pointwise::zscore),
];

fn find(dialect: Dialect, name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.name == name && entry.dialects.contain(dialect))
}

/// Whether an aggregate is known.
#[cfg(test)]
pub fn is_aggregate(dialect: Dialect, name: &str) -> bool {
    FoldKind::of(dialect, name).is_some() || find(dialect, name).is_some()
}

/// Puts series together by their groups.
pub fn aggregate(
    ctx: &Context<'_>,
    aggregate: &Aggregate,
    span: Span,
    args: Vec<Operand>,
) -> Result<Vec<Row>, QueryError> {
    let args = Args::new(ctx, &aggregate.name, span, &aggregate.args, args);
    if let Some(kind) = FoldKind::of(ctx.dialect, &aggregate.name) {
        args.expect_count(if args.is_promql() { (1, 1) } else { (1, ANY_NUMBER) })?;
        return fold(aggregate, kind, args);
    }
    let entry = find(ctx.dialect, &aggregate.name)
        .ok_or_else(|| QueryError::Evaluation(format!("unknown aggregate {:?}", aggregate.name)))?;
    args.expect_count(entry.args)?;
    (entry.run)(aggregate, args)
}

fn fold(aggregate: &Aggregate, kind: FoldKind, args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let ctx = args.ctx;
    let mut groups = Groups::new(aggregate.grouping.as_ref());
    let limit = groups_max(aggregate);
    let mut folds: Vec<(Fold, Row)> = Vec::new();
    for row in args.into_operands().flat_map(into_rows).filter(|row| counts(ctx, row)) {
        let Some(number) = groups.number(row.labels.iter(), limit) else { continue };
        if number == folds.len() {
            let labels = if kind.keeps_labels() { row.labels.clone() } else { groups.labels(number).clone() };
            let empty = Row { labels, values: Values::default(), drop_name: false };
            folds.push((Fold::new(kind, ctx.dialect, ctx.grid.points), empty));
        }
        let (fold, result) = &mut folds[number];
        let before = fold.bytes();
        fold.add_values(&row.values);
        (ctx.check)(fold.bytes() - before)?;
        result.drop_name |= row.drop_name;
    }
    Ok(folds.into_iter().map(|(fold, result)| Row { values: fold.finish(), ..result }).collect())
}

/// Series that belong together.
struct Group {
    labels: Labels,
    rows: Vec<Row>,
}

impl Group {
    /// A series with the labels of the group; its metric name goes if that of one of its series does.
    fn result(&self, values: Vec<f64>) -> Row {
        Row { labels: self.labels.clone(), values: values.into(), drop_name: self.rows.iter().any(|row| row.drop_name) }
    }
}

/// Puts series into their groups, which come in the order in which they are met.
fn grouped(ctx: &Context<'_>, aggregate: &Aggregate, rows: Vec<Row>) -> Result<Vec<Group>, QueryError> {
    let mut numbers = Groups::new(aggregate.grouping.as_ref());
    let limit = groups_max(aggregate);
    let mut groups: Vec<Group> = Vec::new();
    for row in rows.into_iter().filter(|row| counts(ctx, row)) {
        (ctx.check)(0)?;
        let Some(number) = numbers.number(row.labels.iter(), limit) else { continue };
        if number == groups.len() {
            groups.push(Group { labels: numbers.labels(number).clone(), rows: Vec::new() });
        }
        groups[number].rows.push(row);
    }
    Ok(groups)
}

/// How many groups there may be; those that are met later are left out.
fn groups_max(aggregate: &Aggregate) -> usize {
    match aggregate.limit {
        None | Some(0) => usize::MAX,
        Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
    }
}

/// Whether a series is looked at. One of which samples lie only before the range has none in it, and is none for an aggregate (dialect `metricsql`).
fn counts(ctx: &Context<'_>, row: &Row) -> bool {
    ctx.dialect == Dialect::PromQl || ctx.has_samples(row)
}

/// Removes series without samples.
fn retain_samples(ctx: &Context<'_>, rows: &mut Vec<Row>) {
    rows.retain(|row| ctx.has_samples(row));
}
