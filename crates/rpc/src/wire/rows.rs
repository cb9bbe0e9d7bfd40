//! Rows from node to node.
//!
//! ```text
//! | account varint | project varint | check u64 |
//! | rows varint | then each: how u8, series, samples varint |      how: bits 0..2 0 number, 1 id, 2 key; bits 4..8 kind
//!     number: zigzag from the number before + 1    id: 16 bytes    key: its length varint and its bytes
//! | times: zigzag from the time before, each |
//! | values: 8 bytes each |
//! | metadata varint | then each: metric, kind, help, unit, each its length varint and its bytes |
//! ```
//!
//! 1. Senders repeat series in the order in which they were numbered, so most numbers take one byte; most times are that of the sample before.
//! 2. A reader believes no count that the bytes left cannot hold.

use codec::bytes::{Malformed, Reader, put_len_prefixed, put_varint, put_zigzag};
use model::{MAX_KEY_BYTES, Sample, SeriesId, Tenant, ValueKind};
use storage_api::{MetricMetadata, NumberedBatch, NumberedRow, SeriesName};

const NUMBER: u8 = 0;
const ID: u8 = 1;
const KEY: u8 = 2;
const KIND_SHIFT: u32 = 4;
/// Room is made for so many rows before the first is read.
const ROWS_RESERVED: usize = 1 << 16;
/// No help text is longer.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// A batch with what it borrows.
#[derive(Debug, Default)]
pub struct Decoded<'a> {
    tenant: Tenant,
    check: u64,
    rows: Vec<NumberedRow<'a>>,
    samples: Vec<Sample>,
    metadata: Vec<MetricMetadata<'a>>,
}

impl<'a> Decoded<'a> {
    /// The batch.
    pub fn batch(&'a self) -> NumberedBatch<'a> {
        let Self { tenant, check, rows, samples, metadata, .. } = self;
        NumberedBatch { tenant: *tenant, rows, samples, check: *check, metadata }
    }
}

/// Appends a batch.
pub fn write(batch: &NumberedBatch<'_>, out: &mut Vec<u8>) {
    out.reserve(64 + batch.rows.len() * 3 + batch.samples.len() * 10);
    put_varint(out, u64::from(batch.tenant.account));
    put_varint(out, u64::from(batch.tenant.project));
    out.extend_from_slice(&batch.check.to_le_bytes());
    put_varint(out, batch.rows.len() as u64);
    let (mut start, mut next) = (0, 0);
    for row in batch.rows {
        let kind = (row.kind as u8) << KIND_SHIFT;
        match row.series {
            SeriesName::Number(number) => {
                out.push(NUMBER | kind);
                put_zigzag(out, i64::from(number) - next);
                next = i64::from(number) + 1;
            }
            SeriesName::Id(id) => {
                out.push(ID | kind);
                out.extend_from_slice(&id.0.to_le_bytes());
            }
            SeriesName::Key(key) => {
                out.push(KEY | kind);
                put_len_prefixed(out, key);
            }
        }
        put_varint(out, u64::from(row.samples_end - start));
        start = row.samples_end;
    }
    let mut before = 0;
    for sample in batch.samples {
        put_zigzag(out, sample.time.wrapping_sub(before));
        before = sample.time;
    }
    batch.samples.iter().for_each(|sample| out.extend_from_slice(&sample.value.to_le_bytes()));
    put_varint(out, batch.metadata.len() as u64);
    for entry in batch.metadata {
        for text in [entry.metric, entry.kind, entry.help, entry.unit] {
            put_len_prefixed(out, text.as_bytes());
        }
    }
}

/// Reads a batch.
pub fn read(bytes: &[u8]) -> Result<Decoded<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    let mut decoded = Decoded::default();
    let mut number = || Ok(reader.varint_max(u64::from(u32::MAX), "tenant")? as u32);
    decoded.tenant = Tenant::new(number()?, number()?);
    decoded.check = reader.u64()?;
    // A row takes three bytes at least.
    let rows = reader.varint_max(reader.remaining() as u64 / 3, "count of rows")?;
    decoded.rows.reserve((rows as usize).min(ROWS_RESERVED));
    let (mut end, mut next) = (0, 0);
    for _ in 0..rows {
        decoded.rows.push(read_row(&mut reader, &mut end, &mut next)?);
    }
    // A sample takes nine bytes at least.
    if u64::from(end) > reader.remaining() as u64 / 9 {
        return Err(reader.malformed("count of samples"));
    }
    decoded.samples = read_samples(&mut reader, end as usize)?;
    let entries = reader.varint_max(reader.remaining() as u64 / 4, "count of metadata")?;
    for _ in 0..entries {
        let mut text = || {
            let offset = reader.position();
            let bytes = reader.len_prefixed(TEXT_BYTES_MAX)?;
            std::str::from_utf8(bytes).map_err(|_| Malformed { what: "text that is not UTF-8", offset })
        };
        decoded.metadata.push(MetricMetadata { metric: text()?, kind: text()?, help: text()?, unit: text()? });
    }
    reader.finish()?;
    Ok(decoded)
}

