//! Aggregates over whole operands.
//!
//! 1. The series of all arguments that are series stand one behind the other; a parameter, if the aggregate has one, stands before them.
//! 2. What folds ([`super::fold`]) is folded, group by group.
//! 3. Everything else gets the series of its groups together.

use metricsql::{Aggregate, Span};

use super::{
    Context,
    args::into_rows,
    fold::{Fold, FoldKind},
    group::Groups,
};
use crate::{
    api::{Dialect, QueryError},
    frame::{Operand, Row},
};

/// Whether an aggregate is known.
pub fn is_aggregate(dialect: Dialect, name: &str) -> bool {
    FoldKind::of(dialect, name).is_some()
}

/// Puts series together by their groups.
pub fn aggregate(
    ctx: &Context<'_>,
    aggregate: &Aggregate,
    _span: Span,
    args: Vec<Operand>,
) -> Result<Vec<Row>, QueryError> {
    if let Some(kind) = FoldKind::of(ctx.dialect, &aggregate.name) {
        return fold(ctx, aggregate, kind, args.into_iter().flat_map(into_rows));
    }
    Err(QueryError::Evaluation(format!("unknown aggregate {:?}", aggregate.name)))
}

fn fold(
    ctx: &Context<'_>,
    aggregate: &Aggregate,
    kind: FoldKind,
    rows: impl Iterator<Item = Row>,
) -> Result<Vec<Row>, QueryError> {
    let mut groups = Groups::new(aggregate.grouping.as_ref());
    let limit = groups_max(aggregate);
    let mut folds: Vec<(Fold, Row)> = Vec::new();
    for row in rows {
        let Some(number) = groups.number(row.labels.iter(), limit) else { continue };
        if number == folds.len() {
            (ctx.check)(Fold::bytes(kind, ctx.dialect, ctx.grid.points))?;
            let labels = if kind.keeps_labels() { row.labels.clone() } else { groups.labels(number).clone() };
            let empty = Row { labels, values: Vec::new(), drop_name: false };
            folds.push((Fold::new(kind, ctx.dialect, ctx.grid.points), empty));
        } else {
            (ctx.check)(0)?;
        }
        let (fold, result) = &mut folds[number];
        fold.add(&row.values);
        result.drop_name |= row.drop_name;
    }
    Ok(folds.into_iter().map(|(fold, result)| Row { values: fold.finish(), ..result }).collect())
}

/// How many groups there may be; those that are met later are left out.
fn groups_max(aggregate: &Aggregate) -> usize {
    match aggregate.limit {
        None | Some(0) => usize::MAX,
        Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
    }
}
