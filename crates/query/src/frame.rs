//! Series on the grid of a query, between one step of its evaluation and the next.
//!
//! A place without a sample holds [`ABSENT`], the stale marker, which no series on a grid has as a value. In dialect `metricsql` every NaN means the
//! same; in dialect `promql` other NaN are values.

use crate::{labels::Labels, values::Values};

/// Stands where a series has no sample.
pub const ABSENT: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Whether a value is [`ABSENT`].
#[inline]
pub fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

/// The instants at which an expression is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grid {
    /// The first, in milliseconds.
    pub start: i64,
    /// The distance, positive also for a single instant.
    pub step: i64,
    /// How many there are, at least one.
    pub points: usize,
}

impl Grid {
    /// Instant `i`.
    pub fn at(&self, i: usize) -> i64 {
        self.start + self.step * i as i64
    }

    /// The last instant.
    pub fn end(&self) -> i64 {
        self.at(self.points - 1)
    }
}

/// A series on a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its labels, with the metric name.
    pub labels: Labels,
    /// Its values, one a point of the grid.
    pub values: Values,
    /// Dialect `promql`: the metric name is to go at the end (it still counts for matching until then).
    pub drop_name: bool,
}

/// What an expression comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A number at each point. Dialect `promql` keeps scalars apart from vectors; in `metricsql` it is a series without labels.
    Scalar(Vec<f64>),
    /// A text.
    Text(String),
    /// Series.
    Rows(Vec<Row>),
}
