//! Operators between series in dialect `metricsql`.
//!
//! 1. A side that is one series without labels is put together with every series of the other, unless matching or grouping is asked for.
//! 2. A comparison with a number on its left is turned round, so that it keeps the samples and not the number. `q == (1, 2)` and `q != (1, 2)` compare
//!    with any of the values.
//! 3. Else series are grouped by the labels that both sides must have in common. Without grouping, several series of a group on one side become one if
//!    they overlap in at most two points; with grouping this holds for series of the one side that give the same result.
//! 4. Where there is no sample, the value is NaN, which goes through arithmetic by itself; comparisons take nothing as equal to nothing.

use hashbrown::HashMap;
use metricsql::{Binary, BinaryOp, Expr, ExprKind, Group, GroupSide, Matching};
use model::METRIC_NAME;

use super::{
    super::{Context, text::in_braces},
    operator::{self, Kind},
    pairing::Pairing,
    sets::{is_scalar, names},
};
use crate::{
    api::QueryError,
    frame::{ABSENT, Row},
    labels::Labels,
    values::Values,
};

/// Series that overlap in more points are not merged: a few may come from samples that are looked back for.
const OVERLAP_MAX: usize = 2;
/// Series with so few points are not merged: those of an instant query would hide that there are two.
const POINTS_TOO_FEW: usize = 2;

pub(super) fn join(
    ctx: &Context<'_>,
    binary: &Binary,
    mut left: Vec<Row>,
    mut right: Vec<Row>,
) -> Result<Vec<Row>, QueryError> {
    let is_comparison = operator::kind(binary.op) == Kind::Comparison;
    if is_equality(binary.op) && (is_union(&binary.left) || is_union(&binary.right)) {
        return Ok(any_of(binary, left, right));
    }
    if !is_comparison {
        left.retain(has_samples);
        right.retain(has_samples);
    }
    if left.is_empty() || right.is_empty() {
        return Ok(Vec::new());
    }
    let turned = is_comparison && is_number(&binary.left) && !is_number(&binary.right);
    if turned {
        std::mem::swap(&mut left, &mut right);
    }
    let join = Join { ctx, binary, function: pair_function(binary, turned) };
    if binary.matching.is_none() && binary.group.is_none() {
        if is_scalar(&left) {
            return join.with_scalar(right, &left[0].values, true);
        }
        if is_scalar(&right) {
            return join.with_scalar(left, &right[0].values, false);
        }
    }
    match &binary.group {
        None => join.one_to_one(left, right),
        Some(group) => join.grouped(group, left, right),
    }
}

fn has_samples(row: &Row) -> bool {
    row.values.iter().any(|value| !value.is_nan())
}

fn is_equality(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Equal | BinaryOp::NotEqual)
}

fn is_union(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Union(_) => true,
        ExprKind::Call(call) => call.name.eq_ignore_ascii_case("union"),
        _ => false,
    }
}

/// Whether an expression is a number whatever the data: written, computed of such, or the time.
fn is_number(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::Duration(_) => true,
        ExprKind::Paren(inner) | ExprKind::Negate(inner) | ExprKind::Plus(inner) => is_number(inner),
        ExprKind::Binary(binary) => is_number(&binary.left) && is_number(&binary.right),
        ExprKind::Call(call) => call.name.eq_ignore_ascii_case("time"),
        _ => false,
    }
}

/// Samples of the side that is no union, by whether the union has their value at their time.
fn any_of(binary: &Binary, left: Vec<Row>, right: Vec<Row>) -> Vec<Row> {
    let (mut rows, union) = if is_union(&binary.left) { (right, left) } else { (left, right) };
    let wanted = binary.op == BinaryOp::Equal;
    if union.is_empty() {
        return if wanted { Vec::new() } else { rows };
    }
    for row in &mut rows {
        for (at, value) in row.values.span().zip(row.values.held_mut()) {
            if union.iter().any(|other| other.values[at] == *value) != wanted {
                *value = ABSENT;
            }
        }
    }
    rows
}

