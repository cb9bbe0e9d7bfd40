//! What is written is read, merged and hidden as a sorted map says.

use std::{path::Path, sync::Arc};

use ::model::{Selector, TimeRange};
use index::CompiledSelector;
use part::{
    Effort, Part, ReadScratch, WriterOptions,
    merge::{Hidden, MergeInput, merge_parts},
};
use proptest::prelude::*;
use testkit::SimDisk;

use crate::model::{Naive, naive, read_all, read_series, same, settled, write};

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
    fn a_merge_is_the_union_without_what_is_hidden(
        inputs in prop::collection::vec((naive(), any::<bool>()), 1..5),
        from in 0i64..400,
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
        let mut got = Naive::new();
        let merged = merge_parts(&parts, &|| false, &mut |key, _, rows| {
            let rows = rows.times.iter().copied().zip(rows.values.iter().copied()).collect();
            assert!(got.insert(key.clone(), rows).is_none(), "a series comes once");
            Ok(())
        });
        prop_assert!(merged.expect("parts can be read").is_some());
        prop_assert!(same(&got, &want));
    }
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
    let seen = std::cell::Cell::new(0);
    let stop = || seen.get() == 3;
    let merged = merge_parts(&[MergeInput { part, hidden: Vec::new() }], &stop, &mut |_, _, _| {
        seen.set(seen.get() + 1);
        Ok(())
    });
    assert_eq!((merged.expect("no error"), seen.get()), (None, 3));
}
