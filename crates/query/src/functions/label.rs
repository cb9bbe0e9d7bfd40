//! Functions that change labels or choose series by them.

use std::collections::BTreeMap;

use model::METRIC_NAME;

use super::{
    ANY_NUMBER,
    Dialects::{Both, MetricsQl},
    Function,
    Run::Whole,
    args::Args,
    function,
    names::{is_label_name, unite_equal},
    pattern::Pattern,
};
use crate::{
    api::QueryError,
    frame::{ABSENT, Operand, Row},
    labels::Labels,
};

pub(super) const TABLE: &[Function] = &[
    function("alias", MetricsQl, (2, 2), Whole(alias)),
    function("drop_common_labels", MetricsQl, (1, ANY_NUMBER), Whole(drop_common_labels)),
    function("label_copy", MetricsQl, (1, ANY_NUMBER), Whole(label_copy)),
    function("label_del", MetricsQl, (1, ANY_NUMBER), Whole(label_del)),
    function("label_graphite_group", MetricsQl, (2, ANY_NUMBER), Whole(label_graphite_group)),
    function("label_join", Both, (3, ANY_NUMBER), Whole(label_join)),
    function("label_keep", MetricsQl, (1, ANY_NUMBER), Whole(label_keep)),
    function("label_lowercase", MetricsQl, (2, ANY_NUMBER), Whole(label_lowercase)),
    function("label_map", MetricsQl, (2, ANY_NUMBER), Whole(label_map)),
    function("label_match", MetricsQl, (3, 3), Whole(label_match)),
    function("label_mismatch", MetricsQl, (3, 3), Whole(label_mismatch)),
    function("label_move", MetricsQl, (1, ANY_NUMBER), Whole(label_move)),
    function("label_replace", Both, (5, 5), Whole(label_replace)),
    function("label_set", MetricsQl, (1, ANY_NUMBER), Whole(label_set)),
    function("label_transform", MetricsQl, (4, 4), Whole(label_transform)),
    function("label_uppercase", MetricsQl, (2, ANY_NUMBER), Whole(label_uppercase)),
    function("label_value", MetricsQl, (2, 2), Whole(label_value)),
    function("labels_equal", MetricsQl, (3, ANY_NUMBER), Whole(labels_equal)),
];

/// Changes the labels of every series of argument 0.
fn change(mut args: Args<'_>, change: impl Fn(&mut Labels)) -> Result<Operand, QueryError> {
    let mut rows = args.rows(0);
    for row in &mut rows {
        let bytes = row.labels.bytes();
        change(&mut row.labels);
        (args.ctx.check)(row.labels.bytes().saturating_sub(bytes))?;
    }
    Ok(Operand::Rows(rows))
}

/// Keeps the series of argument 0 of whose labels `keep` approves.
fn choose(mut args: Args<'_>, keep: impl Fn(&Labels) -> bool) -> Result<Operand, QueryError> {
    let mut rows = args.rows(0);
    rows.retain(|row| keep(&row.labels));
    Ok(Operand::Rows(rows))
}

/// The arguments from `from` on, two by two.
fn pairs(args: &mut Args<'_>, from: usize) -> Result<Vec<(String, String)>, QueryError> {
    let texts = args.texts_from(from)?;
    if texts.len() % 2 != 0 {
        return args.fail(format!("the number of string args must be even; got {}", texts.len()));
    }
    let mut texts = texts.into_iter();
    Ok(std::iter::from_fn(|| Some((texts.next()?, texts.next()?))).collect())
}

fn alias(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let name = args.text(1)?;
    change(args, |labels| labels.set(METRIC_NAME, &name))
}

fn label_set(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let pairs = pairs(&mut args, 1)?;
    change(args, |labels| pairs.iter().for_each(|(name, value)| labels.set(name, value)))
}

fn label_del(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let names = args.texts_from(1)?;
    change(args, |labels| labels.retain(|have| names.iter().all(|name| name != have)))
}

fn label_keep(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let names = args.texts_from(1)?;
    change(args, |labels| labels.retain(|have| names.iter().any(|name| name == have)))
}

fn label_copy(args: Args<'_>) -> Result<Operand, QueryError> {
    copy(args, false)
}

fn label_move(args: Args<'_>) -> Result<Operand, QueryError> {
    copy(args, true)
}

/// A label that is not there leaves its destination as it is.
fn copy(mut args: Args<'_>, removes: bool) -> Result<Operand, QueryError> {
    let pairs = pairs(&mut args, 1)?;
    change(args, |labels| {
        for (source, destination) in pairs.iter().filter(|(source, destination)| source != destination) {
            let value = labels.get(source).to_string();
            if !value.is_empty() {
                labels.set(destination, &value);
                if removes {
                    labels.remove(source);
                }
            }
        }
    })
}

fn label_lowercase(args: Args<'_>) -> Result<Operand, QueryError> {
    map_values(args, str::to_lowercase)
}

fn label_uppercase(args: Args<'_>) -> Result<Operand, QueryError> {
    map_values(args, str::to_uppercase)
}

fn map_values(mut args: Args<'_>, map: fn(&str) -> String) -> Result<Operand, QueryError> {
    let names = args.texts_from(1)?;
    change(args, |labels| {
        for name in &names {
            let value = map(labels.get(name));
            labels.set(name, &value);
        }
    })
}

