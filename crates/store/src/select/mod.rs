//! Answers to `Select`: which series, and their samples.

mod chunk;
mod count;
mod head_source;
mod names;
mod plan;
mod search;
mod shards;
mod stream;
mod times;
mod union;

pub use count::{count_series, series_count};
pub use head_source::HeadSource;
pub use names::{label_names, label_values, tenants};
pub use plan::Plan;
pub use search::{failed, visible, widen};
pub use shards::shards;
pub use stream::Stream;
