//! Rows in: what a receiver hands to a store.
//!
//! A row carries the *raw bytes* of its labels as the sender encoded them. A store remembers which series such bytes mean and asks the
//! [`Encoding`] to parse them only when it sees them for the first time.

use std::fmt;

use model::{KeyBuilder, Sample, Tenant, ValueKind};

use crate::BoxFuture;

/// Takes rows.
pub trait Insert: Send + Sync {
    /// Stores a batch; resolves when all that was not refused is as durable as the store was told to make it, and visible to every query sent
    /// afterwards. On an error nothing of the batch is acknowledged (some of it may be stored all the same).
    fn insert<'a>(&'a self, batch: Batch<'a>) -> BoxFuture<'a, Result<Inserted, InsertError>>;
}

/// Rows of one request for one tenant.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// Whose rows they are.
    pub tenant: Tenant,
    /// Reads the label bytes.
    pub encoding: &'a dyn Encoding,
    /// What `series` points into.
    pub bytes: &'a [u8],
    /// The rows, each with a run of `samples`; the runs follow one another without gaps.
    pub series: &'a [EncodedSeries],
    /// The samples of all rows.
    pub samples: &'a [Sample],
    /// What senders tell about metrics.
    pub metadata: &'a [MetricMetadata<'a>],
}

impl Batch<'_> {
    /// Its spans must lie inside its bytes and samples.
    pub fn check(&self) -> Result<(), InsertError> {
        let mut end = 0;
        for series in self.series {
            let labels_end = u64::from(series.labels_start) + u64::from(series.labels_len);
            if labels_end > self.bytes.len() as u64 || series.samples_end < end {
                return Err(InsertError::Invalid("a row's spans lie outside of the batch".into()));
            }
            end = series.samples_end;
        }
        if end as usize != self.samples.len() {
            return Err(InsertError::Invalid("rows and samples do not add up".into()));
        }
        Ok(())
    }
}

/// One row: where its label bytes and its samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodedSeries {
    /// Start of the label bytes in [`Batch::bytes`].
    pub labels_start: u32,
    /// Length of the label bytes.
    pub labels_len: u32,
    /// End of the row's samples in [`Batch::samples`]; they start where those of the row before end.
    pub samples_end: u32,
    /// What the values are.
    pub kind: ValueKind,
}

/// What a sender tells about a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricMetadata<'a> {
    /// The metric family.
    pub metric: &'a str,
    /// `counter`, `gauge`, …
    pub kind: &'a str,
    /// The help text.
    pub help: &'a str,
    /// The unit.
    pub unit: &'a str,
}

/// Reads label bytes of one protocol, with the request's extra labels, limits and relabeling applied.
pub trait Encoding: Sync {
    /// What the meaning of label bytes depends on besides the bytes: the protocol and the request's extra labels. Equal bytes under equal scopes
    /// and generations mean the same series.
    fn scope(&self) -> &[u8];

    /// Number of the configuration (limits, relabeling) that [`Encoding::resolve`] obeys; it changes with a reload.
    fn generation(&self) -> u32;

    /// Parses label bytes into `labels`, which is empty at the call.
    fn resolve(&self, bytes: &[u8], labels: &mut KeyBuilder) -> Resolved;
}

/// What label bytes mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved {
    /// The series with the labels that were written.
    Keep,
    /// No series, by the operator's wish (relabeling); its samples count as taken.
    Drop,
    /// No series, for a reason; its samples are refused.
    Refuse(Refusal),
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a sample was not taken. The name is what `X-Basalt-Refused` and `vm_rows_ignored_total` say.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Refusal {
            $($(#[$doc])* $variant,)*
        }

        impl Refusal {
            /// All reasons, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name of the reason.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

refusals! {
    /// Older than `-retentionPeriod` or `-maxBackfillAge` allow.
    TooOld = "small_timestamp",
    /// Newer than `-futureRetention` allows.
    TooNew = "big_timestamp",
    /// A new series over `-storage.maxHourlySeries`.
    HourlySeries = "hourly_limit_exceeded",
    /// A new series over `-storage.maxDailySeries`.
    DailySeries = "daily_limit_exceeded",
    /// More labels than `-maxLabelsPerTimeseries`.
    TooManyLabels = "too_many_labels",
    /// A label name longer than `-maxLabelNameLen`.
    LongLabelName = "too_long_label_name",
    /// A label value longer than `-maxLabelValueLen`.
    LongLabelValue = "too_long_label_value",
    /// A label that is not UTF-8.
    InvalidUtf8 = "invalid_utf8",
    /// A label that stands there twice, or without a name.
    InvalidLabels = "invalid_labels",
    /// No labels.
    NoLabels = "no_labels",
    /// An exemplar; the store keeps none.
    Exemplar = "exemplar",
    /// A native histogram; the store keeps none.
    Histogram = "native_histogram",
    /// A line or a point that cannot be read.
    Malformed = "malformed",
    /// A point that says what came since the last one; the store keeps totals.
    DeltaTemporality = "delta_temporality",
}

const REFUSALS: usize = Refusal::ALL.len();

/// Counts of refused samples by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refusals([u64; REFUSALS]);

impl Refusals {
    /// Counts `samples` more.
    pub fn add(&mut self, reason: Refusal, samples: u64) {
        self.0[reason as usize] += samples;
    }

    /// Counts all of `other` more.
    pub fn merge(&mut self, other: &Self) {
        for (mine, more) in self.0.iter_mut().zip(other.0) {
            *mine += more;
        }
    }

    /// Samples refused for `reason`.
    pub fn get(&self, reason: Refusal) -> u64 {
        self.0[reason as usize]
    }

    /// Samples refused for any reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons that occurred.
    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        Refusal::ALL.iter().map(|reason| (*reason, self.get(*reason))).filter(|(_, samples)| *samples > 0)
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inserted {
    /// Samples that are kept from now on.
    pub samples: u64,
    /// Samples that relabeling dropped.
    pub dropped: u64,
    /// Samples that were refused.
    pub refused: Refusals,
}

/// Why a batch is not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InsertError {
    /// The store takes no writes at the moment; come again later.
    ReadOnly(String),
    /// The rows could not be made durable; come again later.
    NotDurable(String),
    /// Too much work waits already; come again later.
    Overloaded(String),
    /// The store is closing.
    Closed,
    /// The batch breaks the rules of this interface.
    Invalid(String),
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadOnly(why) => write!(f, "the storage is in read-only mode: {why}"),
            Self::NotDurable(why) => write!(f, "the rows could not be made durable: {why}"),
            Self::Overloaded(why) => write!(f, "too much work waits already: {why}"),
            Self::Closed => write!(f, "the storage is closing"),
            Self::Invalid(why) => write!(f, "wrong batch: {why}"),
        }
    }
}

impl std::error::Error for InsertError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_reason() {
        let mut refused = Refusals::default();
        refused.add(Refusal::TooOld, 2);
        let mut more = Refusals::default();
        more.add(Refusal::TooOld, 1);
        more.add(Refusal::Exemplar, 5);
        refused.merge(&more);
        assert_eq!(refused.iter().collect::<Vec<_>>(), [(Refusal::TooOld, 3), (Refusal::Exemplar, 5)]);
        assert_eq!(refused.total(), 8);
    }

    #[test]
    fn reasons_have_names_of_their_own() {
        let mut names: Vec<_> = Refusal::ALL.iter().map(|reason| reason.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), REFUSALS);
    }
}
