//! Operators between series in dialect `promql`.
//!
//! 1. One side is the *one*, the other the *many*: the left side, or that which `group_right` names. At any time, series of the one side must differ in
//!    their signature; the labels that both sides must have in common.
//! 2. Without grouping, series of the many side must differ in it too; with grouping, the results must differ in their labels.
//! 3. Every series of the many side is put together with those of its group of the one side, point by point. A fill value stands for a partner that is
//!    not there.
//! 4. Results that differ in nothing become one series.

use hashbrown::HashMap;
use metricsql::{Binary, GroupSide, Matching};
use model::METRIC_NAME;

use super::{
    super::{
        Context,
        group::Names,
        names::{drop_metadata, unite_equal},
        text::in_braces,
    },
    operator::{self, Kind},
    pair_function,
    pairing::{Matched, Pairing},
    signature,
};
use crate::{
    api::QueryError,
    frame::{ABSENT, Row, is_absent},
    labels::{Labels, LabelsWriter},
};

/// Series and a number a point; `swapped` if the numbers are the left side.
pub(super) fn with_scalar(
    ctx: &Context<'_>,
    binary: &Binary,
    mut rows: Vec<Row>,
    scalar: &[f64],
    swapped: bool,
) -> Result<Vec<Row>, QueryError> {
    let filters = operator::kind(binary.op) == Kind::Comparison && !binary.returns_bool;
    for row in &mut rows {
        (ctx.check)(0)?;
        row.drop_name |= !filters && !binary.keep_metric_names;
        let scalar = &scalar[row.values.span()];
        if operator::kind(binary.op) == Kind::Arithmetic {
            operator::compute_samples(binary.op, row.values.held_mut(), scalar, swapped);
            continue;
        }
        let function = pair_function(binary);
        // A filter keeps the sample, on whichever side it stands.
        let keeps = |a: f64, b: f64| match function(a, b) {
            result if swapped && filters && !is_absent(result) => b,
            result => result,
        };
        operator::zip_samples(row.values.held_mut(), scalar, swapped, keeps);
    }
    if filters {
        rows.retain(|row| !row.values.iter().all(|value| is_absent(*value)));
    }
    Ok(rows)
}

pub(super) fn join(
    ctx: &Context<'_>,
    binary: &Binary,
    left: Vec<Row>,
    right: Vec<Row>,
) -> Result<Vec<Row>, QueryError> {
    let one_is_left = binary.group.as_ref().is_some_and(|group| group.side == GroupSide::Right);
    let (many, one) = if one_is_left { (right, left) } else { (left, right) };
    let (fill_many, fill_one) =
        if one_is_left { (binary.fill.right, binary.fill.left) } else { (binary.fill.left, binary.fill.right) };
    if (many.is_empty() || one.is_empty()) && fill_many.is_none() && fill_one.is_none() {
        return Ok(Vec::new());
    }
    let pairing = Pairing::new(&signature(binary.matching.as_ref()), &many, &one);
    let join = Join { ctx, binary, one_is_left, fill_many, fill_one, pairing };
    join.check_one_side(&many, &one)?;
    join.check_many_side(&many, &one)?;
    let results = join.results(many, &one)?;
    unite_equal(ctx, results)
}

/// Series of the many side with their partners on the one side; a fill value is one that has no place.
type Pairs = Vec<(usize, Option<usize>)>;

struct Join<'a> {
    ctx: &'a Context<'a>,
    binary: &'a Binary,
    one_is_left: bool,
    fill_many: Option<f64>,
    fill_one: Option<f64>,
    /// The many side is the left of it.
    pairing: Pairing,
}

