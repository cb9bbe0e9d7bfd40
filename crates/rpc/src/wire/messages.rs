//! The messages of calls that are not hot, as protobuf. Field numbers are the format: none is ever used for another meaning. What the fields mean
//! stands at the types of `storage-api` that they are made of.

use prost::Message;

/// Nothing to say.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Nothing {}

/// A node introduces itself, or answers to that.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct HelloMessage {
    #[prost(uint32, tag = "1")]
    pub version: u32,
    #[prost(uint32, tag = "2")]
    pub role: u32,
    #[prost(fixed64, tag = "3")]
    pub epoch: u64,
    #[prost(bool, tag = "4")]
    pub takes_rows: bool,
    #[prost(bool, tag = "5")]
    pub answers: bool,
}

/// What became of a batch of rows.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct InsertReply {
    #[prost(bool, tag = "1")]
    pub stale: bool,
    #[prost(uint64, tag = "3")]
    pub samples: u64,
    #[prost(uint64, tag = "4")]
    pub dropped: u64,
    /// By number of the reason.
    #[prost(uint64, repeated, tag = "5")]
    pub refused: Vec<u64>,
    #[prost(uint32, repeated, tag = "6")]
    pub unknown: Vec<u32>,
    #[prost(uint32, repeated, tag = "7")]
    pub numbers: Vec<u32>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct TenantMessage {
    #[prost(uint32, tag = "1")]
    pub account: u32,
    #[prost(uint32, tag = "2")]
    pub project: u32,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct RangeMessage {
    #[prost(sint64, tag = "1")]
    pub min: i64,
    #[prost(sint64, tag = "2")]
    pub max: i64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct MatcherMessage {
    #[prost(string, tag = "1")]
    pub name: String,
    /// 0 `=`, 1 `!=`, 2 `=~`, 3 `!~`
    #[prost(uint32, tag = "2")]
    pub op: u32,
    #[prost(string, tag = "3")]
    pub value: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct MatcherSet {
    #[prost(message, repeated, tag = "1")]
    pub all_of: Vec<MatcherMessage>,
}

/// Ranges of which something is asked for each.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RangesMessage {
    #[prost(message, optional, tag = "1")]
    pub tenant: Option<TenantMessage>,
    #[prost(message, repeated, tag = "2")]
    pub ranges: Vec<RangeMessage>,
}

/// One for each of the ranges.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct VersionsMessage {
    #[prost(fixed64, repeated, tag = "1")]
    pub versions: Vec<u64>,
}

/// Which series are asked for, and what that may cost: part of every query.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Scope {
    #[prost(message, optional, tag = "1")]
    pub tenant: Option<TenantMessage>,
    #[prost(message, repeated, tag = "2")]
    pub any_of: Vec<MatcherSet>,
    #[prost(message, optional, tag = "3")]
    pub range: Option<RangeMessage>,
    #[prost(uint64, tag = "4")]
    pub series_max: u64,
    /// How long the answer is waited for; without limit if absent.
    #[prost(uint64, optional, tag = "5")]
    pub milliseconds_left: Option<u64>,
    /// Whether what is missing may be left out of the answer, which then says so.
    #[prost(bool, tag = "6")]
    pub may_lack: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct SelectMessage {
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    /// 0 all, 1 none, 2 those of `labels`
    #[prost(uint32, tag = "2")]
    pub labels_wanted: u32,
    #[prost(string, repeated, tag = "3")]
    pub labels: Vec<String>,
    /// 0 none, 1 raw, 2 heads between `cuts`
    #[prost(uint32, tag = "4")]
    pub samples_wanted: u32,
    /// The first cut, then distances.
    #[prost(sint64, repeated, tag = "5")]
    pub cuts: Vec<i64>,
    /// So many numbers next to each cut come one by one.
    #[prost(uint64, tag = "9")]
    pub cut_edges: u64,
    /// Whether no head stands for a block in which a value falls.
    #[prost(bool, tag = "10")]
    pub cut_rising: bool,
    #[prost(bool, tag = "6")]
    pub one_per_timestamp: bool,
    /// A bit for each shard; all if empty.
    #[prost(fixed64, repeated, tag = "7")]
    pub shards: Vec<u64>,
    #[prost(message, optional, tag = "8")]
    pub sub_plan: Option<SubPlanMessage>,
    /// Samples before this instant are not wanted, though series are found over the whole range.
    #[prost(sint64, optional, tag = "11")]
    pub samples_from: Option<i64>,
}

/// See `storage_api::SubPlan`, of which it is version 1.
#[derive(Clone, PartialEq, Message)]
pub struct SubPlanMessage {
    #[prost(uint32, tag = "1")]
    pub version: u32,
    #[prost(string, tag = "2")]
    pub dialect: String,
    #[prost(string, tag = "3")]
    pub rollup: String,
    #[prost(message, repeated, tag = "4")]
    pub numbers: Vec<NumbersMessage>,
    #[prost(string, repeated, tag = "5")]
    pub texts: Vec<String>,
    #[prost(sint64, tag = "6")]
    pub gap_max: i64,
    #[prost(message, optional, tag = "7")]
    pub grid: Option<WindowGridMessage>,
    #[prost(string, tag = "8")]
    pub aggregate: String,
    /// 0 each, 1 by, 2 without
    #[prost(uint32, tag = "9")]
    pub grouping: u32,
    #[prost(string, repeated, tag = "10")]
    pub labels: Vec<String>,
    #[prost(bool, tag = "11")]
    pub keeps_name: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct NumbersMessage {
    #[prost(double, repeated, tag = "1")]
    pub numbers: Vec<f64>,
}

/// See `storage_api::WindowGrid`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct WindowGridMessage {
    #[prost(sint64, tag = "1")]
    pub first_end: i64,
    #[prost(sint64, tag = "2")]
    pub step: i64,
    #[prost(uint64, tag = "3")]
    pub points: u64,
    #[prost(sint64, tag = "4")]
    pub line_start: i64,
    #[prost(sint64, tag = "5")]
    pub line_step: i64,
    #[prost(uint64, tag = "6")]
    pub line_points: u64,
    /// The length of windows, where it is fixed.
    #[prost(sint64, optional, tag = "7")]
    pub fixed: Option<i64>,
    /// How it follows from the distance of samples, where it is not.
    #[prost(message, optional, tag = "8")]
    pub spaced: Option<SpacingMessage>,
}

/// See `storage_api::WindowSpacing`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SpacingMessage {
    #[prost(sint64, optional, tag = "1")]
    pub said: Option<i64>,
    #[prost(sint64, tag = "2")]
    pub step: i64,
    #[prost(bool, tag = "3")]
    pub is_instant: bool,
    #[prost(sint64, tag = "4")]
    pub lookback: i64,
    #[prost(sint64, tag = "5")]
    pub staleness_min: i64,
    #[prost(bool, tag = "6")]
    pub may_adjust: bool,
    #[prost(bool, tag = "7")]
    pub within_lookback: bool,
}

