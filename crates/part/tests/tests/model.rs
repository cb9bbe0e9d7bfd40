//! A naive part: a sorted map of series to rows.

use std::{collections::BTreeMap, path::Path};

use codec::summarize;
use disk::Disk;
use model::{Columns, KeyBuilder, SeriesId, SeriesKey, Tenant, TimeRange};
use part::{
    Effort, Page, Part, PartError, PartMeta, PartWriter, ReadScratch, SeriesName, WriterOptions,
    merge::{MergeInput, MergeSink, Merged, Piece, merge_parts},
    sort_rows,
};
use proptest::prelude::*;

pub type Naive = BTreeMap<SeriesKey, Vec<(i64, f64)>>;

/// A handful of series, some of them buckets of one histogram.
pub fn key(number: u8) -> SeriesKey {
    let mut labels = KeyBuilder::new();
    match number % 3 {
        0 => {
            labels.push("__name__", "latency_bucket");
            labels.push("pod", &format!("pod-{}", number / 30));
            labels.push("le", &format!("{}", f64::from(number % 30) / 4.0));
        }
        _ => {
            labels.push("__name__", if number % 3 == 1 { "up" } else { "memory_bytes" });
            labels.push("pod", &format!("pod-{number}"));
        }
    }
    labels.build(Tenant::new(u32::from(number / 200), 0)).expect("labels name a series")
}

/// Values of many kinds: counters, repeated numbers, decimals, any bits.
pub fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (0u32..1000).prop_map(f64::from),
        2 => (0u32..100_000).prop_map(|cents| f64::from(cents) / 100.0),
        1 => Just(f64::from_bits(model::STALE_NAN_BITS)),
        1 => any::<u64>().prop_map(f64::from_bits),
        4 => Just(7.0),
    ]
}

/// Times near block lines as well as far apart.
pub fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => (0i64..400).prop_map(|step| 1_700_000_000_000 + step * 15_000),
        2 => (-5i64..5).prop_map(|near| part::BLOCK_LINE_MS * 80_000 + near),
        1 => -10_000_000_000i64..10_000_000_000i64,
    ]
}

pub fn naive() -> impl Strategy<Value = Naive> {
    let rows = prop::collection::vec((time(), value()), 1..40);
    prop::collection::vec((any::<u8>(), rows), 1..40).prop_map(|series| {
        let mut naive = Naive::new();
        for (number, rows) in series {
            naive.entry(key(number)).or_default().extend(rows);
        }
        naive.values_mut().for_each(|rows| *rows = settled(rows));
        naive
    })
}

/// Sorted and without exact duplicates.
pub fn settled(rows: &[(i64, f64)]) -> Vec<(i64, f64)> {
    let mut sorted =
        Columns { times: rows.iter().map(|row| row.0).collect(), values: rows.iter().map(|row| row.1).collect() };
    sort_rows(&mut sorted);
    sorted.times.into_iter().zip(sorted.values).collect()
}

pub fn bits(rows: &[(i64, f64)]) -> Vec<(i64, u64)> {
    rows.iter().map(|(time, value)| (*time, value.to_bits())).collect()
}

pub fn write(disk: &dyn Disk, folder: &Path, naive: &Naive, options: WriterOptions) -> PartMeta {
    let mut writer = PartWriter::create(disk, folder, options).expect("a part can be started");
    for (key, rows) in naive {
        let times: Vec<i64> = rows.iter().map(|row| row.0).collect();
        let values: Vec<f64> = rows.iter().map(|row| row.1).collect();
        writer.add_series(key, SeriesId::of(key), &times, &values).expect("a series can be written");
    }
    writer.finish().expect("a part can be finished")
}

/// Writes what a merge walks.
pub struct Writing<'d> {
    pub writer: PartWriter<'d>,
    /// The effort of the part, if blocks may be taken over.
    takes_blocks: Option<Effort>,
}

impl<'d> Writing<'d> {
    pub fn create(disk: &'d dyn Disk, folder: &Path, options: WriterOptions, takes_blocks: bool) -> Self {
        let writer = PartWriter::create(disk, folder, options).expect("a part can be started");
        Self { writer, takes_blocks: takes_blocks.then_some(options.effort) }
    }
}

impl MergeSink for Writing<'_> {
    fn takes_blocks(&self, _: TimeRange) -> Option<Effort> {
        self.takes_blocks
    }

    fn rows(&mut self, name: &mut SeriesName<'_, PartError>, rows: &mut Columns) -> Result<(), PartError> {
        self.writer.add_named(name, &rows.times, &rows.values)
    }

    fn pieces(
        &mut self,
        name: &mut SeriesName<'_, PartError>,
        pieces: &[Piece<'_>],
        rows: &Columns,
    ) -> Result<(), PartError> {
        self.writer.add_pieces(name, pieces, rows)
    }
}

/// Merges parts into another, which is opened and verified.
pub fn merge(
    disk: &dyn Disk,
    folder: &Path,
    inputs: &[MergeInput],
    options: WriterOptions,
    takes_blocks: bool,
) -> (Part, Merged) {
    let mut sink = Writing::create(disk, folder, options, takes_blocks);
    let merged = merge_parts(inputs, &|| false, &mut sink).expect("parts can be read");
    let meta = sink.writer.finish().expect("a part can be finished");
    let part = Part::open(disk, folder).expect("what was written can be opened");
    assert_eq!(part.meta(), &meta);
    assert_eq!(part.verify().expect("nothing is damaged").samples, meta.samples);
    (part, merged.expect("nobody stops the merge"))
}

/// Reads the rows of one series, and checks each head against its block.
pub fn read_series(part: &Part, number: u32, scratch: &mut ReadScratch) -> Result<Vec<(i64, f64)>, part::PartError> {
    let mut page = Page::default();
    part.read_page(part.page_of(number), &mut page)?;
    let mut rows = Vec::new();
    for (block, head) in page.blocks(number).iter().enumerate() {
        let (mut times, mut values) = (Vec::new(), Vec::new());
        part.read_times(&head.time, &mut times)?;
        part.read_values(&page, number, block, scratch, &mut values)?;
        assert_eq!(head.summary, summarize(&values));
        rows.extend(times.into_iter().zip(values));
    }
    Ok(rows)
}

pub fn read_all(part: &Part) -> Result<Naive, part::PartError> {
    let mut naive = Naive::new();
    let mut scratch = ReadScratch::default();
    let mut keys = part.labels().keys(0);
    while let Some((number, key)) = keys.next()? {
        naive.insert(key.clone(), read_series(part, number, &mut scratch)?);
    }
    Ok(naive)
}

pub fn same(a: &Naive, b: &Naive) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.0 == y.0 && bits(x.1) == bits(y.1))
}
