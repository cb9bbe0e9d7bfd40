//! A part of a query that a store may evaluate itself, as a plain type.

/// Where the windows of a rollup lie: at `start`, `start + step`, … up to `end`, each reaching back `window` milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WindowGrid {
    /// Time of the first window's end.
    pub start: i64,
    /// Time of the last window's end.
    pub end: i64,
    /// Distance between windows, positive.
    pub step: i64,
    /// Length of a window.
    pub window: i64,
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

/// Rollup, window grid, grouping and the partial state that is asked for. A store may ignore it and answer with raw columns.
#[derive(Debug, Clone, PartialEq)]
pub struct SubPlan {
    /// Version of the meaning of the names below.
    pub version: u32,
    /// The rollup function, for example `rate`.
    pub rollup: String,
    /// Its numeric arguments.
    pub arguments: Vec<f64>,
    /// Where it is evaluated.
    pub grid: WindowGrid,
    /// The aggregate over the series of a group, for example `sum`; empty without one.
    pub aggregate: String,
    /// The groups.
    pub grouping: Grouping,
}
