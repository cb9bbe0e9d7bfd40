//! Entry points for fuzzing: whatever comes over the wire is read or refused, without a panic and without memory that the bytes do not justify.

use bytes::Bytes;

use crate::wire::{bundle, chunk::ChunkReader, rows};

/// Rows.
pub fn fuzz_rows(data: &[u8]) {
    if let Ok(decoded) = rows::read(data) {
        let mut again = Vec::new();
        rows::write(&decoded.batch(), &mut again);
        assert!(rows::read(&again).is_ok(), "what was read can be written");
    }
}

/// Rows of several senders.
pub fn fuzz_bundle(data: &[u8]) {
    if let Ok(batches) = bundle::read(data) {
        assert!(batches.len() <= bundle::BATCHES_MAX, "they are bounded");
        let batches: Vec<Bytes> = batches.into_iter().map(Bytes::copy_from_slice).collect();
        let again = bundle::write(&batches);
        assert_eq!(bundle::read(&again).expect("what was read can be written"), batches);
        batches.iter().for_each(|batch| fuzz_rows(batch));
    }
}

/// Two chunks of one answer.
pub fn fuzz_chunks(data: &[u8]) {
    let mut reader = ChunkReader::default();
    let (one, other) = data.split_at(data.len() / 2);
    for part in [one, other, data] {
        let _ = reader.read(&Bytes::copy_from_slice(part));
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use codec::summarize;
    use model::{KeyBuilder, Sample, SeriesId, Tenant, ValueKind};
    use storage_api::{MetricMetadata, NumberedBatch, NumberedRow, PlacedHead, SeriesData, SeriesName};

    use super::*;
    use crate::wire::chunk::{ChunkWriter, end};

    const TIME: Duration = Duration::from_millis(500);

    fn key() -> model::SeriesKey {
        let mut labels = KeyBuilder::new();
        labels.push("__name__", "up");
        labels.push("job", "node");
        labels.build(Tenant::new(1, 2)).expect("a key")
    }

    #[test]
    fn rows_are_read_or_refused() {
        let key = key();
        let row = |series, samples_end| NumberedRow { series, samples_end, kind: ValueKind::Float };
        let rows = [
            row(SeriesName::Number(7), 1),
            row(SeriesName::Id(SeriesId(1 << 100)), 3),
            row(SeriesName::Key(key.as_bytes()), 3),
        ];
        let samples = [5, 6, 1_700_000_000_000].map(|time| Sample { time, value: 0.5 });
        let metadata = [MetricMetadata { metric: "up", kind: "gauge", help: "whether it is up", unit: "" }];
        let tenant = Tenant::new(1, 2);
        let mut corpus = Vec::new();
        let batch = NumberedBatch { tenant, rows: &rows, samples: &samples, check: 9, metadata: &metadata };
        rows::write(&batch, &mut corpus);
        testkit::fuzz::run("rpc-rows", std::slice::from_ref(&corpus), TIME, fuzz_rows);
        let bundle = bundle::write(&[corpus.clone().into(), Bytes::new(), corpus.into()]);
        testkit::fuzz::run("rpc-bundle", &[bundle.to_vec()], TIME, fuzz_bundle);
    }

    #[test]
    fn chunks_are_read_or_refused() {
        let key = key();
        let summary = summarize(&[1.0, 2.5]);
        let data = SeriesData {
            times: Arc::new(vec![1, 15_001, 30_001]),
            values: vec![0.5, f64::NAN, 3.0],
            heads: vec![PlacedHead { before: 1, first_time: 15_100, last_time: 29_000, summary }],
            kind: Some(ValueKind::Float),
        };
        let mut writer = ChunkWriter::default();
        writer.push(SeriesId::of(&key), &key, &data, true);
        writer.push(SeriesId::of(&key), &key, &data, false);
        let series = writer.take().to_vec();
        writer.push_result(&key, &[1.0, 1.0, 2.5]);
        let corpus = [series, writer.take().to_vec(), end(true, 7).to_vec()];
        testkit::fuzz::run("rpc-chunks", &corpus, TIME, fuzz_chunks);
    }
}
