//! Disks that are really full: each write to them fails, and there is room again some time later.
//!
//! 1. Folders of the nodes lie on small disks in memory (`testkit::apart`), which a file of the test fills to the last byte.
//! 2. A storage whose log cannot be written goes read-only and says so; its inserts keep hints, so that each write is acknowledged and each answer whole.
//!    When there is room it takes rows again by itself. It may be killed while its disk is full.
//! 3. An insert that cannot write hints refuses what needs one and says why. It tries again by itself. One that waits for all copies needs none.
//! 4. In the end everything that was acknowledged is on two storages.

use std::{io, path::Path, process::Command, sync::Arc, thread};

use testkit::{
    Rng,
    apart::{Own, SmallDisk, with_own},
};

use super::{
    load::{Ends, METRIC, SENDERS, Sender, Watch, check_copies, merge, read},
    nodes::{Nodes, Shape, start_role},
    writes::{batches, body, exported, insert, node, write},
};
use crate::{
    ledger::Ledger,
    prometheus::wait_until,
    server::{Basalt, PATIENCE, folder},
};

const DISK_BYTES: u64 = 64 << 20;
/// Batches that are acknowledged while the disk is full, and before and after.
const BATCHES: u64 = 40;
const COPIES: usize = 2;
/// The batch of the insert that waits for all copies.
const STRICT: i64 = 1_000_000;
/// What the system says then.
const NO_ROOM: &str = "No space left on device";

/// Does something where disks can be mounted, if the machine allows it.
fn where_disks_can_be_mounted(work: impl FnOnce() -> io::Result<()> + Send) {
    if let Err(why) = with_own(Own::Mounts, work).flatten() {
        println!("left out, the machine does not allow mounts of our own: {why}");
    }
}

/// Mounts a small disk over a folder, with what lies in it.
fn put_on_small_disk(path: &Path) -> io::Result<SmallDisk> {
    let copy = |from: &Path, to: &Path| {
        let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().expect("cp can be run");
        assert!(status.success(), "{from:?} cannot be copied");
    };
    let aside = folder();
    copy(path, aside.path());
    let disk = SmallDisk::mount(path, DISK_BYTES)?;
    copy(aside.path(), path);
    Ok(disk)
}

fn is_read_only(storage: &Basalt, path: &Path) -> bool {
    storage.metric(&format!("vm_storage_is_read_only{{path=\"{}\"}}", path.display())) == 1.0
}

#[test]
fn a_storage_whose_disk_is_full_comes_back_by_itself() {
    where_disks_can_be_mounted(|| {
        let mut nodes = Nodes::start(Shape { inserts: 1, storages: 3, copies: COPIES });
        nodes.storages[0].stop();
        let path = nodes.storages[0].folder.path().to_path_buf();
        let disk = put_on_small_disk(&path)?;
        // Nothing watches over the room that is left: writes fail.
        let flag = ["-storage.minFreeDiskSpaceBytes=0"];
        nodes.storages[0].start(&flag);
        wait_until("nothing is lacking", || nodes.is_settled());

        let mut rng = Rng::new(1);
        let watch = Watch::default();
        let mut senders: Vec<Sender> = (0..SENDERS).map(|number| Sender::new(number, rng.fork())).collect();
        let (reader, doors) = (rng.fork(), Arc::clone(&nodes.doors));
        let work = || {
            let target = watch.batches() + BATCHES;
            wait_until("batches are acknowledged", || watch.batches() >= target);
        };
        thread::scope(|scope| {
            let _ends = Ends(&watch);
            watch.set_calm(true);
            for sender in &mut senders {
                scope.spawn(|| sender.run(&doors, 1, &watch));
            }
            scope.spawn(|| read(reader, &doors, &watch));
            for is_killed in [false, true] {
                work();
                disk.fill().expect("the disk can be filled");
                wait_until("the storage goes read-only", || is_read_only(node(&nodes.storages[0]), &path));
                let said =
                    node(&nodes.storages[0]).process.wait_for_line("goes read-only", PATIENCE).expect("it says so");
                assert!(said.contains(NO_ROOM), "{said}");
                work();
                if is_killed {
                    nodes.storages[0].kill9();
                    work();
                }
                disk.free().expect("the room can be given back");
                if is_killed {
                    nodes.storages[0].start(&flag);
                }
                wait_until("it takes rows again", || !is_read_only(node(&nodes.storages[0]), &path));
                wait_until("nothing is lacking", || nodes.is_settled());
            }
            work();
        });
        wait_until("nothing is lacking", || nodes.is_settled());

        assert_eq!(watch.failures(), Vec::<String>::new());
        let (mut sent, mut acknowledged) = (Ledger::default(), Ledger::default());
        for sender in &senders {
            merge(&mut sent, &sender.sent);
            merge(&mut acknowledged, &sender.acknowledged);
        }
        let selector = format!("{METRIC}&start=1");
        nodes.select().export(&selector).check(&acknowledged, &sent);
        let on_nodes: Vec<Ledger> = nodes.storages.iter().map(|storage| node(storage).export(&selector)).collect();
        check_copies(&on_nodes, &acknowledged, COPIES);
        drop(disk);
        Ok(())
    });
}

