//! The nouns of the domain: tenant, label, series key and id, sample, range, matcher, and the one order of series.
//!
//! Architecture invariant: knows nothing of input or output, and of no wire or file format but the canonical series key, which is the same
//! in memory, in the log, in parts and between nodes.

mod clock;
mod columns;
mod id;
mod key;
mod matcher;
mod range;
mod sample;
mod tenant;

pub use clock::{Clock, SystemClock};
pub use columns::Columns;
pub use id::{SHARDS, SeriesId};
pub use key::{KeyBuilder, KeyReader, LabelBytes, LabelError, LabelPairs, MAX_KEY_BYTES, MalformedKey, SeriesKey};
pub use matcher::{MatchOp, Matcher, Selector};
pub use range::TimeRange;
pub use sample::{STALE_NAN_BITS, Sample, ValueKind, is_stale, sort_order_at_equal_time};
pub use tenant::{Tenant, TenantParseError};

/// The label that holds the name of the metric.
pub const METRIC_NAME: &str = "__name__";
/// The label that holds the upper bound of a histogram bucket; it stands last in a key, in numeric order.
pub const BUCKET_BOUND: &str = "le";
