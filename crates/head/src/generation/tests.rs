//! A generation against a plain map, one step after another and from many threads.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use model::{Columns, TimeRange};
use proptest::prelude::*;

use super::*;

impl Generation {
    fn of_tails(rows_min: usize) -> Self {
        Self::with_pool(1, rows_min, Arc::default())
    }
}

type Bits = (i64, u64);
type Truth = BTreeMap<u32, Vec<Bits>>;

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<(u32, i64, u64)>),
    Seal,
    SealAll,
    Cut,
    Snapshot,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let slot = prop_oneof![8 => 0..40_u32, 1 => 5000..5003_u32, 1 => Just(SLOTS_MAX as u32 - 1)];
    let time = prop_oneof![8 => 0..100_000_i64, 1 => any::<i64>()];
    let value = prop_oneof![4 => (0..50_u32).prop_map(|int| f64::from(int).to_bits()), 1 => any::<u64>()];
    let rows = prop::collection::vec((slot, time, value), 0..150);
    // Scrapes: neighbours with one time each.
    let scrape = (0..30_u32, 1..40_u32, 0..100_000_i64).prop_map(|(start, len, time)| {
        (start..start + len).map(|slot| (slot, time, f64::from(slot * 3).to_bits())).collect()
    });
    let step = prop_oneof![
        8 => prop_oneof![rows, scrape].prop_map(Step::Append),
        6 => Just(Step::Seal),
        1 => Just(Step::SealAll),
        1 => Just(Step::Cut),
        2 => Just(Step::Snapshot),
    ];
    prop::collection::vec(step, 1..80)
}

fn bits(rows: &Columns, from: usize) -> Vec<Bits> {
    rows.iter().skip(from).map(|(time, value)| (time, value.to_bits())).collect()
}

fn check(view: &GenerationView, truth: &Truth) -> Result<(), TestCaseError> {
    let mut out = Columns::new();
    out.push(1, 1.0);
    for (slot, rows) in truth {
        prop_assert!(view.has_rows(*slot));
        out.times.truncate(1);
        out.values.truncate(1);
        prop_assert!(view.read(*slot, &mut out));
        prop_assert_eq!(bits(&out, 1), rows.clone());
        // Leaving out what lies elsewhere in time leaves out nothing that is asked for.
        let range = TimeRange::new(20_000, 60_000);
        let mut near = Columns::new();
        view.read_near(*slot, range, &mut near);
        let inside = |rows: &[Bits]| rows.iter().filter(|row| range.contains(row.0)).copied().collect::<Vec<_>>();
        prop_assert_eq!(inside(&bits(&near, 0)), inside(rows));
    }
    prop_assert!(!view.has_rows(77) && !view.read(77, &mut out));
    prop_assert_eq!(view.slots().into_iter().collect::<Vec<_>>(), truth.keys().copied().collect::<Vec<_>>());
    prop_assert_eq!(view.rows(), truth.values().map(Vec::len).sum::<usize>());
    let times = || truth.values().flatten().map(|row| row.0);
    prop_assert!(times().all(|time| view.time_range().contains(time)));
    prop_assert_eq!(view.is_empty(), truth.is_empty());
    Ok(())
}

