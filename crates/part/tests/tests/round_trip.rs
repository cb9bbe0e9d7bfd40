//! What is written is read, merged and hidden as a sorted map says.

use std::{path::Path, sync::Arc};

use ::model::{Selector, TimeRange};
use index::CompiledSelector;
use part::{
    Effort, Part, ReadScratch, Searches, WriterOptions,
    merge::{Hidden, MergeInput, merge_parts},
};
use proptest::prelude::*;
use testkit::SimDisk;

use crate::model::{Naive, Writing, merge, naive, read_all, read_series, same, settled, write};

fn efforts() -> impl Strategy<Value = Effort> {
    prop_oneof![Just(Effort::Flush), Just(Effort::Merge), Just(Effort::Cold)]
}

fn options(id: u64, effort: Effort, line_ms: i64) -> WriterOptions {
    WriterOptions { line_ms, ..WriterOptions::new(id, effort) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_part_gives_back_every_bit(naive in naive(), effort in efforts(), line_ms in 1_000i64..100_000_000) {
        let disk = SimDisk::new(1);
        let folder = Path::new("parts/1");
        let meta = write(&disk, folder, &naive, options(1, effort, line_ms));
        let part = Part::open(&disk, folder).expect("what was written can be opened");
        prop_assert_eq!(part.meta(), &meta);
        prop_assert!(same(&read_all(&part).expect("it can be read"), &naive));
        let verified = part.verify().expect("nothing is damaged");
        prop_assert_eq!(verified.samples, naive.values().map(|rows| rows.len() as u64).sum::<u64>());

        // In any order, also from the highest bucket down.
        let mut scratch = ReadScratch::default();
        let rows: Vec<_> = naive.values().collect();
        for number in (0..meta.series).rev() {
            let read = read_series(&part, number, &mut scratch).expect("it can be read");
            prop_assert_eq!(crate::model::bits(&read), crate::model::bits(rows[number as usize]));
        }
    }

    #[test]
    fn searches_are_remembered_as_long_as_the_part_lives(naive in naive()) {
        let disk = SimDisk::new(3);
        let folder = Path::new("parts/1");
        write(&disk, folder, &naive, options(1, Effort::Flush, 1_000_000));
        let searches = Arc::new(Searches::new(1 << 20));
        let part = Part::open(&disk, folder).expect("what was written can be opened").remembering(&searches);
        let everything = CompiledSelector::compile(&Selector::everything()).expect("it is a selector");
        let found = [(); 2].map(|()| part.search(::model::Tenant::new(0, 0), &everything).expect("it can be searched"));
        prop_assert_eq!(&found[0], &found[1]);
        let stats = searches.stats();
        prop_assert_eq!((stats.requests, stats.misses, stats.entries), (2, 1, 1));
        drop(part);
        let stats = searches.stats();
        prop_assert_eq!((stats.entries, stats.bytes), (0, 0));
    }

    #[test]
    fn a_merge_is_the_union_without_what_is_hidden(
        inputs in prop::collection::vec((naive(), any::<bool>()), 1..5),
        from in 0i64..400,
        effort in efforts(),
        takes_blocks in any::<bool>(),
    ) {
        let disk = SimDisk::new(2);
        let range = TimeRange::new(1_700_000_000_000 + from * 15_000, i64::MAX);
        let everything = CompiledSelector::compile(&Selector::everything()).expect("it is a selector");
        let mut want = Naive::new();
        let mut parts = Vec::new();
        for (number, (naive, is_hidden)) in inputs.iter().enumerate() {
            let folder = format!("parts/{number}");
            write(&disk, Path::new(&folder), naive, WriterOptions::new(number as u64, Effort::Flush));
            let part = Arc::new(Part::open(&disk, Path::new(&folder)).expect("it opens"));
            let mut hidden = Vec::new();
            if *is_hidden {
                let series = part.search(::model::Tenant::new(0, 0), &everything).expect("it can be searched");
                hidden.push(Hidden { series, range });
            }
            for (key, rows) in naive {
                let hides = *is_hidden && key.tenant() == ::model::Tenant::new(0, 0);
                let rows = rows.iter().filter(|row| !(hides && range.contains(row.0)));
                want.entry(key.clone()).or_default().extend(rows);
            }
            parts.push(MergeInput { part, hidden });
        }
        want.values_mut().for_each(|rows| *rows = settled(rows));
        want.retain(|_, rows| !rows.is_empty());
        let (part, _) = merge(&disk, Path::new("parts/merged"), &parts, WriterOptions::new(99, effort), takes_blocks);
        prop_assert!(same(&read_all(&part).expect("it can be read"), &want));
    }
}

/// Three parts with 100 samples a line: the second line is in two of them, the others each in one.
#[test]
fn blocks_that_are_alone_in_their_line_are_taken_over() {
    let disk = SimDisk::new(5);
    let line = |number: i64, from: i64| {
        let start = part::BLOCK_LINE_MS * (80_000 + number) + from * 15_000;
        (0..100).map(move |at| (start + at * 15_000, (at * at % 17 + number) as f64))
    };
    let inputs: [Vec<(i64, f64)>; 3] =
        [line(0, 7).chain(line(1, 7)).collect(), line(1, 500).chain(line(2, 0)).collect(), line(3, 1).collect()];
    let mut want = Naive::new();
    let mut parts = Vec::new();
    for (number, rows) in inputs.into_iter().enumerate() {
        let of = |n: u8| rows.iter().map(move |(time, value)| (*time, value + f64::from(n)));
        let naive: Naive = (0..60).map(|n| (crate::model::key(n), of(n).collect())).collect();
        for (key, rows) in &naive {
            want.entry(key.clone()).or_default().extend(rows);
        }
        let folder = format!("parts/{number}");
        write(&disk, Path::new(&folder), &naive, WriterOptions::new(number as u64, Effort::Flush));
        let part = Arc::new(Part::open(&disk, Path::new(&folder)).expect("it opens"));
        parts.push(MergeInput { part, hidden: Vec::new() });
    }
    let merged = |folder: &str, effort, takes_blocks| {
        let (part, merged) = merge(&disk, Path::new(folder), &parts, WriterOptions::new(9, effort), takes_blocks);
        assert!(same(&read_all(&part).expect("it can be read"), &want));
        assert_eq!(merged.read, 60 * 500);
        let mut page = part::Page::default();
        part.read_page(0, &mut page).expect("a page");
        assert_eq!(page.blocks(0).iter().map(|head| head.count()).collect::<Vec<_>>(), [100, 200, 100, 100]);
        (part.meta().columns_bytes, part.meta().index_bytes, merged.taken_over)
    };
    let (columns, index, taken_over) = merged("parts/taken", Effort::Flush, true);
    assert_eq!(taken_over, 60 * 300);
    assert_eq!((columns, index, 0), merged("parts/encoded", Effort::Flush, false));
    assert_eq!(merged("parts/dense", Effort::Cold, true).2, 60 * 300, "short blocks cannot become smaller");
}

#[test]
fn series_of_a_target_share_their_times_and_equal_columns_their_values() {
    let disk = SimDisk::new(3);
    let times: Vec<i64> = (0..1000).map(|at| 1_700_000_000_000 + at * 15_000 + at * at % 7).collect();
    let values: Vec<f64> = (0..1000).map(|at| f64::from(at * at % 1009)).collect();
    let size = |series: u8| {
        let naive = (0..series)
            .map(|n| (crate::model::key(n * 3 + 1), times.iter().copied().zip(values.iter().copied()).collect()));
        let folder = format!("parts/{series}");
        write(&disk, Path::new(&folder), &naive.collect(), WriterOptions::new(u64::from(series), Effort::Flush))
            .columns_bytes
    };
    assert_eq!(size(1), size(60), "the second and all further series add nothing to the columns");
}

#[test]
fn a_merge_ends_when_it_is_told_to() {
    let disk = SimDisk::new(4);
    let naive: Naive = (0..9).map(|n| (crate::model::key(n), vec![(1, 1.0)])).collect();
    write(&disk, Path::new("parts/1"), &naive, WriterOptions::new(1, Effort::Flush));
    let part = Arc::new(Part::open(&disk, Path::new("parts/1")).expect("it opens"));
    let asked = std::cell::Cell::new(0);
    let stop = || asked.replace(asked.get() + 1) == 3;
    let mut sink = Writing::create(&disk, Path::new("parts/2"), WriterOptions::new(2, Effort::Flush), false);
    let merged = merge_parts(&[MergeInput { part, hidden: Vec::new() }], &stop, &mut sink);
    assert_eq!((merged.expect("no error"), sink.writer.series()), (None, 3));
}
