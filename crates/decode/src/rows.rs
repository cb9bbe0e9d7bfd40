//! Rows of all protocols but the first remote write: one writer, one encoding of labels.
//!
//! 1. A protocol's reader pushes the labels of a row as it finds them, then its samples, then closes the row. Labels become *pairs*: length,
//!    name, length, value, with varints for lengths, in the order in which they came. The store hashes these bytes and parses them once.
//! 2. Labels that many rows share (tags of a line, attributes of a resource) are pushed once as a *prefix* and copied before each row.
//! 3. Whatever goes wrong inside a unit that stands and falls together, the writer is set back to the mark before it.
//! 4. A full writer is handed to a [`Sink`], which takes the rows away, so that a body of any length needs the memory of one batch. Short bodies
//!    that unfold to very much (a tag set with thousands of fields) meet a hard limit.

mod labels;
mod skipped;

use std::{fmt, ops::Range, str};

use model::{Sample, ValueKind};
use storage_api::{EncodedSeries, MetricMetadata};

use crate::{Malformed, proto::put_varint};

pub use labels::{Duplicates, ExtraLabels, ExtraLabelsError, PairLabels};
pub use skipped::Skipped;

/// From here on a writer is full.
const FULL_BYTES: usize = 4 << 20;
const FULL_SAMPLES: usize = 64 << 10;
const FULL_METADATA: usize = 8 << 10;
/// No unit between two looks at whether the writer is full may need more.
const BYTES_MAX: usize = 64 << 20;
const SAMPLES_MAX: usize = 8 << 20;

/// The name under which a metric's name stands among its labels.
pub(crate) const NAME: &[u8] = b"__name__";

/// Rows under construction, in memory that is used again.
#[derive(Default)]
pub struct Rows {
    bytes: Vec<u8>,
    series: Vec<EncodedSeries>,
    pub(crate) samples: Vec<Sample>,
    metadata: Vec<Place>,
    texts: Vec<u8>,
    /// Where the labels of the open row begin.
    open: usize,
    over: bool,
}

/// Where the texts of an entry stand.
#[derive(Debug, Clone)]
struct Place {
    kind: &'static str,
    metric: Range<usize>,
    help: Range<usize>,
    unit: Range<usize>,
}

/// A state that a writer can be set back to.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    bytes: usize,
    series: usize,
    samples: usize,
}

/// Takes the rows of a full writer away.
pub trait Sink: Send {
    /// Why it cannot.
    type Error: Send;

    /// Takes all rows; the writer is empty afterwards.
    fn flush(&mut self, rows: &mut Rows) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Why a body was not read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError<E> {
    /// It breaks its protocol.
    Malformed(Malformed),
    /// The sink failed.
    Sink(E),
}

impl<E> From<Malformed> for ReadError<E> {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

/// Reads a protocol of lines.
pub trait LineReader: Send {
    /// Appends the rows of a line, which has no end of line and is not blank.
    fn read(&mut self, line: &[u8], rows: &mut Rows) -> Result<(), Malformed>;

    /// Appends what was held back until more lines came; there are no more.
    fn end(&mut self, _rows: &mut Rows) {}
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({} series, {} samples)", self.series.len(), self.samples.len())
    }
}

impl Rows {
    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.series.clear();
        self.samples.clear();
        self.metadata.clear();
        self.texts.clear();
        self.open = 0;
        self.over = false;
    }

    /// Adds a label to the open row. One with an empty value counts as absent.
    pub(crate) fn label(&mut self, name: &[u8], value: &[u8]) {
        if value.is_empty() || !self.fits(name.len() + value.len()) {
            return;
        }
        put_pair(&mut self.bytes, name, value);
    }

    /// Adds a label whose value consists of two parts.
    pub(crate) fn label_of_two(&mut self, name: &[u8], start: &[u8], end: &[u8]) {
        let value_len = start.len() + end.len();
        if value_len == 0 || !self.fits(name.len() + value_len) {
            return;
        }
        put_varint(&mut self.bytes, name.len() as u64);
        self.bytes.extend_from_slice(name);
        put_varint(&mut self.bytes, value_len as u64);
        self.bytes.extend_from_slice(start);
        self.bytes.extend_from_slice(end);
    }

    /// Adds a part of a pair that stands in the body as it is written here.
    #[inline]
    pub(crate) fn encoded(&mut self, part: &[u8]) {
        if self.fits(part.len()) {
            self.bytes.extend_from_slice(part);
        }
    }

