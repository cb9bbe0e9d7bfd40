//! The three traits that hold the system together, and the plain types that they exchange.
//!
//! - [`Insert`] takes rows and says when they are as durable as was asked; [`InsertNumbered`] takes them from a node that resolved their series.
//! - [`Select`] gives series and their samples.
//! - [`Admin`] is everything that an operator asks of a store; [`CountNames`] knows what is asked of it.
//!
//! Only the binary knows which parts stand behind them: a local store, a client of other nodes, or a ring of such.
//!
//! Architecture invariant: knows nothing of who implements the traits, of files, of HTTP, or of expressions.

mod admin;
mod copying;
mod insert;
mod names;
mod numbered;
mod report;
mod select;
mod sub_plan;
mod word;

pub use admin::{
    Admin, AdminError, CacheStats, Cardinality, CardinalityRequest, DeleteRequest, MetadataEntry, NamedCount,
    StoreStats, Verification,
};
pub use copying::{CopyPiece, GiveShards, TakeCopies, TakeCopy};
pub use insert::{
    Batch, EncodedSeries, Encoding, Insert, InsertError, Inserted, MetricMetadata, Refusal, Refusals, Resolved,
};
pub use names::{Asked, CountNames, NamesAsked};
pub use numbered::{
    InsertNumbered, NO_NUMBER, NumberedBatch, NumberedOutcome, NumberedRow, SeriesName, check_of, check_with,
};
pub use report::{InsertReport, Missing, Origin, PassedOver, ReportAnswer, ReportTurn, TakeReports};
pub use select::{
    Budget, Cancel, Completeness, Cuts, Effort, LabelsWanted, NamesRequest, PlacedHead, SamplesWanted, Select,
    SelectError, SelectRequest, SeriesChunk, SeriesData, SeriesStream, ShardSet, ValuesRequest, Version,
};
pub use sub_plan::{Grouping, SUB_PLAN_POINTS_MAX, SUB_PLAN_VERSION, SubPlan, WindowGrid, WindowLength, WindowSpacing};
pub use word::ShardWord;

/// A boxed future, as the traits must be usable behind `dyn`.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
