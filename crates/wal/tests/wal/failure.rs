//! A broken disk, a full buffer, foreign files: clear errors, and nothing lost that was promised.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use disk::Disk;
use testkit::{Fault, Op, SimDisk};
use wal::{Ack, KEY_BYTES_MAX, Options, PAYLOAD_BYTES_MAX, SLOTS_MAX, WalError};

use crate::common::{Memory, append, create, deterministic, dir, events_of, is_clean, replay_from, sorted};

#[test]
fn a_failed_sync_poisons_its_segment_and_the_next_one_is_healthy() {
    for background in [false, true] {
        let disk = SimDisk::new(1);
        let options = if background { Options::default() } else { deterministic() };
        let wal = create(&disk, 0, options);
        append(&wal, &[(1, 1, 1.0)]).unwrap().wait().unwrap();
        disk.inject(Fault::on(Op::Sync).path("wal/*").nth(1).drop_dirty());
        let lost = append(&wal, &[(1, 2, 2.0)]).unwrap().wait();
        assert!(matches!(lost, Err(WalError::Poisoned { segment: 0, .. })), "{lost:?}");
        // The disk would say yes now; the segment must not.
        for _ in 0..3 {
            let refused = append(&wal, &[(1, 3, 3.0)]);
            assert!(matches!(refused, Err(WalError::Poisoned { .. })), "{refused:?}");
            assert!(wal.sync_now().is_err());
        }
        assert_eq!(wal.stats().failures, 1);
        wal.rotate().unwrap();
        append(&wal, &[(1, 4, 4.0)]).unwrap().wait().unwrap();
        assert_eq!(wal.stats().failures, 1);
        let (_, found) = replay_from(&disk.cut_power(), 0, 1);
        let found = sorted(found);
        assert!(events_of(&[(1, 1, 1.0), (1, 4, 4.0)]).iter().all(|event| found.contains(event)), "{found:?}");
        assert!(!found.contains(&events_of(&[(1, 3, 3.0)])[0]));
    }
}

#[test]
fn a_later_sync_acknowledges_nothing_that_an_earlier_one_lost() {
    let disk = SimDisk::new(12);
    let wal = create(&disk, 0, deterministic());
    disk.inject(Fault::on(Op::Sync).path("wal/*").nth(1).drop_dirty());
    let first = append(&wal, &[(1, 1, 1.0)]).unwrap();
    let second = append(&wal, &[(1, 2, 2.0)]).unwrap();
    assert!(first.wait().is_err());
    wal.rotate().unwrap();
    append(&wal, &[(1, 3, 3.0)]).unwrap().wait().unwrap();
    wal.sync_now().unwrap();
    assert!(matches!(second.wait(), Err(WalError::Poisoned { segment: 0, .. })));
    assert_eq!(disk.count(Op::Sync), 2, "a poisoned segment is not synced again");
}

#[test]
fn a_full_disk_is_named_and_what_was_acknowledged_stays() {
    let disk = SimDisk::new(2);
    let wal = create(&disk, 0, deterministic());
    append(&wal, &[(1, 1, 1.0)]).unwrap().wait().unwrap();
    disk.set_free_bytes(0);
    append(&wal, &[(1, 2, 2.0)]).unwrap().wait().expect("room was made for it before");
    disk.set_free_bytes(40);
    let many: Vec<_> = (0..20_000).map(|series| (series, 2, f64::from(series).sqrt())).collect();
    match append(&wal, &many).unwrap().wait() {
        Err(error @ WalError::Poisoned { .. }) => {
            let WalError::Poisoned { cause, .. } = &error else { unreachable!("matched above") };
            assert!(cause.is_full(), "{cause}");
            assert!(error.to_string().contains("0000000000000000 takes no more records"), "{error}");
        }
        other => panic!("a full disk said {other:?}"),
    }
    disk.set_free_bytes(1 << 20);
    wal.rotate().unwrap();
    append(&wal, &[(2, 3, 3.0)]).unwrap().wait().unwrap();
    wal.remove_through(0).unwrap();
    assert_eq!(replay_from(&disk.cut_power(), 1, 1).1, events_of(&[(2, 3, 3.0)]));
}

