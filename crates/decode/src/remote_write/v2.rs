//! Prometheus remote write, version 2.
//!
//! ```text
//! Request     4 symbols*  5 timeseries*
//! TimeSeries  1 label references* (name, value, name, …)  2 samples*  3 histograms*  4 exemplars*  5 metadata
//! Sample      1 value (fixed64)  2 timestamp (varint)
//! Metadata    1 type  3 help reference  4 unit reference
//! ```
//!
//! 1. A first pass over the outermost fields notes where each symbol lies. In the body a symbol is its length and its bytes, which is just what a
//!    half of a pair is in [`Rows`], so that resolving a label is two copies.
//! 2. A second pass writes each series with its resolved labels. The store hashes these bytes; no label is parsed for a series that it knows.
//! 3. Bodies that unfold beyond one batch are handed on in several. Before the first of them goes, the rest of the body is checked, so that a
//!    broken body changes nothing.
//! 4. What the store keeps none of (exemplars, native histograms) is counted as refused.

use std::ops::Range;

use storage_api::{Refusal, Refusals};

use super::{
    metadata::KINDS,
    walk::{self, any_sample, usual_samples},
};
use crate::{
    Malformed,
    proto::{BYTES, Fields, VARINT},
    rows::{NAME, ReadError, Rows, Sink},
};

pub(super) const SYMBOL: u32 = 4;
pub(super) const SERIES: u32 = 5;

const LABELS: u32 = 1;
const SAMPLE: u32 = 2;
const HISTOGRAM: u32 = 3;
const EXEMPLAR: u32 = 4;
const METADATA: u32 = 5;

const KIND: u32 = 1;
const HELP: u32 = 3;
const UNIT: u32 = 4;

/// No symbol has this number.
const NONE: usize = usize::MAX;

/// Reads bodies, in memory that is used again.
#[derive(Debug, Default)]
pub struct Reader {
    /// Where each symbol lies, its length included.
    symbols: Vec<Range<u32>>,
    /// The number of the symbol `__name__`.
    name: usize,
    refused: Refusals,
    family: Family,
}

/// What was told last about a metric, so that it is not told for each of its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Family {
    metric: usize,
    kind: usize,
    help: usize,
    unit: usize,
}

impl Default for Family {
    fn default() -> Self {
        Self { metric: NONE, kind: 0, help: 0, unit: 0 }
    }
}

impl Reader {
    /// Reads a body into `rows`, which go to `sink` whenever they are many. The last of them stay in `rows`.
    pub async fn read<S: Sink>(
        &mut self,
        body: &[u8],
        rows: &mut Rows,
        sink: &mut S,
    ) -> Result<(), ReadError<S::Error>> {
        self.refused = Refusals::default();
        self.family = Family::default();
        self.find_symbols(body)?;
        let mut fields = Fields::new(body, 0, body.len());
        let mut checked = false;
        while let Some((start, end)) = next_series(&mut fields)? {
            self.series(body, start, end, rows)?;
            if rows.is_full() {
                if !checked {
                    self.check(body, fields)?;
                    checked = true;
                }
                sink.flush(rows).await.map_err(ReadError::Sink)?;
            }
        }
        Ok(())
    }

    /// What was refused of the body that was read last.
    pub fn refused(&self) -> &Refusals {
        &self.refused
    }

    /// Bytes of memory that it holds on to.
    pub fn held_bytes(&self) -> usize {
        self.symbols.capacity() * size_of::<Range<u32>>()
    }

    fn find_symbols(&mut self, body: &[u8]) -> Result<(), Malformed> {
        self.symbols.clear();
        self.name = NONE;
        if u32::try_from(body.len()).is_err() {
            return Err(Malformed { what: "body over 4 GiB", at: 0 });
        }
        let mut fields = Fields::new(body, 0, body.len());
        let (mut own, mut of_version_1) = (false, None);
        while !fields.is_at_end() {
            let key = fields.key()?;
            own |= matches!(key.field, SYMBOL | SERIES);
            if key.field != SYMBOL {
                if matches!(key.field, walk::SERIES | walk::METADATA) && key.wire == BYTES {
                    of_version_1.get_or_insert(fields.at);
                }
                fields.skip(key)?;
                continue;
            }
            fields.expect(key, BYTES)?;
            let start = fields.at;
            let (text, end) = fields.extent()?;
            if self.name == NONE && &body[text..end] == NAME {
                self.name = self.symbols.len();
            }
            self.symbols.push(start as u32..end as u32);
        }
        // Its samples would be lost in silence, since unknown fields are skipped.
        match of_version_1 {
            Some(at) if !own => {
                Err(Malformed { what: "a message of remote write 1.0 whose content type says 2.0", at })
            }
            _ => Ok(()),
        }
    }

