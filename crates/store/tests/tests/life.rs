//! Daily life of a store, step by step.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use model::{MatchOp, Matcher, Selector, Tenant, TimeRange};
use storage_api::{Admin, Completeness, MetricMetadata, NamesRequest, Refusal, Select, SelectRequest, ValuesRequest};
use store::{Commits, DAY_MS, FlushLimits, HOUR_MS, Options};
use testkit::{ManualClock, SimDisk};

use crate::driver::{Driver, NOW, key_of, quiet};

fn open(disk: &SimDisk, options: Options) -> Driver {
    let clock = Arc::new(ManualClock::new(NOW));
    Driver::open(Arc::new(disk.clone()), options, &clock).expect("the store opens")
}

fn names(tenant: Tenant) -> NamesRequest {
    NamesRequest {
        tenant,
        selector: Selector::everything(),
        range: TimeRange::ALL,
        limit: usize::MAX,
        budget: storage_api::Budget::default(),
    }
}

#[test]
fn rows_are_visible_at_once_and_after_flush_merge_and_restart() {
    let disk = SimDisk::new(1);
    let driver = open(&disk, quiet());
    driver.put(&[("__name__=up,job=a", NOW - 30_000, 1.0), ("__name__=up,job=b", NOW - 30_000, 0.0)]);
    driver.put(&[("__name__=up,job=a", NOW - 15_000, 1.5), ("__name__=up,job=a", NOW - 2 * DAY_MS, 9.0)]);
    let before = driver.read_all(Tenant::DEFAULT).expect("it can be read");
    assert_eq!(before.len(), 2);
    let rows = &before[&key_of(Tenant::DEFAULT, "__name__=up,job=a")];
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [NOW - 2 * DAY_MS, NOW - 30_000, NOW - 15_000]);

    driver.flush().expect("it can be flushed");
    assert_eq!(driver.read_all(Tenant::DEFAULT).expect("it can be read"), before);
    assert_eq!((driver.store.stats().parts, driver.store.stats().head_samples), (2, 0), "one part for each day");
    driver.put(&[("__name__=up,job=a", NOW - 15_000, 1.5), ("__name__=up,job=c", NOW, 1.0)]);
    driver.flush().expect("it can be flushed");
    driver.merge().expect("it can be merged");
    let stats = driver.store.stats();
    assert_eq!((stats.parts, stats.part_samples, stats.deduplicated), (2, 5, 1));
    let merged = driver.read_all(Tenant::DEFAULT).expect("it can be read");
    drop(driver);
    let disk = disk.kill();
    let driver = open(&disk, quiet());
    assert_eq!(driver.read_all(Tenant::DEFAULT).expect("it can be read"), merged);
    assert_eq!(driver.store.stats().head_samples, 0, "what is in parts is no longer in the log");
    driver.flush().expect("it can be flushed");
    let segments = disk.files().into_iter().filter(|path| path.starts_with("wal")).count();
    assert_eq!(segments, 1, "segments that hold nothing go");
}

#[test]
fn acknowledged_rows_survive_a_power_cut_without_a_flush() {
    let disk = SimDisk::new(2);
    let driver = open(&disk, quiet());
    driver.put(&[("__name__=up", NOW, 1.0)]);
    let before = driver.read_all(Tenant::DEFAULT).expect("it can be read");
    let driver = open(&disk.cut_power(), quiet());
    assert_eq!(driver.read_all(Tenant::DEFAULT).expect("it can be read"), before);
}

#[test]
fn a_log_that_would_take_too_long_to_read_is_flushed_also_what_another_process_left() {
    let disk = SimDisk::new(15);
    let driver = open(&disk, quiet());
    driver.put(&[("__name__=up", NOW, 1.0), ("__name__=up", NOW + 1, 1.0)]);
    let disk = disk.kill();
    // Two samples are foreseen to take 220 ns on one thread.
    let opened = |replay: Duration| {
        let flush = FlushLimits { replay: replay / threads(), ..FlushLimits::default() };
        open(&disk, Options { flush, background: true, commits: Commits::InBackground, ..quiet() })
    };
    let patient = opened(Duration::from_micros(100));
    assert_eq!((patient.store.stats().head_samples, patient.store.stats().flushes), (2, 0));
    drop(patient);
    let driver = opened(Duration::ZERO);
    let begun = Instant::now();
    while driver.store.stats().flushes == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody flushed it");
        std::thread::yield_now();
    }
    assert_eq!(driver.store.stats().part_samples, 2);
}