    /// Turns the labels of the open row into a prefix for rows, and opens a row without any.
    pub(crate) fn prefix(&mut self) -> Range<usize> {
        let prefix = self.open..self.bytes.len();
        self.open = self.bytes.len();
        prefix
    }

    /// Adds the labels of a prefix to the open row.
    pub(crate) fn repeat(&mut self, prefix: Range<usize>) {
        if self.fits(prefix.len()) {
            self.bytes.extend_from_within(prefix);
        }
    }

    #[inline]
    fn fits(&mut self, more: usize) -> bool {
        self.over |= self.bytes.len() + more > BYTES_MAX;
        !self.over
    }

    /// Adds a sample to the open row.
    pub(crate) fn sample(&mut self, time: i64, value: f64) {
        if self.samples.len() >= SAMPLES_MAX {
            self.over = true;
            return;
        }
        self.samples.push(Sample { time, value });
    }

    /// Closes the open row; without samples it is forgotten.
    pub(crate) fn finish(&mut self) -> Result<(), Malformed> {
        if self.over {
            return Err(Malformed { what: "it unfolds to more labels or samples than are taken at once", at: 0 });
        }
        let samples_before = self.series.last().map_or(0, |series| series.samples_end as usize);
        if self.samples.len() == samples_before {
            self.bytes.truncate(self.open);
            return Ok(());
        }
        self.series.push(EncodedSeries {
            labels_start: self.open as u32,
            labels_len: (self.bytes.len() - self.open) as u32,
            samples_end: self.samples.len() as u32,
            kind: ValueKind::Float,
        });
        self.open = self.bytes.len();
        Ok(())
    }

    /// Tells about a metric. Texts that are not UTF-8 are left away.
    pub(crate) fn metadata(&mut self, kind: &'static str, metric: &[u8], help: &[u8], unit: &[u8]) {
        if metric.is_empty() || self.texts.len() + metric.len() + help.len() + unit.len() > BYTES_MAX {
            return;
        }
        let mut put = |text: &[u8]| {
            let start = self.texts.len();
            self.texts.extend_from_slice(text);
            start..self.texts.len()
        };
        let place = Place { kind, metric: put(metric), help: put(help), unit: put(unit) };
        self.metadata.push(place);
    }

    /// The state between two units.
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.open, series: self.series.len(), samples: self.samples.len() }
    }

    /// Forgets the rows behind a mark.
    pub fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.series.truncate(mark.series);
        self.samples.truncate(mark.samples);
        self.open = mark.bytes;
        self.over = false;
    }

    /// Whether it is time to hand the rows on.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= FULL_BYTES
            || self.samples.len() >= FULL_SAMPLES
            || self.metadata.len() >= FULL_METADATA
            || self.texts.len() >= FULL_BYTES
    }

    /// Whether there is nothing to hand on.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty() && self.metadata.is_empty()
    }

    /// What the rows point into.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The closed rows.
    pub fn series(&self) -> &[EncodedSeries] {
        &self.series
    }

    /// The samples of all rows.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// What was told about metrics.
    pub fn metadata_entries(&self) -> Vec<MetricMetadata<'_>> {
        let text = |range: &Range<usize>| str::from_utf8(&self.texts[range.clone()]).unwrap_or("");
        let entry = |place: &Place| MetricMetadata {
            metric: text(&place.metric),
            kind: place.kind,
            help: text(&place.help),
            unit: text(&place.unit),
        };
        self.metadata.iter().map(entry).filter(|entry| !entry.metric.is_empty()).collect()
    }

    /// Bytes of memory that it holds on to.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.texts.capacity()
            + self.series.capacity() * size_of::<EncodedSeries>()
            + self.samples.capacity() * size_of::<Sample>()
            + self.metadata.capacity() * size_of::<Place>()
    }
}

/// Appends a label as a pair. One with an empty value counts as absent.
pub(crate) fn put_pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if value.is_empty() {
        return;
    }
    put_varint(out, name.len() as u64);
    out.extend_from_slice(name);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A name and a value.
pub(crate) type Pair<'a> = (&'a [u8], &'a [u8]);