    fn series(&mut self, body: &[u8], start: usize, end: usize, rows: &mut Rows) -> Result<(), Malformed> {
        let mut fields = Fields::new(body, start, end);
        let mut references = 0usize;
        let (mut before, mut metric, mut about) = (NONE, NONE, None);
        let mut reference = |symbol: u64, rows: &mut Rows| {
            let symbol = usize::try_from(symbol).unwrap_or(NONE);
            let place = self.symbols.get(symbol)?;
            if references % 2 == 1 && before == self.name {
                metric = symbol;
            }
            before = symbol;
            references += 1;
            rows.encoded(&body[place.start as usize..place.end as usize]);
            Some(())
        };
        let unknown = |at| Malformed { what: "reference to a symbol that is not there", at };
        while !fields.is_at_end() {
            let key = fields.key()?;
            match key.field {
                LABELS if key.wire == VARINT => {
                    reference(fields.varint()?, rows).ok_or(unknown(fields.at))?;
                }
                LABELS => {
                    fields.expect(key, BYTES)?;
                    let (start, end) = fields.extent()?;
                    let mut packed = Fields::new(body, start, end);
                    while !packed.is_at_end() {
                        reference(packed.varint()?, rows).ok_or(unknown(packed.at))?;
                    }
                    fields.at = usual_samples(&mut rows.samples, &body[..fields.end()], fields.at);
                }
                SAMPLE | HISTOGRAM | EXEMPLAR | METADATA => {
                    fields.expect(key, BYTES)?;
                    let (start, end) = fields.extent()?;
                    match key.field {
                        SAMPLE => {
                            let sample = any_sample(body, start, end)?;
                            rows.sample(sample.time, sample.value);
                        }
                        HISTOGRAM => self.refused.add(Refusal::Histogram, 1),
                        EXEMPLAR => self.refused.add(Refusal::Exemplar, 1),
                        _ => about = Some((start, end)),
                    }
                }
                _ => fields.skip(key)?,
            }
        }
        if references % 2 == 1 {
            return Err(Malformed { what: "a label name without a value", at: end });
        }
        if let Some((start, end)) = about {
            self.metadata(body, Fields::new(body, start, end), metric, rows)?;
        }
        rows.finish()
    }

    fn metadata(
        &mut self,
        body: &[u8],
        mut fields: Fields<'_>,
        metric: usize,
        rows: &mut Rows,
    ) -> Result<(), Malformed> {
        let mut family = Family { metric, ..Family::default() };
        while !fields.is_at_end() {
            let key = fields.key()?;
            match key.field {
                KIND | HELP | UNIT => {
                    fields.expect(key, VARINT)?;
                    let number = usize::try_from(fields.varint()?).unwrap_or(NONE);
                    match key.field {
                        KIND => family.kind = number,
                        HELP => family.help = number,
                        _ => family.unit = number,
                    }
                }
                _ => fields.skip(key)?,
            }
        }
        let Family { kind, help, unit, .. } = family;
        if [help, unit].iter().any(|symbol| *symbol >= self.symbols.len().max(1)) {
            return Err(Malformed { what: "reference to a symbol that is not there", at: fields.at });
        }
        let tells = kind != 0 || help != 0 || unit != 0;
        if !tells || metric == NONE || family == self.family {
            return Ok(());
        }
        self.family = family;
        let kind = KINDS.get(kind).unwrap_or(&KINDS[0]);
        rows.metadata(kind, base_name(self.text(body, metric), kind), self.text(body, help), self.text(body, unit));
        Ok(())
    }

    fn text<'a>(&self, body: &'a [u8], symbol: usize) -> &'a [u8] {
        let place = self.symbols.get(symbol).cloned().unwrap_or_default();
        let mut fields = Fields::new(body, place.start as usize, place.end as usize);
        fields.bytes().unwrap_or(b"")
    }

    /// Reads what is left of a body and forgets it.
    fn check(&mut self, body: &[u8], mut fields: Fields<'_>) -> Result<(), Malformed> {
        let (refused, family) = (self.refused, self.family);
        let mut rows = Rows::default();
        while let Some((start, end)) = next_series(&mut fields)? {
            self.series(body, start, end, &mut rows)?;
            rows.clear();
        }
        (self.refused, self.family) = (refused, family);
        Ok(())
    }
}

fn next_series(fields: &mut Fields<'_>) -> Result<Option<(usize, usize)>, Malformed> {
    while !fields.is_at_end() {
        let key = fields.key()?;
        if key.field == SERIES {
            fields.expect(key, BYTES)?;
            return fields.extent().map(Some);
        }
        fields.skip(key)?;
    }
    Ok(None)
}

/// The family that a series with suffix belongs to: version 2 tells of series, metadata is kept of families.
fn base_name<'a>(metric: &'a [u8], kind: &str) -> &'a [u8] {
    let suffixes: &[&[u8]] = match kind {
        "histogram" | "gaugehistogram" => &[b"_bucket", b"_sum", b"_count", b"_gsum", b"_gcount"],
        "summary" => &[b"_sum", b"_count"],
        _ => &[],
    };
    suffixes.iter().find_map(|suffix| metric.strip_suffix(*suffix)).filter(|base| !base.is_empty()).unwrap_or(metric)
}

#[cfg(test)]
mod tests;
