//! Expression + [`storage_api::Select`] → result.
//!
//! Architecture invariant: knows nothing of HTTP and JSON, and nothing of how series are stored.

mod api;
mod frame;
mod functions;
mod labels;

pub use api::{ActiveQuery, Answer, AnswerSeries, Dialect, Points, Query, QueryError, Span, Stats, TraceNode, Value};
pub use labels::Labels;
