//! Buckets with the label `vmrange`: 18 of equal ratio for every power of ten from 1e-9 to 1e18, one below and one above.
//!
//! 1. Each counts only its own values. To become cumulative, the buckets of a histogram are sorted by their upper ends; those without values are left out.
//! 2. Where a bucket does not begin at the end of the one before, an empty one with `le` at its begin is put in between.
//! 3. Behind the last comes one with `le="+Inf"`. Then every bucket gets the sum of those up to it.

use std::sync::OnceLock;

use hashbrown::HashMap;
use model::BUCKET_BOUND;

use super::{super::Context, bound_of};
use crate::{api::QueryError, frame::Row, labels::Labels};

/// The label that names a bucket's range.
pub(in super::super) const LABEL: &str = "vmrange";

const LOWEST_POWER: i32 = -9;
const HIGHEST_POWER: i32 = 18;
const BUCKETS_A_POWER: i32 = 18;
const INNER: usize = ((HIGHEST_POWER - LOWEST_POWER) * BUCKETS_A_POWER) as usize;

/// The bucket of a value; values that are negative or no numbers have none.
pub(in super::super) fn bucket_of(value: f64) -> Option<usize> {
    if value.is_nan() || value < 0.0 {
        return None;
    }
    let place = (value.log10() - f64::from(LOWEST_POWER)) * f64::from(BUCKETS_A_POWER);
    if place < 0.0 {
        return Some(0);
    }
    if place >= INNER as f64 {
        return Some(INNER + 1);
    }
    let number = place as usize;
    // A power of ten belongs to the bucket below.
    let is_border = place == number as f64 && number > 0;
    Some(if is_border { number } else { number + 1 })
}

/// The text of a bucket.
pub(in super::super) fn range_of(bucket: usize) -> String {
    let bounds = bounds();
    match bucket {
        0 => format!("0...{}", bounds[0]),
        bucket if bucket > INNER => format!("{}...+Inf", exponential(10f64.powi(HIGHEST_POWER))),
        bucket => format!("{}...{}", bounds[bucket - 1], bounds[bucket]),
    }
}

fn bounds() -> &'static [String] {
    static BOUNDS: OnceLock<Vec<String>> = OnceLock::new();
    BOUNDS.get_or_init(|| {
        // Multiplied up as the rival does, since the last digit depends on it.
        let ratio = 10f64.powf(1.0 / f64::from(BUCKETS_A_POWER));
        let first = 10f64.powi(LOWEST_POWER);
        let bounds = std::iter::successors(Some(first), |bound| Some(bound * ratio));
        bounds.take(INNER + 1).map(exponential).collect()
    })
}

/// Three digits behind the point, an exponent with a sign and two digits at least.
fn exponential(value: f64) -> String {
    let text = format!("{value:.3e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// A series with the values of a range.
struct Range {
    start: (f64, String),
    end: (f64, String),
    row: Row,
}

/// Makes cumulative buckets with `le` of those with `vmrange`; buckets with `le` stay, other series go.
pub(in super::super) fn to_le(ctx: &Context<'_>, rows: Vec<Row>) -> Result<Vec<Row>, QueryError> {
    let mut results = Vec::new();
    let mut histograms: Vec<(Labels, Vec<Range>)> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for mut row in rows {
        let text = row.labels.get(LABEL).to_string();
        if text.is_empty() {
            if !row.labels.get(BUCKET_BOUND).is_empty() {
                results.push(row);
            }
            continue;
        }
        let Some((start, end)) = text.split_once("...") else { continue };
        let (Some(from), Some(to)) = (bound_of(start), bound_of(end)) else { continue };
        row.labels.retain(|name| name != LABEL && name != BUCKET_BOUND);
        let next = histograms.len();
        let place = *places.entry(row.labels.clone()).or_insert(next);
        if place == next {
            histograms.push((row.labels.clone(), Vec::new()));
        }
        histograms[place].1.push(Range { start: (from, start.into()), end: (to, end.into()), row });
    }
    for (labels, ranges) in histograms {
        (ctx.check)(8 * ctx.grid.points * (ranges.len() + 1))?;
        results.append(&mut cumulative(&labels, ranges));
    }
    Ok(results)
}

fn cumulative(labels: &Labels, mut ranges: Vec<Range>) -> Vec<Row> {
    ranges.retain(|range| range.row.values.iter().any(|value| *value > 0.0));
    ranges.sort_by(|a, b| a.end.0.total_cmp(&b.end.0));
    let mut results: Vec<Row> = Vec::with_capacity(2 * ranges.len());
    let mut by_bound: HashMap<String, usize> = HashMap::new();
    let mut last_end = 0.0;
    let push = |results: &mut Vec<Row>, bound: &str, values: Vec<f64>| {
        let mut labels = labels.clone();
        labels.set(BUCKET_BOUND, bound);
        results.push(Row { labels, values, drop_name: false });
    };
    for range in ranges {
        let points = range.row.values.len();
        if range.start.0 != last_end && !by_bound.contains_key(&range.start.1) {
            by_bound.insert(range.start.1.clone(), results.len());
            push(&mut results, &range.start.1, vec![0.0; points]);
        }
        last_end = range.end.0;
        match by_bound.get(&range.end.1) {
            // Ranges that end at the same bound are one bucket.
            Some(place) => add(&mut results[*place].values, &range.row.values),
            None => {
                by_bound.insert(range.end.1.clone(), results.len());
                push(&mut results, &range.end.1, range.row.values);
            }
        }
    }
    if let Some(points) = results.last().map(|row| row.values.len())
        && last_end != f64::INFINITY
    {
        push(&mut results, "+Inf", vec![0.0; points]);
    }
    for at in 0..results.first().map_or(0, |row| row.values.len()) {
        let mut count = 0.0;
        for row in &mut results {
            count += row.values[at].max(0.0);
            row.values[at] = count;
        }
    }
    results
}

fn add(values: &mut [f64], others: &[f64]) {
    values.iter_mut().zip(others).filter(|(_, other)| **other > 0.0).for_each(|(value, other)| {
        *value = value.max(0.0) + other;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_find_their_ranges() {
        let range = |value| bucket_of(value).map(range_of);
        assert_eq!(range(0.0).as_deref(), Some("0...1.000e-09"));
        assert_eq!(range(1.0).as_deref(), Some("8.799e-01...1.000e+00"));
        assert_eq!(range(1.05).as_deref(), Some("1.000e+00...1.136e+00"));
        assert_eq!(range(42.0).as_deref(), Some("4.084e+01...4.642e+01"));
        assert_eq!(range(1e19).as_deref(), Some("1.000e+18...+Inf"));
        assert_eq!((range(-1.0), range(f64::NAN)), (None, None));
    }
}
