//! Faults that a test plans.

use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;

use disk::Disk;
use testkit::{Fault, Op, SimDisk};

fn p(path: &str) -> &Path {
    Path::new(path)
}

#[test]
fn the_chosen_operation_fails_with_the_chosen_error() {
    let disk = SimDisk::new(0);
    disk.fail_nth(Op::Rename, 2, libc::EXDEV);
    disk.plant("a", b"");
    disk.rename(p("a"), p("b")).unwrap();
    let error = disk.rename(p("b"), p("c")).unwrap_err();
    assert_eq!(error.source.raw_os_error(), Some(libc::EXDEV));
    assert!(error.to_string().starts_with("cannot rename /sim/b to /sim/c: "), "{error}");
    disk.rename(p("b"), p("c")).unwrap();
}

#[test]
fn reads_of_a_path_fail_until_the_faults_are_cleared() {
    let disk = SimDisk::new(0);
    disk.plant("parts/1/data", b"x");
    disk.plant("parts/2/data", b"x");
    disk.fail_reads_of("parts/1/*");
    assert!(disk.read(p("parts/1/data"), 1).is_err() && disk.map(p("parts/1/data")).is_err());
    disk.read(p("parts/2/data"), 1).unwrap();
    disk.clear_faults();
    disk.read(p("parts/1/data"), 1).unwrap();
}

#[test]
fn faults_by_chance_strike_about_as_often_as_asked() {
    let disk = SimDisk::new(5);
    disk.fail_with_probability(0.3);
    let failed = (0..1000).filter(|number| disk.create(p(&number.to_string())).is_err()).count();
    assert!((200..400).contains(&failed), "{failed} of 1000");
    assert!((0..100).all(|_| disk.exists(p("1")).is_ok()), "reading is spared");
}

#[test]
fn a_short_write_leaves_a_part() {
    let lens: Vec<usize> = (0..20)
        .map(|seed| {
            let disk = SimDisk::new(seed);
            let mut file = disk.create(p("f")).unwrap();
            disk.inject(Fault::on(Op::Append).nth(1).write_short());
            file.append(&[7; 100]).unwrap_err();
            assert!(file.is_empty(), "only appends that succeeded count");
            disk.contents("f").len()
        })
        .collect();
    assert!(lens.iter().all(|&len| len < 100) && lens.iter().any(|&len| len > 0), "{lens:?}");
}

#[test]
fn a_full_disk_takes_what_fits_and_comes_back() {
    let disk = SimDisk::new(0);
    disk.plant("old", &[1; 500]);
    disk.set_free_bytes(100);
    let mut file = disk.create(p("f")).unwrap();
    file.append(&[2; 60]).unwrap();
    assert_eq!(disk.free_bytes().unwrap(), 40);
    assert!(file.append(&[3; 60]).unwrap_err().is_full());
    assert_eq!((disk.len(p("f")).unwrap(), disk.free_bytes().unwrap()), (100, 0));
    disk.remove_file(p("old")).unwrap();
    assert_eq!(disk.free_bytes().unwrap(), 500);
    for name in ["g", "h"] {
        disk.create(p(name)).unwrap().append(&[5; 50]).unwrap();
    }
    disk.rename(p("g"), p("h")).unwrap();
    assert_eq!(disk.free_bytes().unwrap(), 450, "what was replaced makes room");
    disk.remove_file(p("h")).unwrap();
    file.append(&[4; 60]).unwrap();
    let disk = disk.kill();
    assert_eq!(disk.free_bytes().unwrap(), 480, "the drive is as big as before");
}

#[test]
fn a_sync_that_drops_is_followed_by_syncs_that_lie() {
    let lost = (0..50).any(|seed| {
        let disk = SimDisk::new(seed);
        let mut file = disk.create(p("f")).unwrap();
        disk.sync_dir(p("")).unwrap();
        file.append(&[1; 2000]).unwrap();
        disk.inject(Fault::on(Op::Sync).nth(1).drop_dirty());
        file.sync().unwrap_err();
        file.sync().unwrap();
        assert_eq!(disk.contents("f"), [1; 2000]);
        disk.cut_power().contents("f") != [1; 2000]
    });
    assert!(lost);
}

#[test]
fn a_sync_of_a_folder_that_drops_is_followed_by_syncs_that_lie() {
    let disk = SimDisk::new(0);
    disk.inject(Fault::on(Op::SyncDir).nth(1).drop_dirty());
    disk.create(p("f")).unwrap();
    disk.sync_dir(p("")).unwrap_err();
    disk.sync_dir(p("")).unwrap();
    assert!((0..50).any(|seed| disk.what_if_cut(seed).files().is_empty()));
}

