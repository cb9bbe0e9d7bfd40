//! Selecting: against a naive model over random parts, heads, ranges and budgets.

use std::sync::Arc;

use codec::summarize;
use model::{MatchOp, Matcher, Selector, SeriesKey, Tenant, TimeRange};
use proptest::prelude::*;
use storage_api::{Cuts, LabelsWanted, SamplesWanted, Select, SelectError, SelectRequest, SeriesData, ShardSet};
use store::{DAY_MS, Options};
use testkit::{ManualClock, SimDisk};

use crate::driver::{Driver, Found, NOW, key_of, quiet};

fn open(options: Options) -> Driver {
    let clock = Arc::new(ManualClock::new(NOW));
    Driver::open(Arc::new(SimDisk::new(1)), options, &clock).expect("the store opens")
}

/// Series, time and value of some rows, and whether they are flushed.
type Rows = (Vec<(u8, i64, u16)>, bool);

/// Rows of a few series, to be flushed after each batch or not.
fn batches() -> impl Strategy<Value = Vec<Rows>> {
    let time = prop_oneof![6 => 0i64..4_000, 2 => 0i64..40_000, 1 => 0i64..900_000].prop_map(|step| NOW - step * 1_000);
    let row = (0u8..12, time, 0u16..40);
    prop::collection::vec((prop::collection::vec(row, 1..60), any::<bool>()), 1..6)
}

fn labels(series: u8) -> String {
    format!("__name__=m{},pod=p{series}", series % 3)
}

fn fill(driver: &Driver, batches: &[Rows]) -> Found {
    let mut want = Found::new();
    for (rows, flush) in batches {
        let named: Vec<_> =
            rows.iter().map(|(series, time, value)| (labels(*series), *time, f64::from(*value))).collect();
        driver.put(&named.iter().map(|(labels, time, value)| (labels.as_str(), *time, *value)).collect::<Vec<_>>());
        for (labels, time, value) in &named {
            want.entry(key_of(Tenant::DEFAULT, labels)).or_default().push((*time, value.to_bits()));
        }
        if *flush {
            driver.flush().expect("it can be flushed");
        }
    }
    for rows in want.values_mut() {
        // Bits of numbers that are not negative order as the numbers do.
        rows.sort_unstable();
        rows.dedup();
    }
    want
}