/// No piece of any slot reaches across one of these cuts.
fn check_cuts(view: &GenerationView, truth: &Truth, cuts: &[u64]) -> Result<(), TestCaseError> {
    let mut scratch = Columns::new();
    for (slot, rows) in truth {
        let mut seen = Vec::new();
        let mut across = false;
        view.read_with(*slot, TimeRange::ALL, &mut scratch, |seqs, times, values| {
            across |= cuts.iter().any(|cut| seqs.min <= *cut && *cut < seqs.max);
            seen.extend(times.iter().copied().zip(values.iter().map(|value| value.to_bits())));
        });
        prop_assert!(!across, "a piece reaches across a cut");
        prop_assert_eq!(&seen, rows);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn reads_what_was_appended(steps in steps()) {
        let generation = Generation::of_tails(50);
        let mut truth = Truth::new();
        let mut kept = Vec::new();
        let mut cuts = Vec::new();
        for (seq, step) in (1..).zip(steps) {
            match step {
                Step::Append(rows) => {
                    let slots: Vec<u32> = rows.iter().map(|row| row.0).collect();
                    let times: Vec<i64> = rows.iter().map(|row| row.1).collect();
                    let values: Vec<f64> = rows.iter().map(|row| f64::from_bits(row.2)).collect();
                    generation.append_rows(&slots, &times, &values, seq);
                    rows.iter().for_each(|(slot, time, value)| truth.entry(*slot).or_default().push((*time, *value)));
                }
                Step::Seal => {
                    generation.seal();
                }
                Step::SealAll => {
                    generation.seal_all();
                    let view = generation.snapshot();
                    prop_assert_eq!(view.sealed_rows(), view.rows());
                }
                Step::Cut => {
                    generation.cut();
                    cuts.push(seq);
                }
                Step::Snapshot => kept.push((generation.snapshot(), truth.clone())),
            }
            prop_assert_eq!(generation.rows(), truth.values().map(Vec::len).sum::<usize>());
        }
        kept.push((generation.snapshot(), truth.clone()));
        for (view, truth) in &kept {
            check(view, truth)?;
        }
        let (view, truth) = kept.last().expect("the last snapshot");
        check_cuts(view, truth, &cuts)?;
    }
}

#[test]
fn runs_are_joined_and_stay_few() {
    let generation = Generation::of_tails(100);
    let slots: Vec<u32> = (0..100).map(|row| row % 20).collect();
    for seq in 0..1000_i64 {
        let times: Vec<i64> = (0..100).map(|row| seq * 5 + row / 20).collect();
        generation.append_rows(&slots, &times, &[2.5; 100], seq as u64);
        while generation.seal() {}
        assert!(!generation.wants_seal());
    }
    let view = generation.snapshot();
    assert!(view.pieces() <= 4 * FAN_IN, "{} pieces", view.pieces());
    let mut rows = Columns::new();
    view.read(7, &mut rows);
    assert_eq!(rows.times, (0..5000).collect::<Vec<_>>());
    assert!(generation.bytes() > view.bytes());
}

#[test]
fn an_appender_is_held_up_until_a_tail_is_sealed() {
    let generation = Generation::of_tails(10);
    let append = |seq: u64| generation.append_rows(&[1; 10], &[seq as i64; 10], &[0.0; 10], seq);
    (0..CLOSED_MAX as u64).for_each(|seq| assert!(append(seq)));
    // Returns at once, though nobody seals.
    generation.wait_for_sealer(Duration::MAX);
    append(5);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| generation.wait_for_sealer(Duration::MAX));
        while !waiter.is_finished() {
            generation.seal();
        }
    });
    assert_eq!(generation.rows(), 10 * (CLOSED_MAX + 1));
}

#[test]
fn tails_that_were_sealed_leave_their_memory_to_the_next() {
    let pool = Arc::default();
    let generation = Generation::with_pool(1, 4096, Arc::clone(&pool));
    let other = Generation::with_pool(1, 4096, Arc::clone(&pool));
    let append = |to: &Generation| to.append_rows(&[3; 4096], &[7; 4096], &[0.0; 4096], 1);
    append(&generation);
    let view = generation.snapshot();
    generation.seal_all();
    assert_eq!(pool.bytes(), 0, "a snapshot reads the tail");
    drop(view);
    let spare = pool.bytes();
    assert!(spare > 4096 * 16);
    append(&other);
    assert!(pool.bytes() == 0 && other.bytes() > spare);
}

#[test]
fn a_join_seals_what_is_closed_meanwhile_and_ends_with_its_generation() {
    let generation = Generation::of_tails(100);
    let slots: Vec<u32> = (0..100).map(|row| (row % 10) << 13).collect();
    let append = |seq: u64| generation.append_rows(&slots, &[seq as i64; 100], &[0.5; 100], seq);
    for seq in 0..FAN_IN as u64 {
        append(seq);
        assert!(generation.seal_one());
    }
    append(100);
    assert!(generation.join_one());
    assert_eq!(generation.state.read().runs.iter().map(|sealed| sealed.level).collect::<Vec<_>>(), [1, 0]);
    generation.seal_all();
    for seq in 0..FAN_IN as u64 {
        append(seq);
        assert!(generation.seal_one());
    }
    assert!(!generation.wants_seal() && !generation.join_one());
    assert_eq!(generation.rows(), 100 * (2 * FAN_IN + 1));
}

#[test]
fn tails_follow_the_number_of_series_that_write() {
    let generation = Generation::of_tails(64);
    let rows_max = || generation.writer.lock().active.rows_max();
    let write = |series: u32| {
        let slots: Vec<u32> = (0..series).collect();
        let n = series as usize;
        for _ in 0..8 {
            generation.append_rows(&slots, &vec![0; n], &vec![0.0; n], 1);
        }
    };
    (0..8).for_each(|_| write(1000));
    assert_eq!(rows_max(), 1000 * ROWS_A_SERIES);
    write(10);
    (0..200).for_each(|_| write(10));
    assert_eq!(rows_max(), 10 * ROWS_A_SERIES);
}

