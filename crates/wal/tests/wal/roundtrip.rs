//! What is logged comes back.

use proptest::prelude::*;
use testkit::SimDisk;
use wal::{Ack, Options, SAMPLES_PER_RECORD_MAX};

use crate::common::{Event, append, create, deterministic, dir, events_of, is_clean, replay_from, sorted};

#[test]
fn every_kind_comes_back_from_every_segment() {
    let disk = SimDisk::new(1);
    let wal = create(&disk, 5, deterministic());
    let first = [(0, 1000, 1.5), (1, 1000, 2.0), (7, 1003, f64::NAN), (0, 2000, -0.0)];
    append(&wal, &first).unwrap().wait().unwrap();
    wal.append_tombstone(b"delete").unwrap().wait().unwrap();
    wal.append_metadata(b"help").unwrap().wait().unwrap();
    let second = [(1, 3000, 3.0), (0, 3000, 1e300)];
    append(&wal, &second).unwrap().wait().unwrap();
    assert_eq!(wal.rotate().unwrap(), 5);
    let third = [(1, 4000, 7.0), (2, 4000, f64::INFINITY)];
    append(&wal, &third).unwrap().wait().unwrap();

    for threads in [1, 3] {
        let (report, events) = replay_from(&disk, 5, threads);
        assert!(is_clean(&report), "{report:?}");
        assert_eq!((report.samples, report.definitions, report.next_number), (8, 5, 7));
        let barrier = events.iter().position(|event| *event == Event::Tombstone(b"delete".to_vec())).unwrap();
        assert_eq!(sorted(events[..barrier].to_vec()), sorted(events_of(&first)));
        let rest = [vec![Event::Metadata(b"help".to_vec())], events_of(&second), events_of(&third)].concat();
        assert_eq!(sorted(events[barrier + 1..].to_vec()), sorted(rest));
    }
    let (report, events) = replay_from(&disk, 6, 1);
    assert_eq!((report.segments.len(), sorted(events)), (1, sorted(events_of(&third))));

    let bytes_before = wal.bytes();
    wal.remove_through(5).unwrap();
    assert_eq!(wal.bytes(), wal.active_bytes());
    assert!(wal.bytes() < bytes_before);
    assert_eq!(replay_from(&disk, 6, 1).0.segments.len(), 1);
}

#[test]
fn requests_of_any_length_come_back() {
    let disk = SimDisk::new(2);
    let wal = create(&disk, 0, deterministic());
    append(&wal, &[]).unwrap().wait().unwrap();
    let many: Vec<_> = (0..2 * SAMPLES_PER_RECORD_MAX as u32 + 7).map(|at| (at % 20_000, i64::from(at), 0.5)).collect();
    append(&wal, &many).unwrap().wait().unwrap();
    let (report, events) = replay_from(&disk, 0, 2);
    assert!(is_clean(&report));
    assert_eq!((report.definitions, wal.stats().definitions), (20_000, 20_000));
    assert_eq!(sorted(events), sorted(events_of(&many)));
}

#[test]
fn the_background_thread_commits_in_every_mode() {
    for ack in [Ack::Power, Ack::Process, Ack::None] {
        let disk = SimDisk::new(3);
        let wal = create(&disk, 0, Options { ack, ..Options::default() });
        let samples = [(3, 10, 1.0), (4, 10, 2.0)];
        append(&wal, &samples).unwrap().wait().unwrap();
        if ack == Ack::Power {
            assert_eq!(replay_from(&disk.what_if_cut(9), 0, 1).1, events_of(&samples));
        }
        if ack != Ack::None {
            assert_eq!(replay_from(&disk, 0, 1).1, events_of(&samples));
        }
        wal.sync_now().unwrap();
        assert_eq!(replay_from(&disk.what_if_cut(9), 0, 1).1, events_of(&samples));
        wal.rotate().unwrap();
        append(&wal, &[(3, 20, 1.0)]).unwrap().wait().unwrap();
        drop(wal);
        assert_eq!(replay_from(&disk.cut_power(), 0, 1).1.len(), 3, "closing syncs what waits");
    }
}

#[test]
fn a_log_goes_on_where_the_last_process_stopped() {
    let disk = SimDisk::new(4);
    for number in 0..3 {
        let (report, _) = replay_from(&disk, 0, 1);
        assert_eq!(report.next_number, number);
        let wal = create(&disk, number, deterministic());
        append(&wal, &[(1, number as i64, 4.0)]).unwrap().wait().unwrap();
        drop(wal);
    }
    let (report, events) = replay_from(&disk, 0, 1);
    assert!(is_clean(&report));
    assert_eq!(events, events_of(&[(1, 0, 4.0), (1, 1, 4.0), (1, 2, 4.0)]));
    let wal = create(&disk, 3, deterministic());
    assert_eq!(wal.bytes() - wal.active_bytes(), report.segments.iter().map(|segment| segment.1).sum::<u64>());
    wal.remove_through(2).unwrap();
    assert_eq!(disk::Disk::list(&disk, &dir()).unwrap().len(), 1);
}

#[test]
fn a_freed_slot_stands_for_another_series_in_the_next_segment() {
    let disk = SimDisk::new(5);
    let wal = create(&disk, 0, deterministic());
    append(&wal, &[(1, 10, 1.0)]).unwrap().wait().unwrap();
    wal.forget_slots(&[1, 99]);
    assert!(!wal.reusable(1) && wal.reusable(99));
    wal.rotate().unwrap();
    assert!(wal.reusable(1));
    let reused = wal.append_samples(&[1], &[20], &[2.0], &mut |_, key| {
        key.extend_from_slice(&crate::common::key_of(500));
    });
    reused.unwrap().wait().unwrap();
    assert_eq!(replay_from(&disk, 0, 1).1, events_of(&[(1, 10, 1.0), (500, 20, 2.0)]));
}

/// Values as they come in life: equal, counting, close, wild.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(5.0),
        (0_i64..100_000).prop_map(|count| count as f64),
        (0_i64..1000).prop_map(|tenths| tenths as f64 / 10.0),
        any::<u64>().prop_map(f64::from_bits),
    ]
}

/// Times as they come in life: the same, a step later, anything.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![Just(1_700_000_000_000), (0_i64..5).prop_map(|step| 1_700_000_000_000 + step * 15_000), any::<i64>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_requests_come_back(
        requests in proptest::collection::vec(
            proptest::collection::vec((0_u32..40, time(), value()), 0..60), 1..12,
        ),
        rotate_before in 0_usize..12,
        threads in 1_usize..4,
    ) {
        let disk = SimDisk::new(6);
        let wal = create(&disk, 0, deterministic());
        let mut all = Vec::new();
        for (at, request) in requests.iter().enumerate() {
            if at == rotate_before {
                wal.rotate().unwrap();
            }
            append(&wal, request).unwrap().wait().unwrap();
            all.extend(events_of(request));
        }
        let (report, events) = replay_from(&disk, 0, threads);
        prop_assert!(is_clean(&report));
        prop_assert_eq!(report.samples, all.len() as u64);
        prop_assert_eq!(sorted(events), sorted(all));
    }
}