impl Join<'_> {
    /// At no time two series of the one side have the same signature. It does not matter where one of the sides is empty and nothing fills it.
    fn check_one_side(&self, many: &[Row], one: &[Row]) -> Result<(), QueryError> {
        let has_fill = self.fill_many.is_some() || self.fill_one.is_some();
        let mut many_is_there = None;
        for group in self.pairing.groups.iter().filter(|group| group.right.len() > 1) {
            (self.ctx.check)(0)?;
            let mut met: Vec<Option<usize>> = vec![None; self.ctx.grid.points];
            for place in &group.right {
                for (at, _) in one[*place].values.samples() {
                    let Some(before) = met[at].replace(*place) else { continue };
                    let many_is_there = many_is_there.get_or_insert_with(|| presence(many, self.ctx.grid.points));
                    if has_fill || many_is_there[at] {
                        return Err(self.duplicate(&one[before], &one[*place]));
                    }
                }
            }
        }
        Ok(())
    }

    fn duplicate(&self, a: &Row, b: &Row) -> QueryError {
        let mut both = [in_braces(&a.labels), in_braces(&b.labels)];
        both.sort();
        let side = if self.one_is_left { "left" } else { "right" };
        let group = in_braces(&self.match_labels(&a.labels));
        QueryError::Evaluation(format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{}, {}];\
             many-to-many matching not allowed: matching labels must be unique on one side",
            both[0], both[1]
        ))
    }

    /// At no time two results of a group are the same, also if they are filtered away.
    fn check_many_side(&self, many: &[Row], one: &[Row]) -> Result<(), QueryError> {
        for group in self.pairing.groups.iter().filter(|group| group.left.len() > 1) {
            (self.ctx.check)(0)?;
            let there = presence_of(group.right.iter().map(|place| &one[*place]), self.ctx.grid.points);
            if self.binary.group.is_none() {
                let met = |at: usize| there[at] || self.fill_one.is_some();
                let times = group.left.iter().flat_map(|place| many[*place].values.samples()).map(|(at, _)| at);
                if self.meets_twice(times.filter(|at| met(*at))) {
                    let message =
                        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
                    return Err(QueryError::Evaluation(message.into()));
                }
                continue;
            }
            let partner_is_there = |partner: Option<usize>, at: usize| match partner {
                Some(place) => !is_absent(one[place].values[at]),
                None => !there[at],
            };
            for pairs in self.pairs_by_result(group, many, one)?.values().filter(|pairs| pairs.len() > 1) {
                (self.ctx.check)(0)?;
                let times = pairs.iter().flat_map(|(place, partner)| {
                    many[*place].values.samples().map(|(at, _)| at).filter(|at| partner_is_there(*partner, *at))
                });
                if self.meets_twice(times) {
                    let message = "multiple matches for labels: grouping labels must ensure unique matches";
                    return Err(QueryError::Evaluation(message.into()));
                }
            }
        }
        Ok(())
    }

    fn meets_twice(&self, mut times: impl Iterator<Item = usize>) -> bool {
        let mut met = vec![false; self.ctx.grid.points];
        times.any(|at| std::mem::replace(&mut met[at], true))
    }

    /// The pairs of a group by the labels of what comes of them; a fill value is the partner that has no place.
    fn pairs_by_result(
        &self,
        group: &Matched,
        many: &[Row],
        one: &[Row],
    ) -> Result<HashMap<Labels, Pairs>, QueryError> {
        let mut pairs: HashMap<Labels, Pairs> = HashMap::with_capacity(group.left.len());
        for place in &group.left {
            let own = &many[*place].labels;
            let fill = self.fill_one.map(|_| None);
            for partner in group.right.iter().copied().map(Some).chain(fill) {
                let labels = match partner {
                    Some(partner) => self.result_labels(own, &one[partner].labels),
                    None => self.result_labels(own, &self.match_labels(own)),
                };
                (self.ctx.check)(labels.bytes())?;
                pairs.entry(labels).or_default().push((*place, partner));
            }
        }
        Ok(pairs)
    }

    fn results(&self, many: Vec<Row>, one: &[Row]) -> Result<Vec<Row>, QueryError> {
        let points = self.ctx.grid.points;
        let mut results = Vec::with_capacity(many.len());
        // Where fill values stand for the many side, its presence is asked for when its values are gone already.
        let many_is_there: Vec<Vec<bool>> = if self.fill_many.is_some() {
            let members = |group: &Matched| presence_of(group.left.iter().map(|place| &many[*place]), points);
            self.pairing.groups.iter().map(members).collect()
        } else {
            Vec::new()
        };
        for (row, group) in many.into_iter().zip(&self.pairing.left) {
            (self.ctx.check)(0)?;
            let partners = &self.pairing.groups[*group].right;
            if let Some(fill) = self.fill_one {
                let there = presence_of(partners.iter().map(|place| &one[*place]), points);
                let partner = self.match_labels(&row.labels);
                (self.ctx.check)(8 * points)?;
                let filled = there.iter().map(|is_there| if *is_there { ABSENT } else { fill });
                let filled = Row { labels: partner, values: filled.collect(), drop_name: false };
                results.push(self.result(row.clone(), &filled));
            }
            let Some((last, others)) = partners.split_last() else { continue };
            for place in others {
                (self.ctx.check)(8 * points)?;
                results.push(self.result(row.clone(), &one[*place]));
            }
            results.push(self.result(row, &one[*last]));
        }
        if let Some(fill) = self.fill_many {
            for (row, group) in one.iter().zip(&self.pairing.right) {
                (self.ctx.check)(8 * points)?;
                let filled = many_is_there[*group].iter().map(|is_there| if *is_there { ABSENT } else { fill });
                let filled = Row { labels: self.match_labels(&row.labels), values: filled.collect(), drop_name: false };
                results.push(self.result(filled, row));
            }
        }
        results.retain(|row| !row.values.iter().all(|value| is_absent(*value)));
        Ok(results)
    }

    /// A series of the many side put together with one of the one side.
    fn result(&self, mut many: Row, one: &Row) -> Row {
        let (values, partners) = many.values.meet(&one.values);
        if operator::kind(self.binary.op) == Kind::Arithmetic {
            operator::compute_samples(self.binary.op, values, partners, self.one_is_left);
        } else {
            operator::zip_samples(values, partners, self.one_is_left, pair_function(self.binary));
        }
        many.labels = self.result_labels(&many.labels, &one.labels);
        many.drop_name |= self.binary.returns_bool && !self.binary.keep_metric_names;
        many
    }

    fn result_labels(&self, many: &Labels, one: &Labels) -> Labels {
        let mut labels = many.clone();
        if operator::kind(self.binary.op) == Kind::Arithmetic && !self.binary.keep_metric_names {
            drop_metadata(&mut labels);
        }
        let Some(group) = &self.binary.group else {
            match &self.binary.matching {
                Some(Matching::On(names)) => labels.retain(|have| names.iter().any(|name| name == have)),
                Some(Matching::Ignoring(names)) => labels.retain(|have| names.iter().all(|name| name != have)),
                None => {}
            }
            return labels;
        };
        let prefix = group.prefix.as_deref().unwrap_or_default();
        if let [all] = group.labels.as_slice()
            && all == "*"
        {
            let own = |name: &str| matches!(&self.binary.matching, Some(Matching::On(names)) if names.iter().any(|on| on == name));
            for (name, value) in one.iter().filter(|(name, _)| *name != METRIC_NAME && !own(name)) {
                labels.set(&format!("{prefix}{name}"), value);
            }
            return labels;
        }
        for name in &group.labels {
            labels.set(&format!("{prefix}{name}"), one.get(name));
        }
        labels
    }

    fn match_labels(&self, labels: &Labels) -> Labels {
        let names = match &self.binary.matching {
            Some(Matching::On(names)) => Names::only(names),
            matching => signature(matching.as_ref()),
        };
        let mut writer = LabelsWriter::default();
        names.write(labels.iter(), &mut writer);
        writer.finish()
    }
}

fn presence(rows: &[Row], points: usize) -> Vec<bool> {
    presence_of(rows.iter(), points)
}

fn presence_of<'r>(rows: impl Iterator<Item = &'r Row>, points: usize) -> Vec<bool> {
    let mut there = vec![false; points];
    for row in rows {
        row.values.samples().for_each(|(at, _)| there[at] = true);
    }
    there
}
