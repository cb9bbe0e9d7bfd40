//! Series that another node names by id, after a start.

use std::sync::Arc;

use model::{Sample, SeriesId, Tenant, ValueKind};
use storage_api::{Admin, InsertNumbered, NumberedBatch, NumberedOutcome, NumberedRow, SeriesName};
use store::HOUR_MS;
use testkit::{ManualClock, SimDisk};

use crate::driver::{Driver, NOW, key_of, quiet};

const SERIES: usize = 500;

fn labels(number: usize) -> String {
    format!("__name__=m{},pod=pod-{}", number % 7, number)
}

/// Sends a sample of each series by id. Gives how many of them were not known.
fn send_by_id(driver: &Driver, time: i64) -> usize {
    let samples = [Sample { time, value: 0.1 }; SERIES];
    let id = |number| SeriesId::of(&key_of(Tenant::DEFAULT, &labels(number)));
    let row = |number| NumberedRow {
        series: SeriesName::Id(id(number)),
        samples_end: number as u32 + 1,
        kind: ValueKind::Float,
    };
    let rows: Vec<_> = (0..SERIES).map(row).collect();
    let batch = NumberedBatch { tenant: Tenant::DEFAULT, rows: &rows, samples: &samples, check: 0, metadata: &[] };
    match driver.wait(driver.store.insert_numbered(batch)) {
        Ok(NumberedOutcome::Taken { unknown, inserted, .. }) => {
            assert_eq!(inserted.samples as usize, SERIES - unknown.len());
            unknown.len()
        }
        other => panic!("the rows are not taken: {other:?}"),
    }
}

fn put(driver: &Driver, numbers: std::ops::Range<usize>, time: i64) {
    let labels: Vec<String> = numbers.map(labels).collect();
    driver.put(&labels.iter().map(|labels| (labels.as_str(), time, 0.1)).collect::<Vec<_>>());
}

#[test]
fn series_of_before_the_stop_are_known_by_id() {
    let clock = Arc::new(ManualClock::new(NOW));
    let open = |disk: &SimDisk| Driver::open(Arc::new(disk.clone()), quiet(), &clock).expect("the store opens");
    let disk = SimDisk::new(1);
    let driver = open(&disk);
    assert_eq!(send_by_id(&driver, NOW - 60_000), SERIES, "nobody ever sent their labels");
    put(&driver, 0..SERIES / 2, NOW - 60_000);
    driver.flush().expect("it can be flushed");
    put(&driver, SERIES / 2..SERIES, NOW - 60_000);
    assert_eq!(send_by_id(&driver, NOW - 45_000), 0);
    // All of it stands in parts at last.
    driver.store.close().expect("it can be closed");
    drop(driver);
    let driver = open(&disk);
    assert_eq!(driver.store.stats().series_active, 0, "memory is empty at first");
    assert_eq!(send_by_id(&driver, NOW - 30_000), 0);
    assert_eq!((driver.store.stats().keys_received, driver.store.stats().series_active), (0, SERIES as u64));
    let rows = driver.read_all(Tenant::DEFAULT).expect("it can be read");
    assert!(rows.len() == SERIES && rows.values().all(|rows| rows.len() == 3), "each row came to its series");

    // A flush, rows of a few, and a kill: the log alone does not name the others.
    driver.flush().expect("it can be flushed");
    put(&driver, 0..SERIES / 10, NOW - 15_000);
    drop(driver);
    let disk = disk.kill();
    let driver = open(&disk);
    assert_eq!(driver.store.stats().series_active as usize, SERIES / 10);
    assert_eq!(send_by_id(&driver, NOW), 0);
    drop(driver);

    // Who did not come for an hour is asked again; parts are not held for longer.
    let disk = disk.kill();
    let driver = open(&disk);
    driver.flush().expect("it can be flushed");
    drop(driver);
    let disk = disk.kill();
    let driver = open(&disk);
    clock.advance(HOUR_MS);
    driver.store.work().expect("the house is kept");
    assert_eq!(send_by_id(&driver, NOW), SERIES);
}