#[test]
fn a_rotation_that_fails_changes_nothing_and_can_be_repeated() {
    let disk = SimDisk::new(3);
    let wal = create(&disk, 0, deterministic());
    append(&wal, &[(1, 1, 1.0)]).unwrap().wait().unwrap();
    disk.fail_nth(Op::Create, 1, 28);
    assert!(matches!(wal.rotate(), Err(WalError::Disk(_))));
    append(&wal, &[(1, 2, 2.0)]).unwrap().wait().unwrap();
    // An attempt that failed late leaves its file behind.
    drop(disk.create(&dir().join("0000000000000001.log")).unwrap());
    assert_eq!(wal.rotate().unwrap(), 0);
    assert_eq!(wal.active(), 2);
    append(&wal, &[(1, 3, 3.0)]).unwrap().wait().unwrap();
    let (report, events) = replay_from(&disk.cut_power(), 0, 1);
    assert!(is_clean(&report), "{report:?}");
    assert_eq!(events, events_of(&[(1, 1, 1.0), (1, 2, 2.0), (1, 3, 3.0)]));
    assert_eq!(report.next_number, 3);
}

#[test]
fn removal_goes_on_after_an_error() {
    let disk = SimDisk::new(4);
    let wal = create(&disk, 0, deterministic());
    for time in 0..3 {
        append(&wal, &[(1, time, 1.0)]).unwrap().wait().unwrap();
        wal.rotate().unwrap();
    }
    disk.fail_nth(Op::RemoveFile, 2, 5);
    assert!(wal.remove_through(2).is_err());
    wal.remove_through(2).unwrap();
    assert_eq!(Disk::list(&disk, &dir()).unwrap().len(), 1);
    assert_eq!(wal.bytes(), wal.active_bytes());
}

#[test]
fn a_buffer_that_is_full_refuses_after_a_while() {
    let disk = SimDisk::new(5);
    let options = Options { waiting_bytes_max: 10_000, room_wait_max: Duration::ZERO, ..Options::default() };
    let wal = create(&disk, 0, options);
    // The committer stands in its sync until the test lets it go.
    let gate = std::sync::Arc::new(std::sync::RwLock::new(()));
    let closed = gate.write().unwrap();
    let at_gate = std::sync::Arc::clone(&gate);
    disk.on_operation(move |op, _| {
        if op == Op::Sync {
            drop(at_gate.read().unwrap());
        }
    });
    let mut tickets = Vec::new();
    let refused = (0..100_000).find_map(|time| match append(&wal, &[(1, time, 1.0)]) {
        Ok(ticket) => {
            tickets.push(ticket);
            None
        }
        Err(error) => Some(error),
    });
    assert!(matches!(refused, Some(WalError::Overloaded { limit: 10_000, .. })), "{refused:?}");
    drop(closed);
    let logged = tickets.len();
    tickets.into_iter().for_each(|ticket| ticket.wait().unwrap());
    append(&wal, &[(1, -1, 1.0)]).unwrap().wait().unwrap();
    assert_eq!(replay_from(&disk.cut_power(), 0, 1).1.len(), logged + 1);
}

#[test]
fn what_no_record_takes_is_refused() {
    let disk = SimDisk::new(6);
    let wal = create(&disk, 0, deterministic());
    let too_long = wal.append_tombstone(&vec![0; PAYLOAD_BYTES_MAX + 1]);
    assert!(matches!(too_long, Err(WalError::TooLong { what: "tombstone", .. })));
    let too_high = wal.append_samples(&[SLOTS_MAX], &[0], &[0.0], &mut |_, _| ());
    assert!(matches!(too_high, Err(WalError::SlotTooHigh(SLOTS_MAX))));
    let long_key = wal.append_samples(&[1], &[0], &[0.0], &mut |_, key| key.resize(KEY_BYTES_MAX + 1, 7));
    assert!(matches!(long_key, Err(WalError::TooLong { what: "a series key", .. })));
    append(&wal, &[(1, 1, 1.0)]).unwrap().wait().unwrap();
    assert_eq!(replay_from(&disk, 0, 1).1, events_of(&[(1, 1, 1.0)]));
}

