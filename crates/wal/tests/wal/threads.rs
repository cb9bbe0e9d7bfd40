//! Many appenders, rotations and power cuts at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, RwLock};

use testkit::{Rng, SimDisk};
use wal::{Options, Wal};

use crate::common::{Event, append, create, events_of, is_clean, replay_from};

const THREADS: u64 = 6;
const REQUESTS: i64 = 120;
const SERIES: u64 = 300;
/// Each thread rotates once in so many of its requests.
const ROTATE_EVERY: u64 = 15;

/// Appends and waits, and notes what is acknowledged.
fn append_all(wal: &Wal, lock: Option<&RwLock<()>>, thread: u64, acknowledged: &Mutex<Vec<Event>>) {
    let mut rng = Rng::new(thread);
    for request in 0..REQUESTS {
        let time = request * THREADS as i64 + thread as i64;
        let first = rng.below(SERIES);
        let samples: Vec<_> =
            (0..1 + rng.below(20)).map(|at| (((first + at) % SERIES) as u32, time, rng.below(100) as f64)).collect();
        let ticket = {
            let _shared = lock.map(|lock| lock.read().unwrap());
            append(wal, &samples).unwrap()
        };
        if request as u64 % ROTATE_EVERY == thread {
            let _exclusive = lock.map(|lock| lock.write().unwrap());
            wal.rotate().unwrap();
        }
        ticket.wait().unwrap();
        acknowledged.lock().unwrap().extend(events_of(&samples));
    }
}

fn run(locked: bool) {
    let disk = SimDisk::new(1);
    let wal = create(&disk, 0, Options { commit_interval: std::time::Duration::ZERO, ..Options::default() });
    let lock = RwLock::new(());
    let lock = locked.then_some(&lock);
    let acknowledged = Mutex::new(Vec::new());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let appenders: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let (wal, acknowledged) = (&wal, &acknowledged);
                    move || append_all(wal, lock, thread, acknowledged)
                })
            })
            .collect();
        scope.spawn(|| {
            let mut seed = 0;
            while !done.load(Ordering::Acquire) {
                seed += 1;
                // First what is acknowledged, then the cut: it must all be there.
                let before: Vec<Event> = acknowledged.lock().unwrap().clone();
                let (_, found) = replay_from(&disk.what_if_cut(seed), 0, 2);
                let found: BTreeSet<Event> = found.into_iter().collect();
                assert!(before.iter().all(|event| found.contains(event)), "lost at cut {seed}");
            }
        });
        appenders.into_iter().for_each(|appender| appender.join().unwrap());
        done.store(true, Ordering::Release);
    });
    let last = wal.active();
    assert_eq!(last, THREADS * REQUESTS as u64 / ROTATE_EVERY);
    drop(wal);
    let (report, found) = replay_from(&disk.cut_power(), 0, 3);
    assert!(is_clean(&report), "{report:?}");
    assert_eq!(report.segments.len() as u64, last + 1);
    let acknowledged = acknowledged.into_inner().unwrap();
    assert_eq!(found.len(), acknowledged.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), acknowledged.into_iter().collect::<BTreeSet<_>>());
}

#[test]
fn appenders_and_exclusive_rotations() {
    run(true);
}

/// The store holds a lock around a rotation; the log is right without it, too.
#[test]
fn appenders_and_rotations_at_any_moment() {
    run(false);
}
