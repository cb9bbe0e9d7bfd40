//! Entry points for fuzzers: whatever the bytes, nothing panics and memory stays in proportion.

use model::KeyBuilder;
use storage_api::{Encoding, Resolved};

use crate::{LabelLimits, Packing, Unpacked, remote_write, rows::ExtraLabels};

/// No fuzzed body unpacks to more.
const UNPACKED_MAX: usize = 1 << 20;

/// Takes `data` as an unpacked remote-write body and resolves all its labels.
pub fn fuzz_remote_write(data: &[u8]) {
    let mut body = Unpacked::default();
    body.set(data);
    let mut rows = remote_write::Rows::default();
    if rows.decode(&mut body).is_err() {
        return;
    }
    let encoding = remote_write::RemoteWriteLabels::new(LabelLimits::default(), 0, ExtraLabels::default());
    let mut labels = KeyBuilder::new();
    let mut samples_start = 0;
    for series in rows.series() {
        let bytes = &body.bytes()[series.labels_start as usize..][..series.labels_len as usize];
        labels.clear();
        if encoding.resolve(bytes, &mut labels) == Resolved::Keep {
            assert!(!labels.is_empty());
        }
        assert!(series.samples_end > samples_start, "a row without samples");
        samples_start = series.samples_end;
    }
    assert_eq!(samples_start as usize, rows.samples().len());
    rows.metadata(&body);
}

/// Takes `data` as a packed body.
pub fn fuzz_unpack(data: &[u8]) {
    let mut body = Unpacked::default();
    for packing in [Packing::Snappy, Packing::Zstd] {
        if body.unpack(data, packing, UNPACKED_MAX).is_ok() {
            assert!(body.bytes().len() <= UNPACKED_MAX);
        }
        assert!(body.held_bytes() <= 2 * UNPACKED_MAX);
    }
}
