//! One `ReadResponse` with all samples: `ReadResponse { repeated QueryResult results = 1 }`, `QueryResult { repeated TimeSeries timeseries = 1 }`,
//! `TimeSeries { repeated Label labels = 1; repeated Sample samples = 2 }`, `Sample { double value = 1; int64 timestamp = 2 }`.

use storage_api::{Budget, SelectError, SeriesStream};

use super::wire::{put_bytes, put_labels, put_number};
use crate::{
    raw::{Ended, each_series},
    varint::put_varint,
};

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    Select(SelectError),
    TooLong,
}

/// The packed answer, of at most `max` bytes before packing.
pub(super) fn build(streams: &[Box<dyn SeriesStream>], budget: &Budget, max: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let (mut series, mut sample) = (Vec::new(), Vec::new());
    for stream in streams {
        let mut result = Vec::new();
        let mut too_long = false;
        let outcome = each_series(&**stream, budget, |key, data| {
            series.clear();
            put_labels(&mut series, key);
            for (time, value) in data.times.iter().zip(&data.values) {
                sample.clear();
                if value.to_bits() != 0 {
                    put_varint(&mut sample, 1 << 3 | 1);
                    sample.extend_from_slice(&value.to_bits().to_le_bytes());
                }
                put_number(&mut sample, 2, *time as u64);
                put_bytes(&mut series, 2, &sample);
            }
            put_bytes(&mut result, 1, &series);
            too_long = body.len() + result.len() > max;
            if too_long { Err(SelectError::Cancelled) } else { Ok(()) }
        });
        match outcome {
            Ok(()) => {}
            Err(_) if too_long => return Err(Failure::TooLong),
            Err(Ended::Select(error)) => return Err(Failure::Select(error)),
            Err(Ended::Gone) => return Err(Failure::Select(SelectError::Cancelled)),
        }
        put_bytes(&mut body, 1, &result);
    }
    Ok(snap::raw::Encoder::new().compress_vec(&body).expect("BUG: snappy packs everything under 4 GiB"))
}
