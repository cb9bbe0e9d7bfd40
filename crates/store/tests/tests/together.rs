//! Batches that came together.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use model::{Sample, Tenant, ValueKind};
use storage_api::{Admin, InsertError, InsertNumbered, NumberedBatch, NumberedOutcome, NumberedRow, SeriesName};
use store::Options;
use testkit::{ManualClock, SimDisk};
use wal::Commits;

use crate::driver::{Driver, NOW, key_of, quiet};

/// Waits without having the log committed by others.
fn wait<T>(mut future: Pin<Box<dyn Future<Output = T> + Send + '_>>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
        std::thread::yield_now();
    }
    panic!("a future never ends");
}

#[test]
fn they_become_durable_in_one_commit_and_each_is_told_its_own() {
    let disk = SimDisk::new(1);
    let options = Options { commits: Commits::InBackground, ..quiet() };
    let clock = Arc::new(ManualClock::new(NOW));
    let driver = Driver::open(Arc::new(disk.clone()), options, &clock).expect("the store opens");
    let keys: Vec<_> = (0..4).map(|n| key_of(Tenant::DEFAULT, &format!("__name__=m,n={n}"))).collect();
    let samples = [Sample { time: NOW, value: 2.5 }];
    let row = |series| NumberedRow { series, samples_end: 1, kind: ValueKind::Float };
    for round in 1..=20 {
        let mut rows: Vec<_> = keys.iter().map(|key| [row(SeriesName::Key(key.as_bytes()))]).collect();
        // One is not what it says, and one names a series that nobody has.
        rows.push([row(SeriesName::Key(b"\x01"))]);
        rows.push([row(SeriesName::Number(77))]);
        let batch = |rows| NumberedBatch { tenant: Tenant::DEFAULT, rows, samples: &samples, check: 0, metadata: &[] };
        let outcomes = wait(driver.store.insert_together(rows.iter().map(|rows| batch(&rows[..])).collect()));
        for outcome in &outcomes[..4] {
            let is_taken = matches!(outcome, Ok(NumberedOutcome::Taken { inserted, .. }) if inserted.samples == 1);
            assert!(is_taken, "{outcome:?}");
        }
        assert!(matches!(outcomes[4], Err(InsertError::Invalid(_))), "{:?}", outcomes[4]);
        assert_eq!(outcomes[5], Ok(NumberedOutcome::Stale));
        assert_eq!((outcomes.len(), driver.store.stats().log_commits), (6, round));
    }
    drop(driver);
    let driver = Driver::open(Arc::new(disk.cut_power()), quiet(), &clock).expect("the store opens");
    assert_eq!(driver.read_all(Tenant::DEFAULT).expect("it can be read").len(), 4);
}
