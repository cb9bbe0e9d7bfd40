//! Many appenders, rotations and power cuts at once.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::task::{Context, Waker};

use testkit::{Op, Rng, SimDisk};
use wal::{Ack, Options, Wal};

use crate::common::{Event, append, create, deterministic, events_of, is_clean, key_of, replay_from};

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

/// What other threads may do while a key is made, done by the same thread at exactly that moment.
#[test]
fn a_rotation_in_the_middle_of_an_append() {
    let disk = SimDisk::new(2);
    let wal = create(&disk, 0, deterministic());
    let mut is_first = true;
    let ticket = wal.append_samples(&[1], &[10], &[1.0], &mut |slot, key| {
        key.extend_from_slice(&key_of(slot));
        if std::mem::take(&mut is_first) {
            wal.rotate().unwrap();
            wal.sync_now().unwrap();
        }
    });
    wal.sync_now().unwrap();
    let (report, found) = replay_from(&disk.what_if_cut(1), 0, 1);
    assert!(is_clean(&report) && found == events_of(&[(1, 10, 1.0)]), "{report:?}");
    ticket.unwrap().wait().unwrap();
}

#[test]
fn a_slot_that_somebody_else_defines_meanwhile() {
    let disk = SimDisk::new(3);
    let wal = create(&disk, 0, deterministic());
    let mut is_first = true;
    let ticket = wal.append_samples(&[1, 2], &[10, 10], &[1.0, 2.0], &mut |slot, key| {
        key.extend_from_slice(&key_of(slot));
        if std::mem::take(&mut is_first) {
            append(&wal, &[(1, 20, 500.5)]).unwrap().wait().unwrap();
        }
    });
    ticket.unwrap().wait().unwrap();
    let (report, found) = replay_from(&disk, 0, 1);
    assert!(is_clean(&report), "{report:?}");
    assert_eq!((report.definitions, wal.stats().definitions), (2, 2));
    assert_eq!(found, events_of(&[(1, 20, 500.5), (1, 10, 1.0), (2, 10, 2.0)]));
}

#[test]
fn what_comes_during_a_sync_is_not_acknowledged_by_it() {
    let disk = SimDisk::new(4);
    let wal = Arc::new(create(&disk, 0, deterministic()));
    let late = Arc::new(Mutex::new(None));
    let (weak, slot) = (Arc::downgrade(&wal), Arc::clone(&late));
    disk.on_operation(move |op, _| {
        let mut slot = slot.lock().unwrap();
        if let (Op::Sync, None, Some(wal)) = (op, &*slot, weak.upgrade()) {
            *slot = Some(append(&wal, &[(1, 20, 2.0)]).unwrap());
        }
    });
    append(&wal, &[(1, 10, 1.0)]).unwrap().wait().unwrap();
    let mut late = late.lock().unwrap().take().expect("there was a sync");
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut late).poll(&mut context).is_pending());
    assert_eq!(replay_from(&disk.what_if_cut(1), 0, 1).1, events_of(&[(1, 10, 1.0)]));
    late.wait().unwrap();
    assert_eq!(replay_from(&disk.what_if_cut(1), 0, 1).1.len(), 2);
}

#[test]
fn what_is_appended_before_anybody_waits_is_one_commit() {
    let disk = SimDisk::new(5);
    let wal = create(&disk, 0, Options::default());
    for round in 0..50 {
        let tickets: Vec<_> = (0..4).map(|at| append(&wal, &[(at, round, 1.0)]).unwrap()).collect();
        tickets.into_iter().for_each(|ticket| ticket.wait().unwrap());
        assert_eq!(wal.stats().commits, round as u64 + 1);
    }
    assert_eq!(replay_from(&disk.cut_power(), 0, 1).1.len(), 200);
}

#[test]
fn what_nobody_waits_for_is_committed_all_the_same() {
    let disk = SimDisk::new(6);
    let wal = create(&disk, 0, Options::default());
    drop(append(&wal, &[(1, 10, 1.0)]).unwrap());
    while wal.stats().commits == 0 {
        std::thread::yield_now();
    }
    let unacknowledged = create(&SimDisk::new(7), 0, Options { ack: Ack::None, ..Options::default() });
    append(&unacknowledged, &[(1, 10, 1.0)]).unwrap().wait().unwrap();
    while unacknowledged.stats().commits == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn room_that_nobody_waits_for_is_made() {
    let disk = SimDisk::new(8);
    let options = Options { waiting_bytes_max: 100, ..Options::default() };
    let wal = create(&disk, 0, options);
    let tickets: Vec<_> = (0..50).map(|time| append(&wal, &[(1, time, 1.0)]).unwrap()).collect();
    tickets.into_iter().for_each(|ticket| ticket.wait().unwrap());
}
