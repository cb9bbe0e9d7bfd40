//! Expression + [`storage_api::Select`] → result.
//!
//! Architecture invariant: knows nothing of HTTP and JSON, and nothing of how series are stored.

mod answer;
mod api;
mod budget;
mod cache;
mod check;
mod dialect;
mod engine;
mod eval;
mod frame;
mod functions;
mod labels;
mod options;
mod registry;
mod rollup;
mod top;
mod trace;
mod values;
mod vmrange;

pub use api::{ActiveQuery, Answer, AnswerSeries, Dialect, Points, Query, QueryError, Span, Stats, TraceNode, Value};
pub use budget::Held;
pub use engine::{Engine, EngineStats};
pub use eval::{PartialAnswers, PartialStats};
pub use frame::{ABSENT, is_absent};
pub use labels::Labels;
pub use options::EngineOptions;
pub use top::{TopBy, TopQuery};
