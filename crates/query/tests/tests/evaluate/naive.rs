//! An evaluator that knows one instant at a time and is as slow as it is plain.

use std::collections::BTreeMap;

use model::is_stale;
use query::Dialect;

use super::{
    Series,
    expression::{Binary, Chosen, Expression, Selector, is_comparison, is_set},
};

pub type Labels = BTreeMap<String, String>;
pub type Vector = Vec<(Labels, f64)>;

const NAME: &str = "__name__";
const LOOKBACK: i64 = 300_000;
/// Multiples of one part in so many come out of additions exactly.
const EXACT_PARTS: f64 = 1_024.0;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The definition does not say what comes out.
    Open,
    /// The expression is to be refused.
    Refused,
}

pub struct Naive<'a> {
    pub dialect: Dialect,
    pub series: &'a [Series],
}

impl Naive<'_> {
    fn is_promql(&self) -> bool {
        self.dialect == Dialect::PromQl
    }

    /// The samples of an expression at an instant.
    pub fn at(&self, expression: &Expression, time: i64) -> Result<Vector, Outcome> {
        let mut vector = match expression {
            Expression::Number(number) => vec![(Labels::new(), *number)],
            Expression::Selector(selector) => self.selected(selector, time),
            Expression::Rollup { function, selector, window } => {
                self.rolled(function, self.raw(selector), time - selector.offset, *window)?
            }
            Expression::Subquery { function, inner, window, step } => {
                let mut series: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
                for at in (time - window + 1..=time).filter(|at| at % step == 0) {
                    self.at(inner, at)?
                        .into_iter()
                        .for_each(|(labels, value)| series.entry(labels).or_default().push((at, value)));
                }
                self.rolled(function, series.into_iter().collect(), time, *window)?
            }
            // Of a selector, absence has the labels that it asks for.
            Expression::Call { function: "absent", inner } if matches!(**inner, Expression::Selector(_)) => {
                return Err(Outcome::Open);
            }
            Expression::Call { function, inner } => self.called(function, self.at(inner, time)?),
            Expression::Aggregate { function, parameter, grouping, inner } => {
                self.aggregated(function, *parameter, grouping.as_ref(), self.at(inner, time)?)?
            }
            Expression::Binary(binary) => self.joined(binary, time)?,
        };
        if !self.is_promql() {
            vector.retain(|(_, value)| !value.is_nan());
        }
        vector.sort_by(|(a, _), (b, _)| a.cmp(b));
        match vector.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            true if self.is_promql() => Err(Outcome::Refused),
            true => Err(Outcome::Open),
            false => Ok(vector),
        }
    }

    fn raw(&self, selector: &Selector) -> Vec<Series> {
        let fits = |(labels, _): &&Series| {
            labels[NAME] == selector.metric && selector.value_of_i.is_none_or(|value| labels["i"] == value)
        };
        self.series.iter().filter(fits).cloned().collect()
    }

    /// The last sample of the lookback, unless it is a stale marker.
    fn selected(&self, selector: &Selector, time: i64) -> Vector {
        let time = time - selector.offset;
        let last = |(labels, samples): Series| {
            let last = samples.into_iter().rfind(|(at, _)| time - LOOKBACK < *at && *at <= time);
            last.filter(|(_, value)| !is_stale(*value)).map(|(_, value)| (labels, value))
        };
        self.raw(selector).into_iter().filter_map(last).collect()
    }

    fn rolled(&self, function: &str, series: Vec<Series>, end: i64, window: i64) -> Result<Vector, Outcome> {
        let keeps_name = match self.dialect {
            Dialect::PromQl => ["first_over_time", "last_over_time"].contains(&function),
            Dialect::MetricsQl => {
                ["avg_over_time", "min_over_time", "max_over_time", "first_over_time", "last_over_time"]
                    .contains(&function)
            }
        };
        let mut vector = Vector::new();
        for (mut labels, samples) in series {
            let inside =
                samples.into_iter().filter(|(at, value)| end - window < *at && *at <= end && !is_stale(*value));
            let inside: Vec<(i64, f64)> = inside.filter(|(_, value)| self.is_promql() || !value.is_nan()).collect();
            if let Some(value) = over_time(function, &inside, end, window) {
                if !keeps_name {
                    labels.remove(NAME);
                }
                vector.push((labels, value));
            }
        }
        Ok(vector)
    }

    fn called(&self, function: &str, vector: Vector) -> Vector {
        if function == "absent" {
            return if vector.is_empty() { vec![(Labels::new(), 1.0)] } else { Vec::new() };
        }
        let keeps_name = !self.is_promql() && ["ceil", "floor"].contains(&function);
        let of = |value: f64| match function {
            "abs" => value.abs(),
            "ceil" => value.ceil(),
            "floor" => value.floor(),
            "sgn" if value == 0.0 || value.is_nan() => value,
            "sgn" => value.signum(),
            _ => -value,
        };
        let call = |(mut labels, value): (Labels, f64)| {
            if !keeps_name {
                labels.remove(NAME);
            }
            (labels, of(value))
        };
        vector.into_iter().map(call).collect()
    }

    fn aggregated(
        &self,
        function: &str,
        parameter: Option<f64>,
        grouping: Option<&Chosen>,
        vector: Vector,
    ) -> Result<Vector, Outcome> {
        let mut groups: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
        for (labels, value) in vector {
            let group = grouping.map_or_else(Labels::new, |chosen| chosen_labels(chosen, &labels));
            groups.entry(group).or_default().push(value);
        }
        if function != "count_values" {
            let reduce = |(labels, values): (Labels, Vec<f64>)| (labels, reduced(function, parameter, values));
            return Ok(groups.into_iter().map(reduce).collect());
        }
        let mut counts: BTreeMap<Labels, f64> = BTreeMap::new();
        for (labels, values) in groups {
            for value in values {
                // The last digit of a text depends on the order of additions.
                if !value.is_finite() || (value * EXACT_PARTS).fract() != 0.0 {
                    return Err(Outcome::Open);
                }
                let mut labels = labels.clone();
                labels.insert("v".into(), format!("{value}"));
                *counts.entry(labels).or_default() += 1.0;
            }
        }
        Ok(counts.into_iter().collect())
    }

    fn joined(&self, binary: &Binary, time: i64) -> Result<Vector, Outcome> {
        let (left, right) = (self.at(&binary.left, time)?, self.at(&binary.right, time)?);
        let is_number = |side: &Expression| matches!(side, Expression::Number(_));
        let is_alone = |side: &Expression| !self.is_promql() && binary.matching.is_none() && side.labels().is_empty();
        if is_set(binary.op) {
            return Ok(set(binary, left, right));
        }
        // Dialect `metricsql` also compares with a series that has no sample at the instant.
        let sees_gaps = is_comparison(binary.op) && (binary.returns_bool || binary.op == "!=");
        if sees_gaps && !self.is_promql() && !is_number(&binary.left) && !is_number(&binary.right) {
            return Err(Outcome::Open);
        }
        // So do powers: those of 1, and those with an exponent of 0, are numbers whatever the other is.
        let makes_gaps = |side: &Expression, one: f64| matches!(side, Expression::Number(number) if *number != one);
        let fills_gaps = binary.op == "^" && !makes_gaps(&binary.left, 1.0) && !makes_gaps(&binary.right, 0.0);
        if fills_gaps && !self.is_promql() {
            return Err(Outcome::Open);
        }
        if is_number(&binary.left) || is_alone(&binary.left) {
            let Some((_, number)) = left.first().cloned() else { return Ok(Vec::new()) };
            // A comparison keeps the side that is no number; of two series without labels the left one.
            let keeps_right = is_number(&binary.left);
            let pair = |(labels, value): (Labels, f64)| self.pair(binary, labels, number, value, keeps_right);
            return Ok(right.into_iter().filter_map(pair).collect());
        }
        if is_number(&binary.right) || is_alone(&binary.right) {
            let Some((_, number)) = right.first().cloned() else { return Ok(Vec::new()) };
            return Ok(left
                .into_iter()
                .filter_map(|(labels, value)| self.pair(binary, labels, value, number, false))
                .collect());
        }
        self.matched(binary, left, &right)
    }

    fn matched(&self, binary: &Binary, left: Vector, right: &Vector) -> Result<Vector, Outcome> {
        let unique = |side: &Expression| match &binary.matching {
            None => true,
            Some(chosen) => chosen.of(&side.labels()) == side.labels(),
        };
        // Where a group may have several series, dialect `metricsql` looks at the whole range.
        if !self.is_promql() && (!unique(&binary.right) || (!binary.group_left && !unique(&binary.left))) {
            return Err(Outcome::Open);
        }
        if left.is_empty() || right.is_empty() {
            return Ok(Vec::new());
        }
        let signature = |labels: &Labels| signature(binary.matching.as_ref(), labels);
        let mut partners: BTreeMap<Labels, f64> = BTreeMap::new();
        for (labels, value) in right {
            if partners.insert(signature(labels), *value).is_some() {
                return Err(Outcome::Refused);
            }
        }
        let mut seen: BTreeMap<Labels, ()> = BTreeMap::new();
        let mut vector = Vector::new();
        for (labels, value) in left {
            let key = signature(&labels);
            let Some(other) = partners.get(&key) else { continue };
            if !binary.group_left && seen.insert(key, ()).is_some() {
                return Err(if is_comparison(binary.op) { Outcome::Open } else { Outcome::Refused });
            }
            let result = match &binary.matching {
                Some(chosen) if !binary.group_left => matched_labels(chosen, &labels),
                _ => labels,
            };
            vector.extend(self.pair(binary, result, value, *other, false));
        }
        Ok(vector)
    }

    /// What a pair of values comes to, and under which labels.
    fn pair(&self, binary: &Binary, mut labels: Labels, a: f64, b: f64, keeps_right: bool) -> Option<(Labels, f64)> {
        if !is_comparison(binary.op) || binary.returns_bool {
            labels.remove(NAME);
        }
        if !is_comparison(binary.op) {
            return Some((labels, arithmetic(binary.op, a, b)));
        }
        let holds = compare(binary.op, a, b);
        match binary.returns_bool {
            true => Some((labels, f64::from(u8::from(holds)))),
            false => holds.then_some((labels, if keeps_right { b } else { a })),
        }
    }
}