/// The first message of an answer to Select; chunks follow.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SelectHead {
    #[prost(uint64, optional, tag = "1")]
    pub series_total: Option<u64>,
    #[prost(message, optional, tag = "2")]
    pub word: Option<WordMessage>,
}

/// See `storage_api::ShardWord`. A set of shards is a bit for each; none if empty.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct WordMessage {
    #[prost(fixed64, repeated, tag = "1")]
    pub holds: Vec<u64>,
    #[prost(fixed64, repeated, tag = "2")]
    pub complete: Vec<u64>,
    #[prost(message, repeated, tag = "3")]
    pub owned: Vec<OwnedMessage>,
}

/// Shards that a node has owned since the same moment.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct OwnedMessage {
    #[prost(fixed64, tag = "1")]
    pub token: u64,
    #[prost(fixed64, repeated, tag = "2")]
    pub shards: Vec<u64>,
}

/// See `storage_api::InsertReport`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ReportMessage {
    #[prost(fixed64, tag = "1")]
    pub insert_low: u64,
    #[prost(fixed64, tag = "2")]
    pub insert_high: u64,
    #[prost(fixed64, tag = "3")]
    pub token: u64,
    #[prost(uint64, tag = "4")]
    pub lease_milliseconds: u64,
    #[prost(fixed64, tag = "5")]
    pub map_version: u64,
    #[prost(fixed64, repeated, tag = "6")]
    pub owned: Vec<u64>,
    #[prost(fixed64, repeated, tag = "7")]
    pub missing_shards: Vec<u64>,
    #[prost(message, optional, tag = "8")]
    pub missing_range: Option<RangeMessage>,
    #[prost(bool, tag = "9")]
    pub leaving: bool,
    #[prost(fixed64, tag = "10")]
    pub knows_low: u64,
    #[prost(fixed64, tag = "11")]
    pub knows_high: u64,
    #[prost(fixed64, tag = "12")]
    pub founding: u64,
    #[prost(message, repeated, tag = "13")]
    pub passed: Vec<PassedMessage>,
    #[prost(fixed64, tag = "14")]
    pub life: u64,
    #[prost(uint64, tag = "15")]
    pub turn: u64,
}