/// The labels of a row as pairs.
pub(crate) struct Pairs<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Pairs<'a> {
    type Item = Option<Pair<'a>>;

    /// `None` inside says that the bytes are no pairs; nothing follows then.
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let mut part = || {
            let mut fields = crate::proto::Fields::new(self.0, 0, self.0.len());
            let text = fields.bytes().ok()?;
            self.0 = &self.0[fields.at..];
            Some(text)
        };
        let pair = part().and_then(|name| Some((name, part()?)));
        if pair.is_none() {
            self.0 = &[];
        }
        Some(pair)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Rows as text: labels in the order in which they were pushed, then samples.
    pub(crate) fn show(rows: &Rows) -> Vec<String> {
        let mut start = 0;
        let show_row = |series: &EncodedSeries| {
            let labels = &rows.bytes()[series.labels_start as usize..][..series.labels_len as usize];
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let pairs: Vec<_> = Pairs(labels)
                .map(|pair| pair.expect("BUG: a writer writes pairs"))
                .map(|(name, value)| format!("{}={}", text(name), text(value)))
                .collect();
            let samples = &rows.samples()[start..series.samples_end as usize];
            start = series.samples_end as usize;
            let samples: Vec<_> = samples.iter().map(|sample| format!("{}@{}", sample.value, sample.time)).collect();
            format!("{} {}", pairs.join(","), samples.join(" "))
        };
        let mut shown: Vec<_> = rows.series().iter().map(show_row).collect();
        shown.extend(rows.metadata_entries().iter().map(|entry| {
            format!("{} is {}: {} {}", entry.metric, entry.kind, entry.help, entry.unit).trim_end().to_string()
        }));
        shown
    }

    /// A sink that keeps rows as text.
    #[derive(Debug, Default)]
    pub(crate) struct Batches(pub(crate) Vec<String>);

    impl Sink for Batches {
        type Error = ();

        async fn flush(&mut self, rows: &mut Rows) -> Result<(), ()> {
            self.0.extend(show(rows));
            rows.clear();
            Ok(())
        }
    }

    /// The outcome of a future that never waits.
    pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(future).poll(&mut context) {
            std::task::Poll::Ready(outcome) => outcome,
            std::task::Poll::Pending => unreachable!("BUG: these sinks do not wait"),
        }
    }

    /// What a reader makes of lines; a line that it refuses becomes its error.
    pub(crate) fn read_lines(reader: &mut dyn LineReader, text: &str) -> Vec<String> {
        let mut rows = Rows::default();
        let mut shown = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            rows.clear();
            match reader.read(line.as_bytes(), &mut rows) {
                Ok(()) => shown.extend(show(&rows)),
                Err(error) => shown.push(format!("! {error}")),
            }
        }
        shown
    }

    #[test]
    fn rows_share_prefixes_and_marks_forget() {
        let mut rows = Rows::default();
        rows.label(b"a", b"1");
        rows.label(b"none", b"");
        let prefix = rows.prefix();
        for (field, value) in [("x", 1.0), ("y", 2.0)] {
            rows.repeat(prefix.clone());
            rows.label_of_two(NAME, b"m_", field.as_bytes());
            rows.sample(5, value);
            rows.finish().expect("it fits");
        }
        let mark = rows.mark();
        rows.label(b"lost", b"1");
        rows.sample(1, 1.0);
        rows.finish().expect("it fits");
        rows.label(b"open", b"1");
        rows.rewind(mark);
        rows.label(b"no", b"samples");
        rows.finish().expect("it fits");
        rows.label(b"b", b"2");
        rows.sample(6, 3.0);
        rows.finish().expect("it fits");
        rows.metadata("gauge", b"m_x", b"help", b"");
        assert_eq!(show(&rows), ["a=1,__name__=m_x 1@5", "a=1,__name__=m_y 2@5", "b=2 3@6", "m_x is gauge: help"]);
        rows.clear();
        assert!(rows.is_empty() && show(&rows).is_empty());
    }

    #[test]
    fn what_unfolds_too_far_is_refused_and_forgotten() {
        let mut rows = Rows::default();
        let long = vec![b'x'; 1 << 20];
        let mark = rows.mark();
        rows.label(b"a", &long);
        let prefix = rows.prefix();
        let mut refused = false;
        for _ in 0..100 {
            rows.repeat(prefix.clone());
            rows.sample(1, 1.0);
            refused |= rows.finish().is_err();
        }
        assert!(refused && rows.is_full());
        assert!(rows.bytes().len() <= BYTES_MAX);
        rows.rewind(mark);
        rows.label(b"a", b"1");
        rows.sample(1, 1.0);
        rows.finish().expect("it is small again");
        assert_eq!(show(&rows), ["a=1 1@1"]);
    }
}
