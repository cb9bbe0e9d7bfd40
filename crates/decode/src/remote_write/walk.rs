//! The walk over a remote-write body; the steps stand at the module above.
//!
//! A series as every sender writes it, labels first, then samples of 16 bytes, takes one pass over the label lengths and three loads a sample.
//! Everything else (fields in another order, zero values left away, numbers of another length) goes the general way behind it.

use model::{Sample, ValueKind};
use storage_api::{EncodedSeries, Refusal};

use super::{Rows, metadata, v2};
use crate::{
    Malformed,
    proto::{BYTES, FIXED64, Fields, VARINT, put_varint},
};

pub(super) const SERIES: u32 = 1;
pub(super) const METADATA: u32 = 3;

const LABEL: u32 = 1;
const SAMPLE: u32 = 2;
const EXEMPLAR: u32 = 3;
const HISTOGRAM: u32 = 4;
const LABEL_KEY: u8 = 0x0a;

const VALUE: u32 = 1;
const TIME: u32 = 2;

/// Key, length, key, value, key, and a time of six bytes, as it has been since 1978 and will be until 2109.
const USUAL_SAMPLE_BYTES: usize = 18;
const USUAL_SAMPLE_START: [u8; 3] = [0x12, 0x10, 0x09];
const USUAL_TIME_KEY: u8 = 0x10;

pub(super) fn walk(rows: &mut Rows, body: &[u8], samples_max: usize) -> Result<(), Malformed> {
    let mut fields = Fields::new(body, 0, body.len());
    let (mut own, mut of_version_2) = (false, None);
    while !fields.is_at_end() {
        let key = fields.key()?;
        own |= matches!(key.field, SERIES | METADATA);
        match key.field {
            SERIES => {
                fields.expect(key, BYTES)?;
                let (start, end) = fields.extent()?;
                series(rows, body, start, end)?;
                if rows.samples.len() > samples_max {
                    return Err(Malformed { what: "more samples than a body of its length can need", at: start });
                }
            }
            METADATA => {
                fields.expect(key, BYTES)?;
                let (start, end) = fields.extent()?;
                rows.metadata.push(metadata::Place::find(body, start, end)?);
            }
            _ => {
                if matches!(key.field, v2::SYMBOL | v2::SERIES) && key.wire == BYTES {
                    of_version_2.get_or_insert(fields.at);
                }
                fields.skip(key)?;
            }
        }
    }
    // Its samples would be lost in silence, since unknown fields are skipped.
    match of_version_2 {
        Some(at) if !own => Err(Malformed { what: "a message of remote write 2.0 whose content type says 1.0", at }),
        _ => Ok(()),
    }
}

fn series(rows: &mut Rows, body: &[u8], start: usize, end: usize) -> Result<(), Malformed> {
    let samples_before = rows.samples.len();
    touch(&body[start..end]);
    let labels_end = labels_end(&body[..end], start)?;
    let mut labels = (start, labels_end);
    let samples_end = usual_samples(&mut rows.samples, &body[..end], labels_end);
    if samples_end < end {
        let scattered = other_fields(rows, body, samples_end, end)?;
        if scattered {
            labels = gather_labels(rows, body, start, end)?;
        }
    }
    if rows.samples.len() == samples_before {
        return Ok(());
    }
    if labels.0 == labels.1 {
        rows.refused.add(Refusal::NoLabels, (rows.samples.len() - samples_before) as u64);
        rows.samples.truncate(samples_before);
        return Ok(());
    }
    rows.series.push(EncodedSeries {
        labels_start: labels.0 as u32,
        labels_len: (labels.1 - labels.0) as u32,
        samples_end: rows.samples.len() as u32,
        kind: ValueKind::Float,
    });
    Ok(())
}

/// Reads one byte of every cache line. Stepping from label to label waits for each line after the other, as the place of a length is known only
/// from the length before it; these loads do not depend on one another and wait together. On Kubernetes-shaped bodies of a megabyte the walk
/// takes 53 ns a series with it and 75 ns without, beside 109 ns for snappy.
#[inline]
fn touch(bytes: &[u8]) {
    const LINE_BYTES: usize = 64;
    let folded = bytes.iter().step_by(LINE_BYTES).fold(0, |all, byte| all | byte);
    std::hint::black_box(folded);
}

