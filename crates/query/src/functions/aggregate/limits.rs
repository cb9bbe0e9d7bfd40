//! Some of the series of a group: `limitk`, `limit_ratio`.
//!
//! Dialect `metricsql`: the `k` series whose labels have the smallest hashes, so that the same come whatever else the query does. Dialect `promql`: the
//! first `k` at each point; or those whose labels' hash, as a share of the largest one, is below a ratio (or, for a negative one, in the other part). The
//! hashes are those of the rivals, so that the same series are chosen.

use metricsql::Aggregate;
use model::METRIC_NAME;
use xxhash_rust::xxh64::xxh64;

use super::{
    super::{args::Args, number::general},
    grouped,
    ranks::counts_promql,
    retain_samples,
};
use crate::{
    api::QueryError,
    frame::{ABSENT, Row, is_absent},
    labels::Labels,
};

pub(super) fn limitk_metricsql(aggregate: &Aggregate, mut args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let limit = usize::try_from(args.whole(0)?).unwrap_or(0);
    let rows = args.rows(1);
    let mut results = Vec::new();
    for mut group in grouped(args.ctx, aggregate, rows)? {
        group.rows.sort_by_cached_key(|row| hash_victoria(&row.labels));
        group.rows.truncate(limit);
        results.append(&mut group.rows);
    }
    Ok(results)
}

pub(super) fn limitk_promql(aggregate: &Aggregate, mut args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let rows = args.rows(1);
    let counts = counts_promql(&mut args, rows.len())?;
    let mut results = Vec::new();
    for mut group in grouped(args.ctx, aggregate, rows)? {
        let mut left = counts.clone();
        for row in &mut group.rows {
            let left = &mut left[row.values.span()];
            for (value, left) in row.values.held_mut().iter_mut().zip(left).filter(|(value, _)| !is_absent(**value)) {
                match left.checked_sub(1) {
                    Some(fewer) => *left = fewer,
                    None => *value = ABSENT,
                }
            }
        }
        results.append(&mut group.rows);
    }
    retain_samples(args.ctx, &mut results);
    Ok(results)
}

pub(super) fn limit_ratio(aggregate: &Aggregate, mut args: Args<'_>) -> Result<Vec<Row>, QueryError> {
    let ratios = args.scalar(0)?;
    if ratios.iter().any(|ratio| ratio.is_nan()) {
        return args.fail("Ratio value is NaN");
    }
    for (bound, extreme) in
        [(1.0, ratios.iter().copied().fold(1.0, f64::max)), (-1.0, ratios.iter().copied().fold(-1.0, f64::min))]
    {
        if extreme != bound {
            let (got, capped) = (general(extreme), general(bound));
            let message = format!("ratio value should be between -1 and 1, got {got}, capping to {capped}");
            args.ctx.notes.warn(args.span_of(0), message);
        }
    }
    let rows = args.rows(1);
    let mut results = Vec::new();
    for mut group in grouped(args.ctx, aggregate, rows)? {
        for row in &mut group.rows {
            let share = hash_prometheus(&row.labels) as f64 / u64::MAX as f64;
            let ratios = &ratios[row.values.span()];
            for (value, ratio) in row.values.held_mut().iter_mut().zip(ratios) {
                let ratio = ratio.clamp(-1.0, 1.0);
                let is_in = if ratio >= 0.0 { share < ratio } else { share >= 1.0 + ratio };
                if ratio == 0.0 || !is_in {
                    *value = ABSENT;
                }
            }
        }
        results.append(&mut group.rows);
    }
    retain_samples(args.ctx, &mut results);
    Ok(results)
}

/// A label's length in one byte, or in three behind the byte 255.
const LENGTH_LONG: usize = 255;

fn hash_prometheus(labels: &Labels) -> u64 {
    let mut bytes = Vec::with_capacity(labels.bytes());
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        if text.len() < LENGTH_LONG {
            bytes.push(text.len() as u8);
        } else {
            bytes.extend([LENGTH_LONG as u8, text.len() as u8, (text.len() >> 8) as u8, (text.len() >> 16) as u8]);
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    xxh64(&bytes, 0)
}

/// Labels that VictoriaMetrics has in front of all others, in its order: first what is like a job, then what is like an instance. Also with a capital first
/// letter.
const LABELS_FIRST: [&str; 24] = [
    "namespace",
    "ns",
    "datacenter",
    "dc",
    "environment",
    "env",
    "cluster",
    "service",
    "job",
    "model",
    "type",
    "sensor_type",
    "SensorType",
    "db",
    "instance",
    "host",
    "server",
    "pod",
    "node",
    "device",
    "tenant",
    "client",
    "name",
    "measurement",
];

fn hash_victoria(labels: &Labels) -> u64 {
    let place = |name: &str| {
        let is_same = |first: &&str| {
            first[..1].eq_ignore_ascii_case(name.get(..1).unwrap_or_default()) && Some(&first[1..]) == name.get(1..)
        };
        LABELS_FIRST.iter().position(is_same).unwrap_or(LABELS_FIRST.len())
    };
    let mut pairs: Vec<(&str, &str)> = labels.iter().filter(|(name, _)| *name != METRIC_NAME).collect();
    pairs.sort_by_key(|(name, _)| place(name));
    let mut bytes = labels.metric_name().as_bytes().to_vec();
    for (name, value) in pairs {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(value.as_bytes());
    }
    xxh64(&bytes, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rival_chooses_the_same_series() {
        let series = |instance: usize, kind: &str| -> Labels {
            let instance = format!("demo.promlabs.com:1000{instance}");
            let name = "demo_memory_usage_bytes";
            [("__name__", name), ("instance", &instance), ("job", "demo"), ("type", kind)].into_iter().collect()
        };
        let kinds = ["free", "used", "cached", "buffers"];
        let mut all: Vec<(usize, &str)> = (0..3).flat_map(|instance| kinds.map(|kind| (instance, kind))).collect();
        all.sort_by_key(|(instance, kind)| hash_victoria(&series(*instance, kind)));
        assert_eq!(all[..3], [(2, "used"), (2, "free"), (0, "free")]);
    }
}
