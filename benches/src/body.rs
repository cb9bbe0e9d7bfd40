//! Remote write 1.0 request bodies.
//!
//! Written as Prometheus writes them: one `TimeSeries` message a sample with all labels in order and one `Sample`;
//! fields that are zero are left out, as Go's protobuf does (minus zero counts as zero there).

use crate::label::{FIELD_1_BYTES, FIELD_2_BYTES, varint};
use crate::layout::Layout;
use crate::traffic::Sample;

/// Tag of `Sample.value`, a fixed 64-bit field.
const SAMPLE_VALUE: u8 = 0x09;
/// Tag of `Sample.timestamp`, a varint.
const SAMPLE_TIMESTAMP: u8 = 0x10;

/// A body under construction.
#[derive(Debug, Default)]
pub(crate) struct BodyWriter {
    bytes: Vec<u8>,
    samples: usize,
}

impl BodyWriter {
    pub(crate) fn push(&mut self, layout: &Layout, sample: Sample) {
        let out = &mut self.bytes;
        out.push(FIELD_1_BYTES);
        let length_at = out.len();
        // A series' labels take 128 to 16,383 bytes, hence a length of two bytes, filled in below.
        out.extend_from_slice(&[0, 0]);
        layout.write_labels(sample.series, sample.generation, out);
        write_sample(sample, out);
        let length = out.len() - length_at - 2;
        assert!((0x80..0x4000).contains(&length), "a series message of {length} bytes has no two-byte length");
        out[length_at] = length as u8 | 0x80;
        out[length_at + 1] = (length >> 7) as u8;
        self.samples += 1;
    }

    pub(crate) fn samples(&self) -> usize {
        self.samples
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.samples = 0;
    }
}

fn write_sample(sample: Sample, out: &mut Vec<u8>) {
    out.push(FIELD_2_BYTES);
    let length_at = out.len();
    out.push(0);
    if sample.value != 0.0 {
        out.push(SAMPLE_VALUE);
        out.extend_from_slice(&sample.value.to_le_bytes());
    }
    if sample.timestamp_ms != 0 {
        out.push(SAMPLE_TIMESTAMP);
        varint(sample.timestamp_ms as u64, out);
    }
    out[length_at] = (out.len() - length_at - 1) as u8;
}

/// Compresses a body as remote write asks for it: snappy's block format.
pub fn compress(body: &[u8], encoder: &mut snap::raw::Encoder, out: &mut Vec<u8>) {
    out.resize(snap::raw::max_compress_len(body.len()), 0);
    let length = encoder.compress(body, out).expect("the buffer has the length that snappy asks for");
    out.truncate(length);
}
