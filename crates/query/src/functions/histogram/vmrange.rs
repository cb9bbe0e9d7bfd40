//! Buckets with the label `vmrange` → cumulative ones with `le`.
//!
//! 1. Each counts only its own values. To become cumulative, the buckets of a histogram are sorted by their upper ends; those without values are left out.
//! 2. Where a bucket does not begin at the end of the one before, an empty one with `le` at its begin is put in between.
//! 3. Behind the last comes one with `le="+Inf"`. Then every bucket gets the sum of those up to it.

use hashbrown::HashMap;
use model::BUCKET_BOUND;

use super::{super::Context, bound_of};
use crate::{api::QueryError, frame::Row, labels::Labels, values::Values, vmrange::LABEL};

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
        (ctx.check)(8 * ctx.grid.points * (2 * ranges.len() + 1))?;
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
    let push = |results: &mut Vec<Row>, bound: &str, values: Values| {
        let mut labels = labels.clone();
        labels.set(BUCKET_BOUND, bound);
        results.push(Row { labels, values, drop_name: false });
    };
    for range in ranges {
        let points = range.row.values.len();
        if range.start.0 != last_end && !by_bound.contains_key(&range.start.1) {
            by_bound.insert(range.start.1.clone(), results.len());
            push(&mut results, &range.start.1, vec![0.0; points].into());
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
        push(&mut results, "+Inf", vec![0.0; points].into());
    }
    for at in 0..results.first().map_or(0, |row| row.values.len()) {
        let mut count = 0.0;
        for row in &mut results {
            count += row.values[at].max(0.0);
            row.values.whole()[at] = count;
        }
    }
    results
}

fn add(values: &mut Values, others: &Values) {
    values.whole().iter_mut().zip(others).filter(|(_, other)| **other > 0.0).for_each(|(value, other)| {
        *value = value.max(0.0) + other;
    });
}
