//! What a query is and what comes out of it.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use model::{Matcher, Tenant};
use storage_api::{Cancel, Completeness, SelectError};

use crate::{budget::Held, labels::Labels};

/// Whose meaning an expression has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The answers of VictoriaMetrics 1.150.
    MetricsQl,
    /// The answers of Prometheus 3.
    PromQl,
}

/// When a query is evaluated. All in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Span {
    /// Once.
    Instant {
        /// When.
        time: i64,
        /// The step that defaults depend on.
        step: i64,
    },
    /// At `start`, `start + step`, … up to `end`.
    Range {
        /// The first time.
        start: i64,
        /// No time is after it.
        end: i64,
        /// Positive.
        step: i64,
    },
}

/// A query with all that its answer depends on.
#[derive(Debug, Clone)]
pub struct Query {
    /// Whose data.
    pub tenant: Tenant,
    /// The expression.
    pub text: String,
    /// Its meaning.
    pub dialect: Dialect,
    /// When it is evaluated.
    pub span: Span,
    /// How far an instant looks back for a sample: the request's, else the flag's, else the dialect's own rule.
    pub lookback: Option<Duration>,
    /// Dialect `metricsql`: what is newer than this is not answered; the request's, `None` for the flag's.
    pub latency_offset: Option<Duration>,
    /// Sets of matchers of which one must hold for every series that is read; none at all restricts nothing.
    pub extra_filters: Vec<Vec<Matcher>>,
    /// Digits behind the decimal point that values are rounded to.
    pub round_digits: Option<i32>,
    /// Whether the cache of results may be used.
    pub may_cache: bool,
    /// Whether a trace is wanted.
    pub trace: bool,
    /// At most so many series in the answer; 0 for all.
    pub limit: usize,
    /// When it must have ended.
    pub deadline: Option<Instant>,
    /// Ends it from outside.
    pub cancel: Cancel,
    /// Whether the answer may lack what nodes hold that do not answer.
    pub completeness: Completeness,
    /// Who asks, for the list of active queries.
    pub remote_addr: String,
}

impl Query {
    /// An expression and when it is evaluated; nothing else is asked for, no former result is used, and the answer must not lack anything.
    pub fn new(tenant: Tenant, text: impl Into<String>, dialect: Dialect, span: Span) -> Self {
        Self {
            tenant,
            text: text.into(),
            dialect,
            span,
            lookback: None,
            latency_offset: None,
            extra_filters: Vec::new(),
            round_digits: None,
            may_cache: false,
            trace: false,
            limit: 0,
            deadline: None,
            cancel: Cancel::default(),
            completeness: Completeness::required(),
            remote_addr: String::new(),
        }
    }
}

/// What a query comes to.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The value.
    pub value: Value,
    /// What it took.
    pub stats: Stats,
    /// What may be wrong with the query (dialect `promql`).
    pub warnings: Vec<String>,
    /// What may be better in the query (dialect `promql`).
    pub infos: Vec<String>,
    /// How it was done, if that was asked for.
    pub trace: Option<TraceNode>,
    /// Whether data of some nodes are missing; `None` where that cannot be.
    pub is_partial: Option<bool>,
    /// Counts what it holds among what all queries hold, as long as it is there.
    pub held: Option<Arc<Held>>,
}

/// The value of a query.
#[derive(Debug, Clone)]
pub enum Value {
    /// A number at a time (dialect `promql`).
    Scalar(i64, f64),
    /// A text at a time (dialect `promql`).
    Text(i64, String),
    /// One sample a series.
    Vector(Vec<AnswerSeries>),
    /// Many samples a series.
    Matrix(Vec<AnswerSeries>),
}

/// A series of an answer.
#[derive(Debug, Clone)]
pub struct AnswerSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its samples.
    pub points: Points,
}

/// Samples of a series of an answer.
#[derive(Debug, Clone)]
pub enum Points {
    /// On the grid of a range query, from about the first sample to the last: value `i` at `start + i · step`; absent ones ([`crate::frame::is_absent`]) are left out.
    Grid {
        /// Time of the first value.
        start: i64,
        /// Time between two.
        step: i64,
        /// The values.
        values: Vec<f64>,
    },
    /// With their own times.
    Own {
        /// The times, ascending.
        times: Arc<Vec<i64>>,
        /// As many values.
        values: Vec<f64>,
    },
}

/// What a query took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stats {
    /// Series that were read.
    pub series_fetched: u64,
    /// Samples that were read.
    pub samples_scanned: u64,
    /// Bytes that came from storage nodes.
    pub bytes_moved: u64,
    /// The most bytes that were held at once.
    pub memory_peak: u64,
    /// Time from begin to end.
    pub elapsed: Duration,
}

/// A step of how a query was done.
#[derive(Debug, Clone, Default)]
pub struct TraceNode {
    /// What was done.
    pub message: String,
    /// How long it took.
    pub elapsed: Duration,
    /// Of what it consisted.
    pub children: Vec<TraceNode>,
}

/// A query that runs now.
#[derive(Debug, Clone)]
pub struct ActiveQuery {
    /// What cancels it.
    pub id: u64,
    /// The expression.
    pub text: String,
    /// When it is evaluated.
    pub span: Span,
    /// Who asks.
    pub remote_addr: String,
    /// How long it runs already.
    pub elapsed: Duration,
}

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryError {
    /// The text is no expression; the message names line, column and what was expected.
    Parse(String),
    /// The expression cannot be evaluated; the message says what and why.
    Evaluation(String),
    /// It would pass a limit; the message names the limit, the figure, and the flag.
    Limit(String),
    /// Its time was over.
    Timeout(String),
    /// It was cancelled, or its client left.
    Cancelled,
    /// The data cannot be read now.
    Unavailable(String),
    /// Stored bytes are damaged, or something else that must not happen did.
    Internal(String),
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => write!(f, "the query was cancelled"),
            Self::Parse(what)
            | Self::Evaluation(what)
            | Self::Limit(what)
            | Self::Timeout(what)
            | Self::Unavailable(what)
            | Self::Internal(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for QueryError {}

impl From<SelectError> for QueryError {
    fn from(error: SelectError) -> Self {
        let text = error.to_string();
        match error {
            SelectError::Cancelled => Self::Cancelled,
            SelectError::DeadlinePassed => Self::Timeout(text),
            SelectError::TooManySeries { .. } | SelectError::TooCostly(_) => Self::Limit(text),
            SelectError::BadMatcher(_) => Self::Evaluation(text),
            SelectError::Unavailable(_) => Self::Unavailable(text),
            SelectError::Corrupt(_) => Self::Internal(text),
        }
    }
}
