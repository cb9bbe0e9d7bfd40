//! Answers to `Select`: which series, and their samples.

mod chunk;
mod head_source;
mod names;
mod plan;
mod shards;
mod stream;
mod times;
mod union;

pub use head_source::HeadSource;
pub use names::{count_series, label_names, label_values, series_count, tenants};
pub use plan::{Plan, failed, widen};
pub use shards::shards;
pub use stream::Stream;