/// Steps over the labels that stand first.
fn labels_end(series: &[u8], start: usize) -> Result<usize, Malformed> {
    let mut at = start;
    while let Some([LABEL_KEY, len]) = series.get(at..at + 2) {
        at += 2 + usize::from(*len);
        if *len >= 0x80 {
            at -= 1 + usize::from(*len);
            let mut long = Fields::new(series, at, series.len());
            long.extent()?;
            at = long.at;
        }
        if at > series.len() {
            return Err(Malformed { what: "label beyond the end of its series", at: series.len() });
        }
    }
    Ok(at)
}

/// Reads samples of the usual form and says where they end.
pub(super) fn usual_samples(samples: &mut Vec<Sample>, series: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(bytes) = series.get(at..).and_then(|rest| rest.first_chunk::<USUAL_SAMPLE_BYTES>()) {
        let Some(sample) = usual_sample(bytes) else {
            break;
        };
        samples.push(sample);
        at += USUAL_SAMPLE_BYTES;
    }
    at
}

#[inline]
fn usual_sample(bytes: &[u8; USUAL_SAMPLE_BYTES]) -> Option<Sample> {
    let (start, value, time) = (bytes.first_chunk::<3>()?, &bytes[3..11], bytes.last_chunk::<8>()?);
    // The last eight bytes are the last byte of the value, the key of the time, and its six bytes.
    let time = u64::from_le_bytes(*time);
    const ENDS: u64 = 0x8080_8080_8080;
    const FIVE_GO_ON: u64 = 0x0080_8080_8080;
    let varint = time >> 16;
    let usual = *start == USUAL_SAMPLE_START && (time >> 8) as u8 == USUAL_TIME_KEY && varint & ENDS == FIVE_GO_ON;
    if !usual {
        return None;
    }
    let group = |n: u32| (varint >> (8 * n) & 0x7f) << (7 * n);
    let time = group(0) | group(1) | group(2) | group(3) | group(4) | group(5);
    let value = f64::from_le_bytes(value.try_into().ok()?);
    Some(Sample { time: time as i64, value })
}

/// Reads whatever fields stand in `at..end`; says whether labels are among them.
fn other_fields(rows: &mut Rows, body: &[u8], at: usize, end: usize) -> Result<bool, Malformed> {
    let mut fields = Fields::new(body, at, end);
    let mut labels = false;
    while !fields.is_at_end() {
        let key = fields.key()?;
        if (LABEL..=HISTOGRAM).contains(&key.field) {
            fields.expect(key, BYTES)?;
            let (start, field_end) = fields.extent()?;
            match key.field {
                LABEL => labels = true,
                SAMPLE => rows.samples.push(any_sample(body, start, field_end)?),
                EXEMPLAR => rows.refused.add(Refusal::Exemplar, 1),
                _ => rows.refused.add(Refusal::Histogram, 1),
            }
        } else {
            fields.skip(key)?;
        }
    }
    Ok(labels)
}

pub(super) fn any_sample(body: &[u8], start: usize, end: usize) -> Result<Sample, Malformed> {
    let mut fields = Fields::new(body, start, end);
    let mut sample = Sample { time: 0, value: 0.0 };
    while !fields.is_at_end() {
        let key = fields.key()?;
        match key.field {
            VALUE => {
                fields.expect(key, FIXED64)?;
                sample.value = f64::from_bits(fields.fixed64()?);
            }
            TIME => {
                fields.expect(key, VARINT)?;
                sample.time = fields.varint()? as i64;
            }
            _ => fields.skip(key)?,
        }
    }
    Ok(sample)
}

/// Copies all labels of a series behind one another, to stand behind the body; gives their place there.
fn gather_labels(rows: &mut Rows, body: &[u8], start: usize, end: usize) -> Result<(usize, usize), Malformed> {
    let mut fields = Fields::new(body, start, end);
    let gathered_start = body.len() + rows.gathered.len();
    while !fields.is_at_end() {
        let key = fields.key()?;
        if key.field != LABEL {
            fields.skip(key)?;
            continue;
        }
        let label = fields.bytes()?;
        rows.gathered.push(LABEL_KEY);
        put_varint(&mut rows.gathered, label.len() as u64);
        rows.gathered.extend_from_slice(label);
    }
    let gathered_end = body.len() + rows.gathered.len();
    if u32::try_from(gathered_end).is_err() {
        return Err(Malformed { what: "body over 4 GiB", at: start });
    }
    Ok((gathered_start, gathered_end))
}