/// Appenders, sealers and readers at once: an acknowledged row is in every later snapshot, once, in order.
#[test]
fn every_acknowledged_row_is_seen_exactly_once() {
    const APPENDERS: usize = 3;
    const BATCHES: usize = 400;
    const ROWS: usize = 30;
    const SLOTS: usize = 10;
    let generation = Generation::of_tails(200);
    let acknowledged: [AtomicUsize; APPENDERS] = Default::default();
    let done = AtomicBool::new(false);
    let append = |appender: usize| {
        for batch in 0..BATCHES {
            let slots: Vec<u32> = (0..ROWS).map(|row| (appender * SLOTS + row % SLOTS) as u32).collect();
            let times: Vec<i64> = (0..ROWS).map(|row| (batch * ROWS / SLOTS + row / SLOTS) as i64).collect();
            let values: Vec<f64> = times.iter().map(|time| *time as f64 + 0.5).collect();
            generation.append_rows(&slots, &times, &values, batch as u64);
            acknowledged[appender].store((batch + 1) * ROWS / SLOTS, Ordering::Release);
        }
    };
    let look = || {
        let known: Vec<usize> = acknowledged.iter().map(|count| count.load(Ordering::Acquire)).collect();
        let view = generation.snapshot();
        for slot in 0..APPENDERS * SLOTS {
            let mut rows = Columns::new();
            view.read(slot as u32, &mut rows);
            assert!(rows.len() >= known[slot / SLOTS], "slot {slot} has {} rows, {known:?} are known", rows.len());
            assert!(rows.iter().enumerate().all(|(i, row)| row == (i as i64, i as f64 + 0.5)), "slot {slot}: {rows:?}");
        }
    };
    std::thread::scope(|scope| {
        let appenders: Vec<_> = (0..APPENDERS)
            .map(|appender| {
                let append = &append;
                scope.spawn(move || append(appender))
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    look();
                }
            });
        }
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                if !generation.seal() {
                    std::thread::yield_now();
                }
            }
        });
        for appender in appenders {
            appender.join().expect("an appender");
        }
        done.store(true, Ordering::Release);
    });
    look();
    assert_eq!(generation.rows(), APPENDERS * BATCHES * ROWS);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Threads load in any order, so only what a cut is between has an order.
    #[test]
    fn what_several_threads_load_is_all_there_and_no_piece_reaches_across_a_cut(
        groups in prop::collection::vec(prop::collection::vec(prop::collection::vec((0..20_u32, 0..1000_i64), 0..80), 1..5), 1..4),
    ) {
        let generation = Generation::of_tails(50);
        let loading = generation.load_with(30);
        let mut truth: BTreeMap<u32, Vec<Vec<Bits>>> = BTreeMap::new();
        for (seq, batches) in (0..).zip(&groups) {
            std::thread::scope(|scope| {
                for rows in batches {
                    scope.spawn(|| {
                        let (slots, times): (Vec<u32>, Vec<i64>) = rows.iter().copied().unzip();
                        let values: Vec<f64> = rows.iter().map(|row| f64::from(row.0) * 0.5 + row.1 as f64).collect();
                        loading.append_rows(&slots, &times, &values, seq);
                    });
                }
            });
            loading.end();
            generation.cut();
            for (slot, time) in batches.iter().flatten() {
                let groups = truth.entry(*slot).or_insert_with(|| vec![Vec::new(); groups.len()]);
                groups[seq as usize].push((*time, (f64::from(*slot) * 0.5 + *time as f64).to_bits()));
            }
        }
        let view = generation.snapshot();
        prop_assert_eq!(view.slots().into_iter().collect::<Vec<_>>(), truth.keys().copied().collect::<Vec<_>>());
        let mut scratch = Columns::new();
        for (slot, mut groups) in truth {
            view.read_with(slot, TimeRange::ALL, &mut scratch, |seqs, times, values| {
                assert_eq!(seqs.min, seqs.max, "a piece reaches across a cut");
                for (time, value) in times.iter().zip(values) {
                    let group = &mut groups[seqs.min as usize];
                    let row = (*time, value.to_bits());
                    group.swap_remove(group.iter().position(|have| *have == row).expect("a row that was loaded"));
                }
            });
            prop_assert!(groups.iter().all(Vec::is_empty), "rows of slot {} are missing", slot);
        }
    }
}