#[test]
fn an_ignored_sync_says_yes_and_does_nothing() {
    let disk = SimDisk::new(0);
    disk.ignore_sync("wal/*");
    for folder in ["wal", "parts"] {
        disk.create_dir_all(p(folder)).unwrap();
        let mut file = disk.create(&p(folder).join("1")).unwrap();
        file.append(&[1; 2000]).unwrap();
        file.sync().unwrap();
        disk.sync_dir(p(folder)).unwrap();
    }
    disk.sync_dir(p("")).unwrap();
    assert!(disk.is_durable("parts/1") && !disk.is_durable("wal/1"));
    let again = disk.kill();
    again.reopen(p("wal/1"), 2000).unwrap().sync().unwrap();
    assert!(!again.is_durable("wal/1"), "it goes on after a restart");
    again.plant("wal/2", &[1; 100]);
    again.reopen(p("wal/2"), 10).unwrap();
    assert!((0..50).any(|seed| again.what_if_cut(seed).contents("wal/2").len() == 100), "a cut is ignored too");
}

#[test]
fn damage_is_seen_by_readers_and_survives() {
    let disk = SimDisk::new(0);
    disk.plant("f", &[0; 8]);
    disk.flip_bit("f", 3);
    disk.damage("f", 5, 0xFF);
    let bytes = disk.contents("f");
    assert_eq!((bytes[3].count_ones(), bytes[5]), (1, 0xFF));
    disk.truncate("f", 6);
    let after = disk.cut_power();
    assert_eq!(after.contents("f"), bytes[..6]);
    assert_eq!(after.read(p("f"), 8).unwrap(), bytes[..6]);
}

#[test]
fn operations_are_counted_and_logged_in_order() {
    let disk = SimDisk::new(0);
    disk.fail_nth(Op::Sync, 1, libc::EIO);
    let mut file = disk.create(p("f")).unwrap();
    file.append(b"abc").unwrap();
    file.sync().unwrap_err();
    disk.rename(p("f"), p("g")).unwrap();
    let expect = "1 create \"f\"\n2 append to \"f\" 3 bytes\n3 sync \"f\" FAILED\n4 rename \"f\" to \"g\"\n";
    assert_eq!(disk.trace(), expect);
    assert_eq!((disk.count(Op::Sync), disk.count(Op::Read), disk.operations()), (1, 0, 4));
}

#[test]
fn a_hook_can_hold_a_sync_while_others_go_on() {
    let disk = SimDisk::new(0);
    let mut file = disk.create(p("f")).unwrap();
    let (reached, sync_reached) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    disk.on_operation(move |op, _| {
        if op == Op::Sync {
            reached.send(()).unwrap();
            held.lock().unwrap().recv().unwrap();
        }
    });
    let syncer = thread::spawn(move || file.sync());
    sync_reached.recv().unwrap();
    disk.create(p("other")).unwrap().append(b"meanwhile").unwrap();
    release.send(()).unwrap();
    syncer.join().unwrap().unwrap();
    let order: Vec<Op> = disk.events().iter().map(|event| event.op).collect();
    assert_eq!(order, [Op::Create, Op::Create, Op::Append, Op::Sync]);
}

#[test]
fn a_long_life_keeps_no_garbage_and_loses_nothing() {
    let disk = SimDisk::new(0);
    let mut kept = disk.create(p("kept")).unwrap();
    disk.remove_file(p("kept")).unwrap();
    disk.create_dir_all(p("unsynced")).unwrap();
    disk.sync_dir(p("")).unwrap();
    let mut file = disk.create(p("unsynced/f")).unwrap();
    file.append(b"x").unwrap();
    file.sync().unwrap();
    drop(file);
    disk.remove_file(p("unsynced/f")).unwrap();
    for number in 0..5000 {
        let path = format!("wal-{number}");
        disk.create(p(&path)).unwrap().append(&[1; 100]).unwrap();
        disk.sync_dir(p("")).unwrap();
        disk.remove_file(p(&path)).unwrap();
    }
    disk.sync_dir(p("")).unwrap();
    kept.append(b"a removed file that is open can still be written").unwrap();
    kept.sync().unwrap();
    assert!(disk.files().is_empty());
    let came_back = |seed| disk.what_if_cut(seed).files() == [p("unsynced/f")];
    assert!((0..50).any(came_back), "a removal that was not synced can still be undone");
}
