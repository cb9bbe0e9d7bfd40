//! `count_values`: how often each value is there, in a series of its own a value.

use hashbrown::HashMap;
use metricsql::{Aggregate, Grouping};

use super::super::{
    args::Args,
    group::{Groups, group_labels},
    names::is_label_name,
    number::plain,
};
use crate::{
    api::QueryError,
    frame::{Row, is_absent},
    labels::Labels,
    values::Values,
};

pub(super) fn count_values(aggregate: &Aggregate, mut args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let ctx = args.ctx;
    let label = args.text(0)?;
    if args.is_promql() && !is_label_name(&label) {
        return args.fail(format!("invalid label name {}", metricsql::quote(&label)));
    }
    // The label takes the place of one that is grouped by; `without` it, dialect `promql` leaves it out.
    let is_left_out = matches!(&aggregate.grouping, Some(Grouping::Without(names)) if names.contains(&label));
    let grouping = match &aggregate.grouping {
        Some(Grouping::By(names)) => Some(Grouping::By(names.iter().filter(|name| **name != label).cloned().collect())),
        Some(Grouping::Without(names)) => {
            Some(Grouping::Without(names.iter().cloned().chain([label.clone()]).collect()))
        }
        None => None,
    };
    let limit = super::groups_max(aggregate);
    let mut groups = Groups::new(grouping.as_ref());
    let mut counts: HashMap<(usize, u64), usize> = HashMap::new();
    let mut results: Vec<Row> = Vec::new();
    for row in args.rows(1) {
        (ctx.check)(0)?;
        let Some(group) = groups.number(row.labels.iter(), limit) else { continue };
        for (at, value) in row.values.iter().enumerate().filter(|(_, value)| ctx.is_sample(**value)) {
            // All NaN have one text, and so one series.
            let bits = if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
            let key = if is_left_out && args.is_promql() { (group, 0) } else { (group, bits) };
            let result = match counts.get(&key) {
                Some(result) => *result,
                None => {
                    (ctx.check)(8 * ctx.grid.points + row.labels.bytes())?;
                    let mut labels: Labels = group_labels(grouping.as_ref(), &row.labels);
                    if !(is_left_out && args.is_promql()) {
                        labels.set(&label, &plain(*value));
                    }
                    results.push(Row { labels, values: Values::absent(ctx.grid.points), drop_name: false });
                    counts.insert(key, results.len() - 1);
                    results.len() - 1
                }
            };
            let count = &mut results[result].values.whole()[at];
            *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
        }
    }
    Ok(results)
}