#[test]
fn an_insert_whose_hints_have_no_room_refuses_what_needs_them() {
    where_disks_can_be_mounted(|| {
        let mut nodes = Nodes::start(Shape { inserts: 1, storages: 2, copies: COPIES });
        let hints = folder();
        let disk = SmallDisk::mount(hints.path(), DISK_BYTES)?;
        nodes.stop_insert(0);
        nodes.start_insert_with(0, &[&format!("-hints.path={}", hints.path().display())]);
        let list: Vec<String> = nodes.storages.iter().map(|storage| storage.insert_address(0).to_string()).collect();
        let strict = start_role(
            "insert",
            &[
                format!("-storageNode={}", list.join(",")),
                format!("-replicationFactor={COPIES}"),
                "-insert.ack=strict".to_string(),
                format!("-hints.path={}", hints.path().join("strict").display()),
            ],
        );
        wait_until("the storages know the insert", || nodes.is_settled());
        let mut sent = 0;
        let mut acknowledged = Ledger::default();
        let mut send = |nodes: &Nodes| {
            let (status, why) = write(insert(nodes), sent);
            if status == 204 {
                merge(&mut acknowledged, &body(sent).ledger);
            }
            sent += 1;
            (status, why)
        };
        assert_eq!(send(&nodes).0, 204);
        nodes.storages[0].kill9();
        assert_eq!(send(&nodes).0, 204, "a hint is written");
        for _ in 0..2 {
            disk.fill().expect("the disk can be filled");
            let mut refusals = Vec::new();
            wait_until("hints have no room", || {
                let (status, why) = send(&nodes);
                assert!(matches!(status, 204 | 503), "{status} {why}");
                refusals.extend((status == 503).then_some(why));
                refusals.len() >= 10
            });
            assert!(refusals[0].contains("hint") && refusals[0].contains(NO_ROOM), "{refusals:?}");
            let (status, why) = write(&strict, STRICT);
            assert!(status == 503 && why.contains(&list[0]), "{status} {why}");
            disk.free().expect("the room can be given back");
            wait_until("hints are written again", || send(&nodes).0 == 204);
        }
        nodes.storages[0].start(&[]);
        wait_until("the hints are drained", || nodes.is_settled());
        disk.fill().expect("the disk can be filled");
        wait_until("where no hint is needed, none needs room", || write(&strict, STRICT).0 == 204);
        merge(&mut acknowledged, &body(STRICT).ledger);
        let mut sent = batches(0..sent);
        merge(&mut sent, &body(STRICT).ledger);
        nodes.storages.iter().for_each(|storage| exported(node(storage)).check(&acknowledged, &sent));
        drop(disk);
        Ok(())
    });
}