fn clipped(want: &Found, range: TimeRange) -> Found {
    let clip = |rows: &Vec<(i64, u64)>| rows.iter().copied().filter(|row| range.contains(row.0)).collect::<Vec<_>>();
    want.iter().map(|(key, rows)| (key.clone(), clip(rows))).filter(|(_, rows)| !rows.is_empty()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_range_gives_what_was_written(batches in batches(), from in 0i64..50_000, len in 0i64..50_000, merge in any::<bool>()) {
        let driver = open(quiet());
        let want = fill(&driver, &batches);
        if merge {
            driver.merge().expect("it can be merged");
        }
        let range = TimeRange::new(NOW - from * 1_000, NOW - from * 1_000 + len * 1_000);
        let found = driver.read(SelectRequest::raw(Tenant::DEFAULT, Selector::everything(), range)).expect("it can be read");
        prop_assert_eq!(found, clipped(&want, range));
    }

    #[test]
    fn heads_stand_for_exactly_their_samples(
        batches in batches(),
        mut cuts in prop::collection::vec(0i64..50_000, 0..4),
        edges in 0u64..4,
        rising in any::<bool>(),
        merge in any::<bool>(),
    ) {
        let driver = open(quiet());
        let want = fill(&driver, &batches);
        driver.flush().expect("it can be flushed");
        if merge {
            driver.merge().expect("it can be merged");
        }
        cuts.sort_unstable();
        let at = Arc::new(cuts.iter().rev().map(|cut| NOW - cut * 1_000).collect());
        let cuts = Cuts { at, edges, rising };
        let mut request = SelectRequest::raw(Tenant::DEFAULT, Selector::everything(), TimeRange::ALL);
        request.samples = SamplesWanted::Heads(cuts.clone());
        let stream = driver.wait(driver.store.select(request)).expect("it can be read");
        let (mut key, mut data) = (SeriesKey::default(), SeriesData::default());
        while let Some(mut chunk) = stream.next().expect("it can be read") {
            for index in 0..chunk.len() {
                chunk.key(index, &mut key).expect("it can be read");
                chunk.read(index, &mut data).expect("it can be read");
                check_heads(&want[&key], &data, &cuts)?;
            }
        }
    }
}

/// The first numbers, and those next to each cut, are no head's.
fn check_edges(want: &[(i64, u64)], data: &SeriesData, cuts: &Cuts) -> Result<(), TestCaseError> {
    let edges = cuts.edges as usize;
    let numbers: Vec<i64> =
        want.iter().filter(|(_, bits)| !f64::from_bits(*bits).is_nan()).map(|(time, _)| *time).collect();
    let mut edge: Vec<i64> = numbers.iter().take(edges).copied().collect();
    for cut in cuts.at.iter() {
        let split = numbers.partition_point(|time| time <= cut);
        edge.extend_from_slice(&numbers[split.saturating_sub(edges)..numbers.len().min(split + edges)]);
    }
    for head in &data.heads {
        prop_assert!(edge.iter().all(|time| *time < head.first_time || head.last_time < *time));
    }
    Ok(())
}

/// Heads and samples together are the rows, in order; no head reaches over a cut, and none stands where samples are wanted one by one.
fn check_heads(want: &[(i64, u64)], data: &SeriesData, cuts: &Cuts) -> Result<(), TestCaseError> {
    check_edges(want, data, cuts)?;
    let mut rest = want;
    let mut sample = 0;
    for head in &data.heads {
        while sample < head.before {
            prop_assert_eq!(rest[0], (data.times[sample], data.values[sample].to_bits()));
            rest = &rest[1..];
            sample += 1;
        }
        let (of_head, behind) = rest.split_at(head.summary.count as usize);
        let values: Vec<f64> = of_head.iter().map(|row| f64::from_bits(row.1)).collect();
        prop_assert_eq!(head.summary, summarize(&values));
        prop_assert_eq!((of_head[0].0, of_head[of_head.len() - 1].0), (head.first_time, head.last_time));
        prop_assert!(!cuts.rising || head.summary.resets == 0);
        let window = |time: i64| cuts.at.partition_point(|cut| *cut < time);
        prop_assert_eq!(window(head.first_time), window(head.last_time));
        rest = behind;
    }
    let tail: Vec<_> =
        data.times[sample..].iter().copied().zip(data.values[sample..].iter().map(|v| v.to_bits())).collect();
    prop_assert_eq!(rest, tail.as_slice());
    Ok(())
}

#[test]
fn series_of_a_target_share_one_time_column() {
    let driver = open(quiet());
    for step in 0..20 {
        for series in 0..6 {
            driver.put(&[(labels(series).as_str(), NOW - DAY_MS + step * 15_000, f64::from(series))]);
        }
        if step == 9 {
            driver.flush().expect("it can be flushed");
        }
    }
    let stream = driver
        .wait(driver.store.select(SelectRequest::raw(Tenant::DEFAULT, Selector::everything(), TimeRange::ALL)))
        .expect("it can be read");
    let mut chunk = stream.next().expect("it can be read").expect("there are series");
    let mut columns = Vec::new();
    for index in 0..chunk.len() {
        let mut data = SeriesData::default();
        chunk.read(index, &mut data).expect("it can be read");
        assert_eq!(data.times.len(), 20);
        columns.push(data.times);
    }
    assert!(columns.iter().all(|times| Arc::ptr_eq(times, &columns[0])));
}

#[test]
fn budgets_shards_and_projections_are_obeyed() {
    let driver = open(quiet());
    for series in 0..60 {
        driver.put(&[(labels(series).as_str(), NOW, 1.0)]);
        if series == 30 {
            driver.flush().expect("it can be flushed");
        }
    }
    let request = || SelectRequest::raw(Tenant::DEFAULT, Selector::everything(), TimeRange::ALL);
    let mut small = request();
    small.budget.series_max = 59;
    assert!(matches!(driver.read(small), Err(SelectError::TooManySeries { max: 59, .. })));
    let cancelled = request();
    cancelled.budget.cancel.cancel();
    assert_eq!(driver.read(cancelled), Err(SelectError::Cancelled));
    let mut broken = request();
    broken.selector = Selector::all_of(vec![Matcher::new("pod", MatchOp::Regex, "p(")]);
    assert!(matches!(driver.read(broken), Err(SelectError::BadMatcher(what)) if what.contains("p(")));

    let (mut low, mut high) = (ShardSet::empty(), ShardSet::empty());
    (0..512).for_each(|shard| low.insert(shard));
    (512..1024).for_each(|shard| high.insert(shard));
    let mut found = 0;
    for shards in [low, high] {
        let mut half = request();
        half.shards = Some(shards);
        found += driver.read(half).expect("it can be read").len();
    }
    assert_eq!(found, 60);

    let mut projected = request();
    projected.labels = LabelsWanted::Only(vec!["pod".into()]);
    projected.selector = Selector::all_of(vec![Matcher::equal("pod", "p7")]);
    let found = driver.read(projected).expect("it can be read");
    assert_eq!(found.keys().next(), Some(&key_of(Tenant::DEFAULT, "pod=p7")));
}

#[test]
fn an_answer_stays_what_it_was_while_all_changes_beneath_it() {
    let driver = open(quiet());
    for step in 0..50 {
        driver.put(&[
            ("__name__=m,pod=a", NOW - step * 1_000, step as f64),
            ("__name__=m,pod=b", NOW - step * 1_000, 1.0),
        ]);
        if step % 10 == 5 {
            driver.flush().expect("it can be flushed");
        }
    }
    let stream = driver
        .wait(driver.store.select(SelectRequest::raw(Tenant::DEFAULT, Selector::everything(), TimeRange::ALL)))
        .expect("it can be read");
    driver.put(&[("__name__=m,pod=a", NOW + 1, 0.0), ("__name__=m,pod=c", NOW + 1, 0.0)]);
    driver.delete(Tenant::DEFAULT, Selector::everything(), TimeRange::ALL).expect("it is deleted");
    driver.flush().expect("it can be flushed");
    driver.merge().expect("it can be merged");
    let mut chunk = stream.next().expect("it can be read").expect("there are series");
    assert_eq!(chunk.len(), 2);
    for index in 0..2 {
        let mut data = SeriesData::default();
        chunk.read(index, &mut data).expect("it can be read");
        assert_eq!(data.times.len(), 50);
    }
}
