//! A stream of frames, each a `ChunkedReadResponse { repeated ChunkedSeries chunked_series = 1; int64 query_index = 2 }` with
//! `ChunkedSeries { repeated Label labels = 1; repeated Chunk chunks = 2 }` and
//! `Chunk { int64 min_time_ms = 1; int64 max_time_ms = 2; Encoding type = 3; bytes data = 4 }`.
//!
//! A frame is the message's length as a varint, its CRC-32C in four bytes (big end first), and the message. A series longer than a frame goes out
//! in several, each with its labels.

use basalt_http::{BodyWriter, Gone};
use model::SeriesKey;
use storage_api::{Budget, SeriesStream};

use super::{
    wire::{put_bytes, put_labels, put_number},
    xor::{SAMPLES_PER_CHUNK, encode},
};
use crate::{
    raw::{Ended, each_series},
    varint::put_varint,
};

pub(super) const MEDIA_TYPE: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
/// A frame is closed when it is this long; Prometheus' own bound is a megabyte, which no reader has lower.
const FRAME_BYTES: usize = 512 << 10;
/// The number of the encoding.
const XOR: u64 = 1;

/// Writes all series of all queries.
pub(super) fn write(streams: &[Box<dyn SeriesStream>], budget: &Budget, mut writer: BodyWriter) -> Result<(), Ended> {
    for (query, stream) in streams.iter().enumerate() {
        each_series(&**stream, budget, |key, data| {
            let mut series = labels_of(key);
            let labels_len = series.len();
            let pieces = data.times.chunks(SAMPLES_PER_CHUNK).zip(data.values.chunks(SAMPLES_PER_CHUNK));
            for (times, values) in pieces {
                put_chunk(&mut series, times, values);
                if series.len() > FRAME_BYTES {
                    put_frame(writer.buffer(), &series, query);
                    writer.flush_if_full()?;
                    series.truncate(labels_len);
                }
            }
            if series.len() > labels_len {
                put_frame(writer.buffer(), &series, query);
            }
            writer.flush_if_full()?;
            Ok::<(), Gone>(())
        })?;
    }
    Ok(writer.finish()?)
}

fn labels_of(key: &SeriesKey) -> Vec<u8> {
    let mut series = Vec::new();
    put_labels(&mut series, key);
    series
}

fn put_chunk(series: &mut Vec<u8>, times: &[i64], values: &[f64]) {
    let mut chunk = Vec::new();
    put_number(&mut chunk, 1, times[0] as u64);
    put_number(&mut chunk, 2, times[times.len() - 1] as u64);
    put_number(&mut chunk, 3, XOR);
    put_bytes(&mut chunk, 4, &encode(times, values));
    put_bytes(series, 2, &chunk);
}

fn put_frame(out: &mut Vec<u8>, series: &[u8], query: usize) {
    let mut message = Vec::with_capacity(series.len() + 16);
    put_bytes(&mut message, 1, series);
    put_number(&mut message, 2, query as u64);
    put_varint(out, message.len() as u64);
    out.extend_from_slice(&crc32c::crc32c(&message).to_be_bytes());
    out.extend_from_slice(&message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_length_checksum_message() {
        let mut out = Vec::new();
        put_frame(&mut out, b"123456789", 3);
        let message = [&[0x0a, 9][..], b"123456789", &[0x10, 3]].concat();
        assert_eq!(out[0] as usize, message.len());
        assert_eq!(out[1..5], crc32c::crc32c(&message).to_be_bytes());
        assert_eq!(out[5..], message);
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283, "the check value of CRC-32C");
    }
}