fn read_row<'a>(reader: &mut Reader<'a>, end: &mut u32, next: &mut i64) -> Result<NumberedRow<'a>, Malformed> {
    let offset = reader.position();
    let how = reader.u8()?;
    let kind = ValueKind::from_number(how >> KIND_SHIFT).ok_or(Malformed { what: "kind of values", offset })?;
    let series = match how & 0xf {
        NUMBER => {
            let number = next.checked_add(reader.zigzag()?).and_then(|number| u32::try_from(number).ok());
            let number = number.ok_or(Malformed { what: "number of a series", offset })?;
            *next = i64::from(number) + 1;
            SeriesName::Number(number)
        }
        ID => SeriesName::Id(SeriesId(reader.u128()?)),
        KEY => SeriesName::Key(reader.len_prefixed(MAX_KEY_BYTES)?),
        _ => return Err(Malformed { what: "way to name a series", offset }),
    };
    let samples = reader.varint_max(u64::from(u32::MAX - *end), "count of samples")?;
    *end += samples as u32;
    Ok(NumberedRow { series, samples_end: *end, kind })
}

fn read_samples(reader: &mut Reader<'_>, count: usize) -> Result<Vec<Sample>, Malformed> {
    let mut samples = Vec::with_capacity(count);
    let mut time = 0_i64;
    for _ in 0..count {
        time = time.wrapping_add(reader.zigzag()?);
        samples.push(Sample { time, value: 0.0 });
    }
    let values = reader.bytes(count.saturating_mul(8))?;
    for (sample, value) in samples.iter_mut().zip(values.as_chunks::<8>().0) {
        sample.value = f64::from_le_bytes(*value);
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use storage_api::check_of;

    use super::*;

    fn row() -> impl Strategy<Value = (u8, u32, u128, Vec<u8>, Vec<(i64, u64)>)> {
        let samples = prop::collection::vec((any::<i64>(), any::<u64>()), 0..4);
        (0u8..3, any::<u32>(), any::<u128>(), prop::collection::vec(any::<u8>(), 0..20), samples)
    }

    proptest! {
        #[test]
        fn a_batch_comes_back(rows in prop::collection::vec(row(), 0..20), account: u32, project: u32) {
            let mut samples = Vec::new();
            let named: Vec<_> = rows.iter().map(|(how, number, id, key, own)| {
                samples.extend(own.iter().map(|(time, bits)| Sample { time: *time, value: f64::from_bits(*bits) }));
                let series = match how {
                    0 => SeriesName::Number(*number),
                    1 => SeriesName::Id(SeriesId(*id)),
                    _ => SeriesName::Key(key),
                };
                NumberedRow { series, samples_end: samples.len() as u32, kind: ValueKind::Float }
            }).collect();
            let metadata = [MetricMetadata { metric: "m", kind: "counter", help: "ü", unit: "" }];
            let check = check_of(rows.iter().map(|row| SeriesId(row.2)));
            let tenant = Tenant::new(account, project);
            let batch = NumberedBatch { tenant, rows: &named, samples: &samples, check, metadata: &metadata };
            let mut bytes = Vec::new();
            write(&batch, &mut bytes);
            let read_back = read(&bytes).expect("it comes back");
            prop_assert_eq!(format!("{:?}", read_back.batch().rows), format!("{:?}", batch.rows));
            let bits = |samples: &[Sample]| samples.iter().map(|s| (s.time, s.value.to_bits())).collect::<Vec<_>>();
            prop_assert_eq!(bits(read_back.batch().samples), bits(&samples));
            prop_assert_eq!(read_back.batch().metadata, &metadata[..]);
            prop_assert_eq!((read_back.batch().tenant, read_back.batch().check), (tenant, check));
            for cut in 0..bytes.len() {
                prop_assert!(read(&bytes[..cut]).is_err());
            }
        }
    }
}
