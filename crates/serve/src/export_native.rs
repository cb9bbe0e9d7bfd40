//! `/api/v1/export/native`: blocks of samples in the form in which VictoriaMetrics exchanges them (`docs/formats/native.md`).
//!
//! 1. The range of the request stands first, then blocks, each behind the name of its series, until the body ends.
//! 2. A block holds up to 8192 samples: times and values as whole numbers, differences of them, in as few bytes as they need.
//! 3. Values share a power of ten. Where the next value would not be exact under it, a block ends, so that nothing is rounded.

mod block;

use basalt_http::{Gone, Params, Response};
use model::{METRIC_NAME, SeriesKey, TimeRange};
use storage_api::{SelectRequest, SeriesData};

use self::block::{BlockForm, BlockWriter};
use crate::{
    Server, args,
    asker::Asker,
    error::ApiError,
    packing::{Outgoing, Sink},
    varint::zigzag,
};

const ESCAPE: u8 = 0;
const SEPARATOR: u8 = 1;
const KEY_SEPARATOR: u8 = 2;

impl Server {
    pub(crate) async fn export_native(&self, asker: &Asker, params: &Params) -> Result<Response, ApiError> {
        let form = match params.get("version") {
            None | Some("1") => BlockForm::Narrow,
            Some("2") => BlockForm::Wide,
            Some(other) => return Err(ApiError::bad_request(format!("argument version={other:?}: want 1 or 2"))),
        };
        let range = self.range(params)?;
        let request = SelectRequest::raw(asker.tenant, args::selector(params)?, range);
        let answer = self.export_answer("VictoriaMetrics/native").beginning_with(prologue(range));
        let mut blocks = BlockWriter::new(form);
        let write = move |key: &SeriesKey, data: &SeriesData, out: &mut Outgoing| {
            write_series(&name(key), data, &mut blocks, out)
        };
        self.stream_raw(asker, request, answer, write).await
    }
}

/// Which times the blocks are cut to by who reads them.
fn prologue(range: TimeRange) -> Vec<u8> {
    [range.min, range.max].iter().flat_map(|time| zigzag(*time).to_be_bytes()).collect()
}

fn write_series(name: &[u8], data: &SeriesData, blocks: &mut BlockWriter, out: &mut Outgoing) -> Result<(), Gone> {
    let mut start = 0;
    while start < data.times.len() {
        let (block, len) = blocks.next(&data.times[start..], &data.values[start..]);
        for part in [name, block] {
            out.buffer().extend_from_slice(&(part.len() as u32).to_be_bytes());
            out.buffer().extend_from_slice(part);
        }
        out.flush_if_full()?;
        start += len;
    }
    Ok(())
}

/// The metric's name, then names and values of the other labels, each with a separator behind it.
fn name(key: &SeriesKey) -> Vec<u8> {
    let mut labels: Vec<_> = key.labels().collect();
    labels.sort();
    let metric = labels.iter().find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, value)| value);
    let mut out = Vec::new();
    put_escaped(&mut out, metric);
    for (name, value) in labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
        put_escaped(&mut out, name);
        put_escaped(&mut out, value);
    }
    out
}

fn put_escaped(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            ESCAPE..=KEY_SEPARATOR => out.extend([ESCAPE, b'0' + byte]),
            byte => out.push(byte),
        }
    }
    out.push(SEPARATOR);
}

#[cfg(test)]
mod tests {
    use model::{KeyBuilder, Tenant};

    use super::*;

    #[test]
    fn names_are_separated_and_escaped() {
        let mut labels = KeyBuilder::new();
        for (name, value) in [("le", "5"), ("__name__", "na"), ("job", "x"), ("z", "a\u{1}b\u{0}\u{2}")] {
            labels.push(name, value);
        }
        let key = labels.build(Tenant::DEFAULT).expect("labels name a series");
        assert_eq!(name(&key), b"na\x01job\x01x\x01le\x015\x01z\x01a\x001b\x000\x002\x01");
        assert_eq!(prologue(TimeRange::new(0, 1))[..], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!([zigzag(-1), zigzag(i64::MIN)], [1, u64::MAX]);
    }
}
