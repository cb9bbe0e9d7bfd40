//! Prometheus remote write, version 1.
//!
//! ```text
//! WriteRequest  1 timeseries*  3 metadata*
//! TimeSeries    1 labels*  2 samples*  3 exemplars*  4 histograms*
//! Sample        1 value (fixed64)  2 timestamp (varint)         both are left away when zero
//! Label         1 name  2 value
//! Metadata      1 type  2 metric family  4 help  5 unit
//! ```
//!
//! 1. [`Rows::decode`] walks the body once. Of a series it finds where its label bytes lie and reads its samples; no label is parsed, and for a
//!    series whose labels stand together (every sender's do) nothing is copied.
//! 2. Where other fields stand between the labels of one series, they are brought together behind the body.
//! 3. What the store keeps none of (exemplars, native histograms, samples without labels) is counted as refused. Unknown fields are skipped.
//! 4. [`RemoteWriteLabels`] parses label bytes when the store meets them for the first time. A label that is broken inside is found only
//!    there: its samples are refused, while anything broken outside of labels refuses the whole body.

pub mod v2;

mod labels;
mod metadata;
mod walk;

use std::fmt;

use model::Sample;
use storage_api::{EncodedSeries, MetricMetadata, Refusals};

pub use labels::RemoteWriteLabels;

use crate::{Malformed, Unpacked};

/// Samples take at least nine bytes unless their time is zero, so this many times fewer than bytes are allowed; it bounds the memory that a
/// body of nothing but empty samples would get.
const BYTES_PER_SAMPLE_MIN: usize = 8;
/// As many are allowed in the shortest body.
const SAMPLES_ALWAYS_ALLOWED: usize = 64 << 10;

/// The rows of one body, in memory that is used again for the next one.
#[derive(Default)]
pub struct Rows {
    series: Vec<EncodedSeries>,
    samples: Vec<Sample>,
    metadata: Vec<metadata::Place>,
    /// Labels that had to be brought together.
    gathered: Vec<u8>,
    refused: Refusals,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({} series, {} samples)", self.series.len(), self.samples.len())
    }
}

impl Rows {
    /// Reads a body. On an error the rows are of no use. The body may get bytes appended that the rows point to.
    pub fn decode(&mut self, body: &mut Unpacked) -> Result<(), Malformed> {
        self.series.clear();
        self.samples.clear();
        self.metadata.clear();
        self.gathered.clear();
        self.refused = Refusals::default();
        let samples_max = SAMPLES_ALWAYS_ALLOWED.max(body.bytes().len() / BYTES_PER_SAMPLE_MIN);
        if u32::try_from(body.bytes().len()).is_err() {
            return Err(Malformed { what: "body over 4 GiB", at: 0 });
        }
        walk::walk(self, body.bytes(), samples_max)?;
        if !self.gathered.is_empty() {
            body.append(&self.gathered);
        }
        Ok(())
    }

    /// The rows, pointing into the body.
    pub fn series(&self) -> &[EncodedSeries] {
        &self.series
    }

    /// The samples of all rows.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// What the body tells about metrics. `body` is the one that was decoded.
    pub fn metadata<'a>(&self, body: &'a Unpacked) -> Vec<MetricMetadata<'a>> {
        self.metadata.iter().map(|place| place.read(body.bytes())).collect()
    }

    /// What was refused already.
    pub fn refused(&self) -> &Refusals {
        &self.refused
    }

    /// Bytes of memory that it holds on to.
    pub fn held_bytes(&self) -> usize {
        self.series.capacity() * size_of::<EncodedSeries>()
            + self.samples.capacity() * size_of::<Sample>()
            + self.metadata.capacity() * size_of::<metadata::Place>()
            + self.gathered.capacity()
    }
}
