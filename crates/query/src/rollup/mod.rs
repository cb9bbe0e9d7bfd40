//! Rollups: from the samples of a series in windows to values on a grid.
//!
//! 1. A call of a rollup function becomes a [`Recipe`] (`table`): which functions see each window, what is done to the column before, what it keeps of the name.
//! 2. A [`Layout`] says where the windows lie (`window`).
//! 3. A [`Roller`] takes one series after the other through both (`roller`, `prepare`, `spread`).

mod edges;
mod heads;
mod kernels;
mod local;
mod metricsql;
mod outputs;
mod prepare;
mod promql;
mod recipe;
mod roller;
mod spread;
mod sums;
mod table;
mod window;

pub use heads::cuts;
pub use local::{Kind as LocalKind, Reach, kind as local_kind};
pub use promql::{Extended, Function as PromqlFunction};
pub use recipe::{Cleaning, Recipe, Tag, What};
pub use roller::{Emit, Roller, output_labels};
pub use table::{Arguments, is_rollup, needs_samples_before, series_argument, takes_numbers};
pub use window::{Layout, Length, Spacing};
