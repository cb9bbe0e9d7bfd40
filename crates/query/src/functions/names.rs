//! Metric names that go, and series that become one by it.

use hashbrown::HashMap;
use model::METRIC_NAME;

use super::Context;
use crate::{
    api::{Dialect, QueryError},
    frame::Row,
    labels::Labels,
};

const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

/// Removes the metric names that are to go (dialect `promql`), when all is evaluated. Series that are equal then are united if at no time both have a
/// sample; else the query fails.
pub fn finish_names(ctx: &Context<'_>, mut rows: Vec<Row>) -> Result<Vec<Row>, QueryError> {
    let mut has_dropped = false;
    for row in rows.iter_mut().filter(|row| row.drop_name) {
        drop_metadata(&mut row.labels);
        row.drop_name = false;
        has_dropped = true;
    }
    if has_dropped { unite_equal(ctx, rows) } else { Ok(rows) }
}

/// Labels that say what a metric is, and not of what it is one.
const METADATA: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

/// Removes the metric name, and what else says what the metric is.
pub(super) fn drop_metadata(labels: &mut Labels) {
    labels.retain(|name| !METADATA.contains(&name));
}

/// Whether a label may have this name (dialect `promql`): any text that is UTF-8 and not empty.
pub(super) fn is_label_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|letter| metricsql::stray_byte(letter).is_some())
}

/// The metric name of a row goes: now (dialect `metricsql`), or when all is evaluated.
pub(super) fn drop_name(dialect: Dialect, row: &mut Row) {
    match dialect {
        Dialect::MetricsQl => row.labels.remove(METRIC_NAME),
        Dialect::PromQl => row.drop_name = true,
    }
}

/// Unites series with equal labels (dialect `promql`); fails if two of them have a sample at the same time.
pub(super) fn unite_equal(ctx: &Context<'_>, rows: Vec<Row>) -> Result<Vec<Row>, QueryError> {
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    let mut united: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        let next = united.len();
        let at = *places.entry(row.labels.clone()).or_insert(next);
        if at == next {
            united.push(row);
            continue;
        }
        let have = &mut united[at];
        have.drop_name |= row.drop_name;
        let mine = ctx.spread(&mut have.values)?;
        for (at, value) in row.values.samples().filter(|(_, value)| ctx.is_sample(*value)) {
            if ctx.is_sample(mine[at]) {
                return Err(QueryError::Evaluation(SAME_LABELS.into()));
            }
            mine[at] = value;
        }
    }
    Ok(united)
}
