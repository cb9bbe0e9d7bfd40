//! What is done with each series.

use super::{
    metricsql::{Function as MetricsqlFunction, Numbers},
    promql::{Extended, Function as PromqlFunction},
    spread::Spread,
};

/// What is done with each series.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What comes out of it, one or more series for each.
    pub outputs: Vec<Output>,
    /// What happens to the column before windows are cut.
    pub change: Change,
    /// Which samples are left out first.
    pub cleaning: Cleaning,
    /// Whether the metric name stays.
    pub keeps_name: bool,
    /// Numbers among the arguments.
    pub numbers: Numbers,
    /// Whether a window without a length of its own may be longer than the step.
    pub may_adjust: bool,
    /// Whether it is `default_rollup`.
    pub is_default: bool,
}

/// A series that comes out.
#[derive(Debug, Clone)]
pub struct Output {
    /// The value of the label `rollup`, if it gets one.
    pub tag: Option<&'static str>,
    /// What sees the windows.
    pub what: What,
}

/// What sees windows.
#[derive(Debug, Clone)]
pub enum What {
    /// A function of dialect `metricsql`.
    Metricsql(MetricsqlFunction),
    /// A function of dialect `promql`.
    Promql(PromqlFunction),
    /// One whose windows look beyond their borders.
    Extended(Extended),
    /// A smoothed instant selector with its lookback.
    SmoothedInstant(i64),
    /// One that makes several series.
    Spread(Spread),
}

/// What happens to a column before windows are cut. All of dialect `metricsql`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// A counter's falls are taken out. Behind a gap longer than this, if it is positive, counting begins anew.
    Counter {
        /// See above.
        gap_max: i64,
        /// What happens then.
        then: Then,
    },
    /// Values are replaced, counter or not.
    Replace(Then),
}

/// What replaces values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Keep,
    /// The step to the next value.
    Steps,
    /// The step to the next value by second.
    StepsPerSecond,
    /// The seconds since the sample before.
    Intervals,
}

/// Which samples are left out before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleaning {
    /// None.
    Nothing,
    /// Stale markers.
    Stale,
    /// Every NaN but stale markers.
    NanNotStale,
    /// Every NaN.
    Nan,
}

/// What tells an output of a series from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag<'a> {
    /// There is only one.
    None,
    /// This label has this value.
    Label(&'a str, &'a str),
}
