//! A part of a query that a store may evaluate itself, as a plain type.
//!
//! 1. Who asks for series says with the request what it makes of them: a rollup on a line of windows, and perhaps an aggregate over groups.
//! 2. A store that knows all names of the plan answers with *partial results*: of each series its values on the line, or of each group the state of the
//!    aggregate, both as one column of numbers. One that does not, or that had better not, answers with samples as if there were no plan.
//! 3. The asker finishes what came: it merges the states of groups, or takes the rows as they are. Which of the two a chunk holds the chunk says.

/// The version of the meaning of all names in a plan.
pub const SUB_PLAN_VERSION: u32 = 1;
/// No plan has more windows.
pub const SUB_PLAN_POINTS_MAX: usize = 1 << 20;

/// Where the windows of a rollup lie: they end at `first_end`, `first_end + step`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WindowGrid {
    /// Time of the first window's end.
    pub first_end: i64,
    /// Distance between ends; 0 if all windows are the same one.
    pub step: i64,
    /// How many windows.
    pub points: usize,
    /// The first of the instants for which they stand; another one than `first_end` where windows are shifted.
    pub line_start: i64,
    /// Distance between the instants, positive.
    pub line_step: i64,
    /// How many instants.
    pub line_points: usize,
    /// How windows get their length.
    pub length: WindowLength,
}

/// How windows get their length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WindowLength {
    /// So many milliseconds.
    Fixed(i64),
    /// By how far the samples of each series lie apart.
    Spaced(WindowSpacing),
}

/// What the length of windows depends on that goes by the distance of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WindowSpacing {
    /// The length that was said.
    pub said: Option<i64>,
    /// The step of the query.
    pub step: i64,
    /// Whether the query is for a single instant.
    pub is_instant: bool,
    /// No sample counts for longer than this, if it is positive.
    pub lookback: i64,
    /// Every sample counts for as long as this.
    pub staleness_min: i64,
    /// Whether a window whose length was not said may be made longer.
    pub may_adjust: bool,
    /// Whether no length may pass `lookback` if it was not said.
    pub within_lookback: bool,
}

/// Which series fold into one result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Grouping {
    /// Each series stays for itself.
    Each,
    /// Those with equal values of these labels.
    By(Vec<String>),
    /// Those with equal values of all labels but these.
    Without(Vec<String>),
}

/// Rollup, windows, grouping and the partial state that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct SubPlan {
    /// See [`SUB_PLAN_VERSION`].
    pub version: u32,
    /// Whose meaning the names have: `metricsql` or `promql`.
    pub dialect: String,
    /// The rollup function, for example `rate`; empty for the value at an instant.
    pub rollup: String,
    /// Its arguments that are numbers: one for each instant, or one for all.
    pub numbers: Vec<Vec<f64>>,
    /// Its arguments that are texts.
    pub texts: Vec<String>,
    /// Behind a longer gap a counter begins anew; 0 if it does not.
    pub gap_max: i64,
    /// Where it is evaluated.
    pub grid: WindowGrid,
    /// The aggregate over the series of a group, for example `sum`; empty without one.
    pub aggregate: String,
    /// The groups.
    pub grouping: Grouping,
    /// Whether the metric name counts among the labels of a series.
    pub keeps_name: bool,
}