fn threads() -> u32 {
    std::thread::available_parallelism().map_or(1, |threads| threads.get() as u32)
}

#[test]
fn rows_sent_again_add_nothing_and_different_values_at_one_time_stay() {
    let driver = open(&SimDisk::new(3), quiet());
    let stale = f64::from_bits(model::STALE_NAN_BITS);
    for _ in 0..3 {
        driver.put(&[("__name__=m", NOW, 2.0), ("__name__=m", NOW, stale), ("__name__=m", NOW, 1.0)]);
        driver.put(&[("__name__=m", NOW, 2.0)]);
    }
    let bits = |values: &[f64]| values.iter().map(|value| (NOW, value.to_bits())).collect::<Vec<_>>();
    let key = key_of(Tenant::DEFAULT, "__name__=m");
    for round in 0..3 {
        assert_eq!(
            driver.read_all(Tenant::DEFAULT).expect("it can be read")[&key],
            bits(&[1.0, 2.0, stale]),
            "{round}"
        );
        let mut one = SelectRequest::raw(Tenant::DEFAULT, Selector::everything(), TimeRange::ALL);
        one.one_per_timestamp = true;
        assert_eq!(driver.read(one).expect("it can be read")[&key], bits(&[2.0]), "the largest number");
        if round == 0 { driver.flush() } else { driver.merge() }.expect("it works");
    }
}

#[test]
fn bounds_of_time_refuse_and_count() {
    let options = Options { retention_ms: 10 * DAY_MS, future_retention_ms: HOUR_MS, ..quiet() };
    let driver = open(&SimDisk::new(4), options);
    let rows = [
        ("__name__=m", NOW - 10 * DAY_MS - 1, 1.0),
        ("__name__=m", NOW - 10 * DAY_MS, 2.0),
        ("__name__=m", NOW + HOUR_MS, 3.0),
        ("__name__=m", NOW + HOUR_MS + 1, 4.0),
    ];
    let inserted = driver.insert(Tenant::DEFAULT, &rows).expect("the batch is taken");
    assert_eq!(inserted.samples, 2);
    assert_eq!((inserted.refused.get(Refusal::TooOld), inserted.refused.get(Refusal::TooNew)), (1, 1));
    assert_eq!(driver.store.stats().refused.total(), 2);
    let found = driver.read_all(Tenant::DEFAULT).expect("it can be read");
    assert_eq!(found[&key_of(Tenant::DEFAULT, "__name__=m")].len(), 2);
    driver.clock.advance(1);
    let found = driver.read_all(Tenant::DEFAULT).expect("it can be read");
    assert_eq!(found[&key_of(Tenant::DEFAULT, "__name__=m")].len(), 1, "what has expired is not answered");
}

#[test]
fn expired_parts_are_dropped() {
    let disk = SimDisk::new(5);
    let driver = open(&disk, Options { retention_ms: 10 * DAY_MS, ..quiet() });
    driver.put(&[("__name__=m", NOW - 9 * DAY_MS, 1.0), ("__name__=m", NOW, 2.0)]);
    driver.flush().expect("it can be flushed");
    assert_eq!(driver.store.stats().parts, 2);
    let moment = [TimeRange::new(NOW - 9 * DAY_MS, NOW - 9 * DAY_MS)];
    let before = driver.store.versions(Tenant::DEFAULT, &moment);
    driver.clock.advance(2 * DAY_MS);
    driver.store.work().expect("it works");
    assert_eq!(driver.store.stats().parts, 1);
    assert_ne!(driver.store.versions(Tenant::DEFAULT, &moment), before);
    assert_eq!(
        disk.files().iter().filter(|path| path.starts_with("parts")).count(),
        2,
        "one part of two files is left"
    );
}