/// What a pair of values becomes. `turned`: the pair comes the other way round than it was written, and the first is still the one that is kept.
fn pair_function(binary: &Binary, turned: bool) -> Box<dyn Fn(f64, f64) -> f64> {
    if operator::kind(binary.op) == Kind::Arithmetic {
        return Box::new(operator::arithmetic(binary.op));
    }
    let holds = operator::compare_absence(binary.op);
    let holds = move |a: f64, b: f64| if turned { holds(b, a) } else { holds(a, b) };
    if !binary.returns_bool {
        return Box::new(move |a, b| if holds(a, b) { a } else { ABSENT });
    }
    Box::new(move |a, b| if a.is_nan() { ABSENT } else { f64::from(u8::from(holds(a, b))) })
}

fn reset_name(binary: &Binary, labels: &mut Labels) {
    let filters = operator::kind(binary.op) == Kind::Comparison && !binary.returns_bool;
    if !filters && !binary.keep_metric_names {
        labels.remove(METRIC_NAME);
    }
}

struct Join<'a> {
    ctx: &'a Context<'a>,
    binary: &'a Binary,
    function: Box<dyn Fn(f64, f64) -> f64>,
}

impl Join<'_> {
    /// Puts every series together with a number a point, which is the left side if `swapped`.
    fn with_scalar(&self, mut rows: Vec<Row>, scalar: &Values, swapped: bool) -> Result<Vec<Row>, QueryError> {
        for row in &mut rows {
            (self.ctx.check)(0)?;
            reset_name(self.binary, &mut row.labels);
            self.put_together(&mut row.values, scalar, swapped)?;
        }
        Ok(rows)
    }

    fn one_to_one(&self, mut left: Vec<Row>, mut right: Vec<Row>) -> Result<Vec<Row>, QueryError> {
        let pairing = Pairing::new(&names(self.ctx.dialect, self.binary), &left, &right);
        let mut results = Vec::new();
        for group in pairing.groups.iter().filter(|group| !group.left.is_empty() && !group.right.is_empty()) {
            (self.ctx.check)(0)?;
            let mut row = self.single(&mut left, &group.left, "left")?;
            let other = self.single(&mut right, &group.right, "right")?;
            self.put_together(&mut row.values, &other.values, false)?;
            reset_name(self.binary, &mut row.labels);
            let keeps_name = self.binary.keep_metric_names;
            match &self.binary.matching {
                Some(Matching::On(names)) => row
                    .labels
                    .retain(|have| names.iter().any(|name| name == have) || (keeps_name && have == METRIC_NAME)),
                Some(Matching::Ignoring(names)) => row.labels.retain(|have| names.iter().all(|name| name != have)),
                None => {}
            }
            results.push(row);
        }
        Ok(results)
    }

    /// The series of a group on one side, merged into one.
    fn single(&self, rows: &mut [Row], places: &[usize], side: &str) -> Result<Row, QueryError> {
        let (first, others) = places.split_first().expect("BUG: a group without series");
        let mut row = take(rows, *first);
        for place in others.iter().rev() {
            if !self.merge(&mut row.values, &rows[*place].values)? {
                return Err(self.duplicate(side, &row.labels, &rows[*place].labels));
            }
        }
        Ok(row)
    }

    fn duplicate(&self, side: &str, a: &Labels, b: &Labels) -> QueryError {
        let list = |names: &[String]| names.join(", ");
        let mut operation = operator::symbol(self.binary.op).to_string();
        match &self.binary.matching {
            Some(Matching::On(names)) => operation.push_str(&format!(" on({})", list(names))),
            Some(Matching::Ignoring(names)) => operation.push_str(&format!(" ignoring({})", list(names))),
            None => {}
        }
        if let Some(group) = &self.binary.group {
            let side = if group.side == GroupSide::Left { "group_left" } else { "group_right" };
            operation.push_str(&format!(" {side}({})", list(&group.labels)));
        }
        QueryError::Evaluation(format!(
            "duplicate time series on the {side} side of `{operation}`: {} and {}",
            in_braces(a),
            in_braces(b)
        ))
    }

    fn grouped(&self, group: &Group, left: Vec<Row>, right: Vec<Row>) -> Result<Vec<Row>, QueryError> {
        let one_is_left = group.side == GroupSide::Right;
        let (many, one) = if one_is_left { (right, left) } else { (left, right) };
        let pairing = Pairing::new(&names(self.ctx.dialect, self.binary), &many, &one);
        let mut results = Vec::with_capacity(many.len());
        for (mut row, number) in many.into_iter().zip(&pairing.left) {
            (self.ctx.check)(0)?;
            let partners = &pairing.groups[*number].right;
            reset_name(self.binary, &mut row.labels);
            match partners.as_slice() {
                [] => {}
                [place] => {
                    let partner = &one[*place];
                    row.labels = self.joined_labels(group, &row.labels, &partner.labels);
                    self.put_together(&mut row.values, &partner.values, one_is_left)?;
                    results.push(row);
                }
                places => self.with_several(group, &row, places, &one, &mut results)?,
            }
        }
        Ok(results)
    }

    /// A series of the many side that has several partners: they must differ in the labels that are taken from them, or not overlap.
    fn with_several(
        &self,
        group: &Group,
        row: &Row,
        places: &[usize],
        one: &[Row],
        results: &mut Vec<Row>,
    ) -> Result<(), QueryError> {
        let one_is_left = group.side == GroupSide::Right;
        let mut partners: HashMap<Labels, usize> = HashMap::new();
        let mut merged: Vec<(Labels, Row)> = Vec::new();
        for place in places {
            let labels = self.joined_labels(group, &row.labels, &one[*place].labels);
            let next = merged.len();
            let at = *partners.entry(labels.clone()).or_insert(next);
            if at == next {
                (self.ctx.check)(row.values.bytes() + one[*place].values.bytes())?;
                merged.push((labels, one[*place].clone()));
            } else if !self.merge(&mut merged[at].1.values, &one[*place].values)? {
                let side = if one_is_left { "left" } else { "right" };
                return Err(self.duplicate(side, &merged[at].1.labels, &one[*place].labels));
            }
        }
        for (labels, partner) in merged {
            let mut values = row.values.clone();
            self.put_together(&mut values, &partner.values, one_is_left)?;
            results.push(Row { labels, values, drop_name: false });
        }
        Ok(())
    }

    fn put_together(&self, values: &mut Values, partners: &Values, swapped: bool) -> Result<(), QueryError> {
        match (operator::kind(self.binary.op), self.binary.op) {
            // A power may be a number where one of both is none.
            (_, BinaryOp::Power) => operator::compute(self.binary.op, self.ctx.spread(values)?, partners, swapped),
            (Kind::Arithmetic, op) => {
                let (values, partners) = values.meet(partners);
                operator::compute(op, values, partners, swapped);
            }
            // What is compared may be there where the other is not.
            _ if swapped => operator::zip(self.ctx.spread(values)?, partners, swapped, &self.function),
            _ => {
                let first = values.span().start;
                operator::zip(values.held_mut(), partners.iter().skip(first), swapped, &self.function);
            }
        }
        Ok(())
    }

    /// Puts the samples of `other` into `values`, unless they overlap.
    fn merge(&self, values: &mut Values, other: &Values) -> Result<bool, QueryError> {
        let samples = || other.samples().filter(|(_, value)| !value.is_nan());
        let overlaps = samples().filter(|(at, _)| !values[*at].is_nan()).count();
        if overlaps > OVERLAP_MAX || values.len() <= POINTS_TOO_FEW {
            return Ok(false);
        }
        let values = self.ctx.spread(values)?;
        samples().for_each(|(at, value)| values[at] = value);
        Ok(true)
    }

    /// The labels of the many side with those that are taken from the one side; labels that are matched on are the same anyway.
    fn joined_labels(&self, group: &Group, many: &Labels, one: &Labels) -> Labels {
        let mut labels = many.clone();
        let prefix = group.prefix.as_deref().unwrap_or_default();
        let is_matched = |name: &str| matches!(&self.binary.matching, Some(Matching::On(names)) if names.iter().any(|on| on == name));
        if matches!(group.labels.as_slice(), [all] if all == "*") {
            for (name, value) in one.iter().filter(|(name, _)| *name != METRIC_NAME && !is_matched(name)) {
                labels.set(&format!("{prefix}{name}"), value);
            }
            return labels;
        }
        for name in group.labels.iter().filter(|name| !is_matched(name)) {
            match one.get(name) {
                "" => labels.remove(name),
                value if name == METRIC_NAME => labels.set(name, value),
                value => labels.set(&format!("{prefix}{name}"), value),
            }
        }
        labels
    }
}

fn take(rows: &mut [Row], at: usize) -> Row {
    let empty = Row { labels: Labels::default(), values: Values::default(), drop_name: false };
    let labels = rows[at].labels.clone();
    Row { labels, ..std::mem::replace(&mut rows[at], empty) }
}