/// See `storage_api::PassedOver`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PassedMessage {
    #[prost(fixed64, tag = "1")]
    pub change: u64,
    #[prost(fixed64, repeated, tag = "2")]
    pub shards: Vec<u64>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct ReportReply {
    #[prost(fixed64, tag = "1")]
    pub token: u64,
    #[prost(string, optional, tag = "2")]
    pub read_only: Option<String>,
    #[prost(fixed64, tag = "3")]
    pub node_low: u64,
    #[prost(fixed64, tag = "4")]
    pub node_high: u64,
    /// See `storage_api::Origin`.
    #[prost(fixed64, tag = "5")]
    pub origin: u64,
}

/// What a node offers to one that has lost its data.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct OfferMessage {
    #[prost(string, tag = "1")]
    pub snapshot: String,
    #[prost(uint64, repeated, tag = "2")]
    pub parts: Vec<u64>,
    #[prost(fixed64, repeated, tag = "3")]
    pub complete: Vec<u64>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct CopyMessage {
    #[prost(string, tag = "1")]
    pub snapshot: String,
    #[prost(uint64, tag = "2")]
    pub part: u64,
    #[prost(fixed64, repeated, tag = "3")]
    pub shards: Vec<u64>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct NamesMessage {
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    #[prost(uint64, tag = "2")]
    pub limit: u64,
    /// Only for values.
    #[prost(string, tag = "3")]
    pub label: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub texts: Vec<String>,
    /// Data of other nodes are missing.
    #[prost(bool, tag = "2")]
    pub lacks: bool,
    /// As in [`WordMessage`].
    #[prost(fixed64, repeated, tag = "3")]
    pub complete: Vec<u64>,
}

/// Names of metrics.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct NamesQuestion {
    #[prost(message, optional, tag = "1")]
    pub tenant: Option<TenantMessage>,
    #[prost(string, repeated, tag = "2")]
    pub names: Vec<String>,
}

/// How often they are asked for.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct NamesAskedMessage {
    #[prost(int64, tag = "1")]
    pub since_s: i64,
    #[prost(uint64, tag = "2")]
    pub entries: u64,
    #[prost(uint64, tag = "3")]
    pub bytes: u64,
    /// Of each name.
    #[prost(uint64, repeated, tag = "4")]
    pub requests: Vec<u64>,
    #[prost(int64, repeated, tag = "5")]
    pub last_s: Vec<i64>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Number {
    #[prost(uint64, tag = "1")]
    pub number: u64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Tenants {
    #[prost(message, repeated, tag = "1")]
    pub tenants: Vec<TenantMessage>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct MetadataQuestion {
    #[prost(message, optional, tag = "1")]
    pub tenant: Option<TenantMessage>,
    #[prost(string, optional, tag = "2")]
    pub metric: Option<String>,
    #[prost(uint64, tag = "3")]
    pub limit: u64,
    /// The answer may lack what a node knows that is away.
    #[prost(bool, tag = "4")]
    pub may_lack: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct MetadataMessage {
    #[prost(string, tag = "1")]
    pub metric: String,
    #[prost(string, tag = "2")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub help: String,
    #[prost(string, tag = "4")]
    pub unit: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct MetadataList {
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<MetadataMessage>,
    #[prost(bool, tag = "2")]
    pub lacks: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct CardinalityQuestion {
    /// Its tenant counts only with `of_tenant`.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    #[prost(bool, tag = "2")]
    pub of_tenant: bool,
    #[prost(uint64, tag = "3")]
    pub top: u64,
    #[prost(string, optional, tag = "4")]
    pub focus_label: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct CountMessage {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint64, tag = "2")]
    pub count: u64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct CardinalityMessage {
    #[prost(uint64, tag = "1")]
    pub series: u64,
    #[prost(uint64, tag = "2")]
    pub label_value_pairs: u64,
    #[prost(message, repeated, tag = "3")]
    pub series_by_metric: Vec<CountMessage>,
    #[prost(message, repeated, tag = "4")]
    pub series_by_label: Vec<CountMessage>,
    #[prost(message, repeated, tag = "5")]
    pub series_by_focus_value: Vec<CountMessage>,
    #[prost(message, repeated, tag = "6")]
    pub series_by_pair: Vec<CountMessage>,
    #[prost(message, repeated, tag = "7")]
    pub values_by_label: Vec<CountMessage>,
}
