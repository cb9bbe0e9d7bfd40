//! Functions over rows on a grid: operators, transforms, aggregates, labels.
//!
//! 1. The engine evaluates the arguments of a call, an aggregate or an operator.
//! 2. [`call`] finds the function in the table of its file, checks how many arguments there are, and runs it over whole operands.
//! 3. [`aggregate`] and [`binary`] do the same for their kinds. What can be folded series by series ([`fold`]) need not come here.
//! 4. Dialect `promql` delays the removal of metric names ([`crate::frame::Row::drop_name`]); [`finish_names`] does it when all is evaluated.

mod aggregate;
mod annotations;
mod args;
mod binary;
mod date;
pub mod fold;
mod group;
mod histogram;
mod label;
mod math;
mod names;
mod number;
mod order;
mod pattern;
mod range;
mod series;
mod source;
mod stats;
mod text;

use metricsql::{Call, Span};

pub use aggregate::aggregate;
#[cfg(test)]
pub use aggregate::is_aggregate;
pub use annotations::Annotations;
pub use binary::binary;
pub use group::Groups;
pub use names::finish_names;
pub use order::keeps_order;
pub use source::{absent_labels, negate, union};

use crate::{
    api::{Dialect, QueryError},
    frame::{Grid, Operand, Row, is_absent},
    values::Values,
};
use args::Args;

/// What a function may know of the query that it is part of.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Whose meaning applies.
    pub dialect: Dialect,
    /// The instants of this part of the query; a subquery has its own.
    pub grid: Grid,
    /// The instants of the whole query.
    pub query_grid: Grid,
    /// When the range ends that `end()` speaks of, which may be behind the last instant.
    pub end: i64,
    /// Whether the whole query is a range query.
    pub is_range: bool,
    /// The time of day at the begin of the query, in milliseconds.
    pub now: i64,
    /// Where warnings and infos go.
    pub notes: &'a Annotations,
    /// Called with the bytes that are about to be held additionally; fails when the query's budget does not have them, or the query must end.
    pub check: &'a (dyn Fn(usize) -> Result<(), QueryError> + Sync),
}

impl Context<'_> {
    /// Whether a place on the grid holds a sample.
    #[inline]
    pub fn is_sample(&self, value: f64) -> bool {
        match self.dialect {
            Dialect::MetricsQl => !value.is_nan(),
            Dialect::PromQl => !is_absent(value),
        }
    }

    /// Whether a row holds a sample anywhere.
    fn has_samples(&self, row: &Row) -> bool {
        row.values.samples().any(|(_, value)| self.is_sample(value))
    }

    /// All values of a row, for any change.
    fn spread<'v>(&self, values: &'v mut Values) -> Result<&'v mut Vec<f64>, QueryError> {
        (self.check)(values.bytes_missing())?;
        Ok(values.whole())
    }
}

/// A function of the tables.
struct Function {
    name: &'static str,
    dialects: Dialects,
    /// How many arguments at least and at most.
    args: (usize, usize),
    run: Run,
}

/// Whose a function is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialects {
    Both,
    MetricsQl,
    PromQl,
}

impl Dialects {
    fn contain(self, dialect: Dialect) -> bool {
        match self {
            Self::Both => true,
            Self::MetricsQl => dialect == Dialect::MetricsQl,
            Self::PromQl => dialect == Dialect::PromQl,
        }
    }
}

/// How a function runs.
#[derive(Clone, Copy)]
enum Run {
    /// Value by value; the metric name goes.
    Map(fn(f64) -> f64),
    /// Value by value; in dialect `metricsql` the metric name stays.
    MapNamed(fn(f64) -> f64),
    /// On all arguments.
    Whole(fn(Args<'_>) -> Result<Operand, QueryError>),
}

/// As many arguments as are given.
const ANY_NUMBER: usize = usize::MAX;

const fn function(name: &'static str, dialects: Dialects, args: (usize, usize), run: Run) -> Function {
    Function { name, dialects, args, run }
}

const TABLES: &[&[Function]] = &[
    math::TABLE,
    date::TABLE,
    source::TABLE,
    label::TABLE,
    order::TABLE,
    series::TABLE,
    range::TABLE,
    histogram::TABLE,
];

fn find(dialect: Dialect, name: &str) -> Option<&'static Function> {
    let is_named = |function: &&Function| match dialect {
        Dialect::MetricsQl => function.name.eq_ignore_ascii_case(name),
        Dialect::PromQl => function.name == name,
    };
    TABLES.iter().flat_map(|table| table.iter()).filter(|function| function.dialects.contain(dialect)).find(is_named)
}

/// Whether a function is one of these: neither a rollup function nor an aggregate.
#[cfg(test)]
pub fn is_transform(dialect: Dialect, name: &str) -> bool {
    find(dialect, name).is_some()
}

/// Calls a function with its evaluated arguments.
pub fn call(ctx: &Context<'_>, call: &Call, span: Span, args: Vec<Operand>) -> Result<Operand, QueryError> {
    let function = find(ctx.dialect, &call.name)
        .ok_or_else(|| QueryError::Evaluation(format!("unknown function {:?}", call.name)))?;
    let mut args = Args::new(ctx, &call.name, span, &call.args, args);
    args.keeps_names = call.keep_metric_names;
    args.expect_count(function.args)?;
    match function.run {
        Run::Map(map) => math::map_values(args, false, map),
        Run::MapNamed(map) => math::map_values(args, true, map),
        Run::Whole(run) => run(args),
    }
}

#[cfg(test)]
mod tests;