#[test]
fn a_delete_hides_what_came_before_and_nothing_else() {
    let disk = SimDisk::new(6);
    let driver = open(&disk, quiet());
    let other = Tenant::new(1, 0);
    driver.put(&[("__name__=m,pod=a", NOW - 2000, 1.0), ("__name__=m,pod=b", NOW - 2000, 1.0)]);
    driver.insert(other, &[("__name__=m,pod=a", NOW - 2000, 1.0)]).expect("it is taken");
    driver.flush().expect("it can be flushed");
    driver.put(&[("__name__=m,pod=a", NOW - 1000, 2.0)]);
    let selector = || Selector::all_of(vec![Matcher::equal("pod", "a")]);
    assert_eq!(driver.delete(Tenant::DEFAULT, selector(), TimeRange::ALL), Ok(1));
    driver.put(&[("__name__=m,pod=a", NOW - 2000, 1.0), ("__name__=m,pod=a", NOW, 3.0)]);

    let a = key_of(Tenant::DEFAULT, "__name__=m,pod=a");
    let check = |driver: &Driver, when: &str| {
        let found = driver.read_all(Tenant::DEFAULT).expect("it can be read");
        assert_eq!(found[&a], [(NOW - 2000, 1f64.to_bits()), (NOW, 3f64.to_bits())], "{when}");
        assert_eq!(found.len(), 2, "{when}");
        assert_eq!(driver.read_all(other).expect("it can be read").len(), 1, "{when}: another tenant's series");
    };
    check(&driver, "at once");
    let disk = disk.kill();
    let driver = open(&disk, quiet());
    check(&driver, "after a kill");
    driver.flush().expect("it can be flushed");
    check(&driver, "after a flush");
    driver.merge().expect("it can be merged");
    check(&driver, "after a merge");
    driver.store.work().expect("it works");
    assert_eq!(driver.store.stats().tombstones, 0, "nothing is hidden any more");
    let driver = open(&disk.cut_power(), quiet());
    check(&driver, "after a power cut");
    assert_eq!(
        driver.delete(Tenant::DEFAULT, Selector::all_of(vec![Matcher::equal("pod", "zzz")]), TimeRange::ALL),
        Ok(0)
    );
    assert_eq!(driver.delete(Tenant::DEFAULT, Selector::everything(), TimeRange::new(NOW, NOW)), Ok(2));
    assert_eq!(driver.read_all(Tenant::DEFAULT).expect("it can be read")[&a], [(NOW - 2000, 1f64.to_bits())]);
}

#[test]
fn names_and_values_come_from_parts_and_memory() {
    let driver = open(&SimDisk::new(7), quiet());
    driver.put(&[("__name__=a,pod=x", NOW, 1.0), ("__name__=b,pod=y,zone=z", NOW, 1.0)]);
    driver.flush().expect("it can be flushed");
    driver.put(&[("__name__=c,pod=w,rack=1", NOW, 1.0), ("__name__=a,pod=x", NOW + 1, 1.0)]);
    driver.insert(Tenant::new(3, 4), &[("__name__=secret,key=s", NOW, 1.0)]).expect("it is taken");
    let all = driver.wait(driver.store.label_names(names(Tenant::DEFAULT))).expect("it can be read");
    assert_eq!(all, ["__name__", "pod", "rack", "zone"]);
    let values = |label: &str, request: NamesRequest| {
        driver
            .wait(driver.store.label_values(ValuesRequest { label: label.into(), names: request }))
            .expect("it can be read")
    };
    assert_eq!(values("pod", names(Tenant::DEFAULT)), ["w", "x", "y"]);
    let mut some = names(Tenant::DEFAULT);
    some.selector = Selector::all_of(vec![Matcher::new("__name__", MatchOp::Regex, "a|c")]);
    assert_eq!(values("pod", some.clone()), ["w", "x"]);
    some.limit = 1;
    assert_eq!(values("pod", some), ["w"]);
    assert_eq!(driver.wait(driver.store.series_count(Tenant::DEFAULT)), Ok(3));
    let tenants = driver.wait(driver.store.tenants(TimeRange::ALL)).expect("it can be read");
    assert_eq!(tenants, [Tenant::DEFAULT, Tenant::new(3, 4)]);
    let cardinality = driver
        .wait(driver.store.cardinality(storage_api::CardinalityRequest {
            tenant: Some(Tenant::DEFAULT),
            selector: Selector::everything(),
            range: TimeRange::ALL,
            top: 2,
            focus_label: Some("pod".into()),
            series_max: 1000,
        }))
        .expect("it can be counted");
    assert_eq!((cardinality.series, cardinality.label_value_pairs), (3, 8));
    assert_eq!(cardinality.series_by_metric.len(), 2);
    assert!(cardinality.series_by_focus_value.iter().all(|entry| entry.count == 1));
}

