//! Operators that ask on which side a sample is: `and`, `or`, `unless`, and MetricsQL's `if`, `ifnot`, `default`.
//!
//! 1. Series are grouped by the labels that both sides must have in common.
//! 2. `and`, `if` keep a sample of the left side where a series of its group on the right side has one, `unless`, `ifnot` where none has.
//! 3. `or` keeps the left side, and of the right side the samples where no series of their group on the left side has one.
//! 4. `default` fills gaps of the left side with the first sample of its group on the right side; where the left side has no series at all, the right
//!    side stands for it.
//! 5. With `if`, `ifnot` and `default`, a right side that is one series without labels belongs to every group (dialect `metricsql`).

use hashbrown::HashMap;
use metricsql::{Binary, BinaryOp, Matching};
use model::METRIC_NAME;

use super::{
    super::{Context, group::Names, names::unite_equal},
    pairing::Pairing,
    signature,
};
use crate::{
    api::{Dialect, QueryError},
    frame::{ABSENT, Row},
    values::Values,
};

pub(super) fn join(
    ctx: &Context<'_>,
    binary: &Binary,
    mut left: Vec<Row>,
    mut right: Vec<Row>,
) -> Result<Vec<Row>, QueryError> {
    let pairing = Pairing::new(&names(ctx.dialect, binary), &left, &right);
    match binary.op {
        BinaryOp::Or => return or(ctx, &pairing, left, right),
        BinaryOp::Default if left.is_empty() => return Ok(right),
        BinaryOp::Default => fill(ctx, &pairing, &mut left, &right)?,
        op => {
            let falls_back = matches!(op, BinaryOp::If | BinaryOp::IfNot);
            let wanted = matches!(op, BinaryOp::And | BinaryOp::If);
            let scalar = (falls_back && is_scalar(&right)).then_some(0);
            let presences = Presences::new(ctx, &pairing, &right, |group| (&group.right, scalar))?;
            for (row, group) in left.iter_mut().zip(&pairing.left) {
                (ctx.check)(0)?;
                presences.keep_where(*group, wanted, row);
            }
        }
    }
    if binary.op != BinaryOp::Default {
        left.retain(|row| ctx.has_samples(row));
    }
    right.clear();
    Ok(left)
}

/// As for other operators; but with `keep_metric_names`, dialect `metricsql` also compares the names.
pub(super) fn names(dialect: Dialect, binary: &Binary) -> Names {
    match (dialect, binary.keep_metric_names, &binary.matching) {
        (Dialect::MetricsQl, true, None) => Names::all_but::<&str>([]),
        (Dialect::MetricsQl, true, Some(Matching::Ignoring(names))) => Names::all_but(names),
        (Dialect::MetricsQl, false, Some(Matching::On(names))) => {
            Names::only(names.iter().filter(|name| *name != METRIC_NAME))
        }
        (_, _, matching) => signature(matching.as_ref()),
    }
}

/// Whether a side is one series without labels.
pub(super) fn is_scalar(rows: &[Row]) -> bool {
    matches!(rows, [row] if row.labels.is_empty())
}

/// At which points the groups of a side have samples.
struct Presences {
    of_group: Vec<Option<Vec<bool>>>,
}

impl Presences {
    /// Of the rows that `members` names for a group, or else of the row that it falls back to.
    fn new<'p>(
        ctx: &Context<'_>,
        pairing: &'p Pairing,
        rows: &[Row],
        members: impl Fn(&'p super::pairing::Matched) -> (&'p Vec<usize>, Option<usize>),
    ) -> Result<Self, QueryError> {
        let mut of_group = Vec::with_capacity(pairing.groups.len());
        for group in &pairing.groups {
            let (members, fallback) = members(group);
            let mut presence = None;
            for at in members.iter().copied().chain(fallback.filter(|_| members.is_empty())) {
                if presence.is_none() {
                    (ctx.check)(ctx.grid.points)?;
                }
                let presence = presence.get_or_insert_with(|| vec![false; ctx.grid.points]);
                let samples = rows[at].values.samples().filter(|(_, value)| ctx.is_sample(*value));
                samples.for_each(|(at, _)| presence[at] = true);
            }
            of_group.push(presence);
        }
        Ok(Self { of_group })
    }

    /// Keeps the samples where the group is there (`wanted`) or is not.
    fn keep_where(&self, group: usize, wanted: bool, row: &mut Row) {
        match &self.of_group[group] {
            Some(presence) => {
                let presence = &presence[row.values.span()];
                let others =
                    row.values.held_mut().iter_mut().zip(presence).filter(|(_, is_there)| **is_there != wanted);
                others.for_each(|(value, _)| *value = ABSENT);
            }
            None if wanted => row.values = Values::absent(row.values.len()),
            None => {}
        }
    }
}

fn or(ctx: &Context<'_>, pairing: &Pairing, mut left: Vec<Row>, mut right: Vec<Row>) -> Result<Vec<Row>, QueryError> {
    let presences = Presences::new(ctx, pairing, &left, |group| (&group.left, None))?;
    for (row, group) in right.iter_mut().zip(&pairing.right) {
        (ctx.check)(0)?;
        presences.keep_where(*group, false, row);
    }
    right.retain(|row| ctx.has_samples(row));
    if ctx.dialect == Dialect::MetricsQl {
        left.retain(|row| ctx.has_samples(row));
        left.sort_by(|a, b| a.labels.cmp(&b.labels));
        right.sort_by(|a, b| a.labels.cmp(&b.labels));
        return fill_equal(ctx, left, right);
    }
    left.append(&mut right);
    unite_equal(ctx, left)
}

/// The left side, its series filled by those of the right side that have the same labels, and behind it the other series of the right side. Series of
/// one side may have the same labels: only an answer may not.
fn fill_equal(ctx: &Context<'_>, mut left: Vec<Row>, right: Vec<Row>) -> Result<Vec<Row>, QueryError> {
    let mut places = HashMap::with_capacity(left.len());
    for (place, row) in left.iter().enumerate() {
        places.entry(row.labels.clone()).or_insert(place);
    }
    for row in right {
        let Some(place) = places.get(&row.labels) else {
            left.push(row);
            continue;
        };
        let values = ctx.spread(&mut left[*place].values)?;
        row.values.samples().filter(|(_, value)| ctx.is_sample(*value)).for_each(|(at, value)| values[at] = value);
    }
    Ok(left)
}

fn fill(ctx: &Context<'_>, pairing: &Pairing, left: &mut [Row], right: &[Row]) -> Result<(), QueryError> {
    let scalar = is_scalar(right).then_some(0);
    for (row, group) in left.iter_mut().zip(&pairing.left) {
        (ctx.check)(0)?;
        let members = &pairing.groups[*group].right;
        for at in members.iter().copied().chain(scalar.filter(|_| members.is_empty())) {
            let values = ctx.spread(&mut row.values)?;
            let gaps = values.iter_mut().zip(&right[at].values).filter(|(value, _)| !ctx.is_sample(**value));
            gaps.for_each(|(value, other)| *value = *other);
        }
    }
    Ok(())
}