#[test]
fn tickets_are_futures() {
    let disk = SimDisk::new(7);
    let wal = create(&disk, 0, deterministic());
    let mut ticket = append(&wal, &[(1, 1, 1.0)]).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut ticket).poll(&mut context).is_pending());
    drop(append(&wal, &[(1, 2, 1.0)]).unwrap());
    wal.sync_now().unwrap();
    assert!(matches!(Pin::new(&mut ticket).poll(&mut context), Poll::Ready(Ok(()))));
    let unsynced = create_with(&SimDisk::new(8), Ack::None);
    let mut at_once = append(&unsynced, &[(1, 1, 1.0)]).unwrap();
    assert!(Pin::new(&mut at_once).poll(&mut context).is_ready());
}

fn create_with(disk: &SimDisk, ack: Ack) -> wal::Wal {
    create(disk, 0, Options { ack, ..deterministic() })
}

#[test]
fn foreign_files_missing_and_renamed_segments_are_reported() {
    let disk = SimDisk::new(9);
    let wal = create(&disk, 0, deterministic());
    for time in 0..4 {
        append(&wal, &[(1, time, 1.0)]).unwrap().wait().unwrap();
        wal.rotate().unwrap();
    }
    drop(wal);
    let path = |name: &str| dir().join(name);
    drop(disk.create(&path("notes.txt")).unwrap());
    disk.remove_file(&path("0000000000000001.log")).unwrap();
    disk.rename(&path("0000000000000003.log"), &path("0000000000000009.log")).unwrap();
    let (report, events) = replay_from(&disk, 0, 1);
    assert_eq!(events, events_of(&[(1, 0, 1.0), (1, 2, 1.0)]));
    assert!(report.foreign.len() == 1 && report.foreign[0].ends_with("wal/notes.txt"), "{:?}", report.foreign);
    let damaged: Vec<String> = report.damaged.iter().map(ToString::to_string).collect();
    assert_eq!(damaged.len(), 4, "{damaged:?}");
    assert!(damaged[0].contains("0000000000000001.log") && damaged[0].contains("missing"), "{damaged:?}");
    assert!(damaged[3].contains("0000000000000009.log") && damaged[3].contains("another name"), "{damaged:?}");
    assert_eq!(report.next_number, 10);
}

#[test]
fn a_newer_format_stops_before_anything_is_replayed() {
    let disk = SimDisk::new(10);
    let wal = create(&disk, 0, deterministic());
    append(&wal, &[(1, 1, 1.0)]).unwrap().wait().unwrap();
    drop(wal);
    let mut header = [b"basaltwl".as_slice(), &7_u32.to_le_bytes(), &[0; 24]].concat();
    header.extend_from_slice(&disk::crc32c(&header).to_le_bytes());
    header.resize(8192, 0);
    disk.create(&dir().join("0000000000000001.log")).unwrap().append(&header).unwrap();
    let sink = Memory::default();
    let error = wal::replay(&disk, &dir(), 0, 1, &sink).expect_err("version 7 is not known");
    assert!(error.to_string().contains("format version 7, this program reads up to version 1"), "{error}");
    assert!(sink.events().is_empty());
}

#[test]
fn a_log_that_cannot_be_read_is_an_error_and_one_that_is_missing_is_empty() {
    let disk = SimDisk::new(11);
    let (report, events) = replay_from(&disk, 3, 1);
    assert_eq!((report.next_number, events.len()), (3, 0));
    drop(create(&disk, 3, deterministic()));
    disk.fail_reads_of("wal/*");
    let error = wal::replay(&disk, &dir(), 3, 1, &Memory::default()).expect_err("the disk cannot be read");
    assert!(error.to_string().contains("cannot map"), "{error}");
}