#[test]
fn limits_on_new_series_refuse_and_name_the_window() {
    let driver = open(&SimDisk::new(8), Options { max_hourly_series: 2, max_daily_series: 3, ..quiet() });
    // In the middle of a day.
    driver.clock.advance(-12 * HOUR_MS);
    let insert = |labels: &str| driver.insert(Tenant::DEFAULT, &[(labels, NOW, 1.0)]).expect("the batch is taken");
    assert_eq!(insert("__name__=a").samples + insert("__name__=b").samples + insert("__name__=a").samples, 3);
    assert_eq!(insert("__name__=c").refused.get(Refusal::HourlySeries), 1);
    driver.clock.advance(HOUR_MS);
    assert_eq!(insert("__name__=c").samples, 1);
    driver.clock.advance(HOUR_MS);
    assert_eq!(insert("__name__=d").refused.get(Refusal::DailySeries), 1);
    assert_eq!(driver.store.stats().daily_series, 3);
}

#[test]
fn dedup_keeps_one_row_per_interval_before_and_after_merges() {
    let driver = open(&SimDisk::new(9), Options { dedup_interval_ms: 10_000, ..quiet() });
    let base = NOW / 10_000 * 10_000 - 100_000;
    for step in 0..40 {
        driver.put(&[("__name__=m", base + step * 2_500, step as f64)]);
        if step == 17 {
            driver.flush().expect("it can be flushed");
        }
    }
    let want: Vec<(i64, u64)> = (0..40)
        .step_by(4)
        .map(|step| (base + step * 2_500, (step as f64).to_bits()))
        .chain([(base + 97_500, 39f64.to_bits())])
        .collect();
    let key = key_of(Tenant::DEFAULT, "__name__=m");
    let read = |range| {
        driver.read(SelectRequest::raw(Tenant::DEFAULT, Selector::everything(), range)).expect("it can be read")
    };
    assert_eq!(read(TimeRange::ALL)[&key], want);
    // An interval is judged as a whole, also where the range cuts it.
    assert!(!read(TimeRange::new(base + 1, base + 9_999)).contains_key(&key));
    driver.flush().expect("it can be flushed");
    driver.merge().expect("it can be merged");
    assert_eq!(read(TimeRange::ALL)[&key], want);
    assert_eq!(driver.store.stats().part_samples, want.len() as u64);
}

#[test]
fn metadata_survives_in_log_and_file() {
    let disk = SimDisk::new(10);
    let driver = open(&disk, quiet());
    let entry = MetricMetadata { metric: "m", kind: "counter", help: "what it counts", unit: "" };
    let batch = storage_api::Batch {
        tenant: Tenant::DEFAULT,
        encoding: &crate::driver::Plain,
        bytes: &[],
        series: &[],
        samples: &[],
        metadata: &[entry],
    };
    driver.wait(storage_api::Insert::insert(&driver.store, batch)).expect("it is taken");
    let disk = disk.cut_power();
    let help = |driver: &Driver| {
        let entries = driver.wait(driver.store.metadata(Tenant::DEFAULT, None, 9, &Completeness::required()));
        entries.expect("a store has what it has")[0].help.clone()
    };
    let driver = open(&disk, quiet());
    assert_eq!(help(&driver), "what it counts");
    driver.flush().expect("it can be flushed");
    let driver = open(&disk.cut_power(), quiet());
    assert_eq!(help(&driver), "what it counts");
}

#[test]
fn a_snapshot_is_a_data_folder() {
    let disk = SimDisk::new(11);
    let driver = open(&disk, quiet());
    driver.put(&[("__name__=m", NOW, 1.0)]);
    let name = driver.wait(driver.store.create_snapshot()).expect("it is made");
    let before = driver.read_all(Tenant::DEFAULT).expect("it can be read");
    driver.put(&[("__name__=m", NOW + 1, 2.0)]);
    driver.flush().expect("it can be flushed");
    driver.merge().expect("it can be merged");
    assert_eq!(driver.store.list_snapshots(), Ok(vec![name.clone()]));

    let copy = SimDisk::new(12);
    let folder = std::path::Path::new("snapshots").join(&name);
    for path in disk.files() {
        if let Ok(inside) = path.strip_prefix(&folder) {
            copy.plant(inside, &disk.contents(&path));
        }
    }
    let restored = open(&copy, quiet());
    assert_eq!(restored.read_all(Tenant::DEFAULT).expect("it can be read"), before);
    driver.store.delete_snapshot(&name).expect("it is there");
    assert!(driver.store.delete_snapshot(&name).is_err());
    assert_eq!(driver.store.list_snapshots(), Ok(vec![]));
}