fn label_map(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let name = args.text(1)?;
    let values: BTreeMap<String, String> = pairs(&mut args, 2)?.into_iter().collect();
    change(args, |labels| {
        if let Some(value) = values.get(labels.get(&name)) {
            labels.set(&name, value);
        }
    })
}

fn label_match(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let (name, pattern) = (args.text(1)?, Pattern::anchored(&args.text(2)?)?);
    choose(args, |labels| pattern.is_match(labels.get(&name)))
}

fn label_mismatch(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let (name, pattern) = (args.text(1)?, Pattern::anchored(&args.text(2)?)?);
    choose(args, |labels| !pattern.is_match(labels.get(&name)))
}

fn labels_equal(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let names = args.texts_from(1)?;
    choose(args, |labels| names.windows(2).all(|pair| labels.get(&pair[0]) == labels.get(&pair[1])))
}

fn label_join(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let (destination, separator, sources) = (args.text(1)?, args.text(2)?, args.texts_from(3)?);
    let is_promql = args.is_promql();
    if is_promql && !is_label_name(&destination) {
        return args.fail(format!("invalid destination label name in label_join(): {destination}"));
    }
    if let Some(source) = sources.iter().find(|source| is_promql && !is_label_name(source)) {
        return args.fail(format!("invalid source label name in label_join(): {source}"));
    }
    let join = |row: &mut Row| {
        let values: Vec<&str> = sources.iter().map(|source| row.labels.get(source)).collect();
        let value = values.join(&separator);
        set_label(row, &destination, &value);
    };
    let ctx = args.ctx;
    let rows = each_row(&mut args, join)?;
    if is_promql { unite_equal(ctx, rows).map(Operand::Rows) } else { Ok(Operand::Rows(rows)) }
}

fn label_replace(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let (destination, replacement, source) = (args.text(1)?, args.text(2)?, args.text(3)?);
    let pattern = args.text(4)?;
    let is_promql = args.is_promql();
    let pattern = match Pattern::anchored(&pattern) {
        Err(_) if is_promql => return args.fail(format!("invalid regular expression in label_replace(): {pattern}")),
        pattern => pattern?,
    };
    if is_promql && !is_label_name(&destination) {
        return args.fail(format!("invalid destination label name in label_replace(): {destination}"));
    }
    let ctx = args.ctx;
    let rows = each_row(&mut args, |row| {
        if let Some(value) = pattern.expand(row.labels.get(&source), &replacement) {
            set_label(row, &destination, &value);
        }
    })?;
    if is_promql { unite_equal(ctx, rows).map(Operand::Rows) } else { Ok(Operand::Rows(rows)) }
}

fn each_row(args: &mut Args<'_>, change: impl Fn(&mut Row)) -> Result<Vec<Row>, QueryError> {
    let mut rows = args.rows(0);
    for row in &mut rows {
        let bytes = row.labels.bytes();
        change(row);
        (args.ctx.check)(row.labels.bytes().saturating_sub(bytes))?;
    }
    Ok(rows)
}

/// A metric name that is given stays, also where the one before was to go.
fn set_label(row: &mut Row, name: &str, value: &str) {
    row.labels.set(name, value);
    if name == METRIC_NAME {
        row.drop_name = false;
    }
}

fn label_transform(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let (name, pattern, replacement) = (args.text(1)?, Pattern::new(&args.text(2)?)?, args.text(3)?);
    change(args, |labels| {
        let value = pattern.replace_all(labels.get(&name), &replacement);
        labels.set(&name, &value);
    })
}

fn label_value(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let (mut rows, name) = (args.rows(0), args.text(1)?);
    for row in &mut rows {
        (args.ctx.check)(0)?;
        let number = row.labels.get(&name).parse().unwrap_or(ABSENT);
        row.values.held_mut().iter_mut().filter(|value| !value.is_nan()).for_each(|value| *value = number);
        if !args.keeps_names {
            row.labels.remove(METRIC_NAME);
        }
    }
    Ok(Operand::Rows(rows))
}

fn label_graphite_group(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let places = (1..args.len()).map(|at| args.whole(at)).collect::<Result<Vec<i64>, QueryError>>()?;
    change(args, |labels| {
        let groups: Vec<&str> = labels.metric_name().split('.').collect();
        let chosen = places.iter().map(|place| usize::try_from(*place).ok().and_then(|place| groups.get(place)));
        let name = chosen.map(|group| group.copied().unwrap_or_default()).collect::<Vec<_>>().join(".");
        labels.set(METRIC_NAME, &name);
    })
}

fn drop_common_labels(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let mut rows = args.all_rows();
    let Some((first, others)) = rows.split_first() else { return Ok(Operand::Rows(rows)) };
    let is_common = |(name, value): &(&str, &str)| others.iter().all(|row| row.labels.get(name) == *value);
    let common: Vec<String> = first.labels.iter().filter(is_common).map(|(name, _)| name.to_string()).collect();
    for row in &mut rows {
        (args.ctx.check)(0)?;
        row.labels.retain(|have| common.iter().all(|name| name != have));
    }
    Ok(Operand::Rows(rows))
}