/// The labels that both sides must have in common.
fn signature(matching: Option<&Chosen>, labels: &Labels) -> Labels {
    let mut labels = matching.map_or_else(|| labels.clone(), |chosen| matched_labels(chosen, labels));
    labels.remove(NAME);
    labels
}

fn matched_labels(chosen: &Chosen, labels: &Labels) -> Labels {
    let keeps = |name: &str| match chosen {
        Chosen::These(names) => names.contains(name),
        Chosen::AllBut(names) => !names.contains(name),
    };
    labels.iter().filter(|(name, _)| keeps(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The labels of a group: never the metric name.
fn chosen_labels(chosen: &Chosen, labels: &Labels) -> Labels {
    signature(Some(chosen), labels)
}

fn set(binary: &Binary, left: Vector, right: Vector) -> Vector {
    let signature = |labels: &Labels| signature(binary.matching.as_ref(), labels);
    let has = |side: &Vector, labels: &Labels| side.iter().any(|(others, _)| signature(others) == signature(labels));
    match binary.op {
        "and" => left.into_iter().filter(|(labels, _)| has(&right, labels)).collect(),
        "unless" => left.into_iter().filter(|(labels, _)| !has(&right, labels)).collect(),
        _ => {
            let added: Vector = right.into_iter().filter(|(labels, _)| !has(&left, labels)).collect();
            left.into_iter().chain(added).collect()
        }
    }
}

fn arithmetic(op: &str, a: f64, b: f64) -> f64 {
    match op {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" => a / b,
        "%" => a % b,
        _ => a.powf(b),
    }
}

fn compare(op: &str, a: f64, b: f64) -> bool {
    match op {
        "==" => a == b,
        "!=" => a != b,
        ">" => a > b,
        "<" => a < b,
        ">=" => a >= b,
        _ => a <= b,
    }
}

fn reduced(function: &str, parameter: Option<f64>, mut values: Vec<f64>) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = || values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    match function {
        "sum" => values.iter().sum(),
        "avg" => mean,
        "min" => values.iter().copied().filter(|value| !value.is_nan()).reduce(f64::min).unwrap_or(f64::NAN),
        "max" => values.iter().copied().filter(|value| !value.is_nan()).reduce(f64::max).unwrap_or(f64::NAN),
        "count" => count,
        "group" => 1.0,
        "stddev" => variance().sqrt(),
        "stdvar" => variance(),
        _ => {
            // NaN is less than every number.
            values.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
            quantile(parameter.unwrap_or(f64::NAN), &values)
        }
    }
}

fn quantile(phi: f64, sorted: &[f64]) -> f64 {
    if phi < 0.0 {
        return f64::NEG_INFINITY;
    }
    if phi > 1.0 {
        return f64::INFINITY;
    }
    let rank = phi * (sorted.len() - 1) as f64;
    let (below, part) = (rank.floor() as usize, rank - rank.floor());
    sorted[below] * (1.0 - part) + sorted[(below + 1).min(sorted.len() - 1)] * part
}

fn over_time(function: &str, inside: &[(i64, f64)], end: i64, window: i64) -> Option<f64> {
    let values: Vec<f64> = inside.iter().map(|(_, value)| *value).collect();
    let (first, last) = (*values.first()?, *values.last()?);
    let pairs = || values.windows(2);
    Some(match function {
        "sum_over_time" => values.iter().sum(),
        "count_over_time" => values.len() as f64,
        "avg_over_time" => reduced("avg", None, values),
        "min_over_time" => reduced("min", None, values),
        "max_over_time" => reduced("max", None, values),
        "stddev_over_time" => reduced("stddev", None, values),
        "first_over_time" => first,
        "last_over_time" => last,
        "present_over_time" => 1.0,
        "changes" | "changes_prometheus" => {
            pairs().filter(|pair| pair[0] != pair[1] && !(pair[0].is_nan() && pair[1].is_nan())).count() as f64
        }
        "resets" => pairs().filter(|pair| pair[1] < pair[0]).count() as f64,
        "delta_prometheus" if values.len() < 2 => return None,
        "delta_prometheus" => last - first,
        "delta" => return extrapolated(inside, end, window, false),
        "increase" => return extrapolated(inside, end, window, true),
        _ => return Some(extrapolated(inside, end, window, true)? / (window as f64 / 1e3)),
    })
}

/// The change over a window, stretched to its borders where they are near enough, and for a counter not below zero.
fn extrapolated(inside: &[(i64, f64)], end: i64, window: i64, is_counter: bool) -> Option<f64> {
    let ((first_time, first), (last_time, last)) = (*inside.first()?, *inside.last()?);
    if inside.len() < 2 {
        return None;
    }
    let mut change = last - first;
    if is_counter {
        change += inside.windows(2).filter(|pair| pair[1].1 < pair[0].1).map(|pair| pair[0].1).sum::<f64>();
    }
    let seconds = |millis: i64| millis as f64 / 1e3;
    let sampled = seconds(last_time - first_time);
    let mean = sampled / (inside.len() - 1) as f64;
    let (mut before, mut behind) = (seconds(first_time - (end - window)), seconds(end - last_time));
    if before >= 1.1 * mean {
        before = mean / 2.0;
    }
    if is_counter && change > 0.0 && first >= 0.0 {
        before = before.min(sampled * (first / change));
    }
    if behind >= 1.1 * mean {
        behind = mean / 2.0;
    }
    Some(change * (sampled + before + behind) / sampled)
}
