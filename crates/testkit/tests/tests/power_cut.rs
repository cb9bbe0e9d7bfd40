//! What a power cut and a kill leave behind.

use std::collections::BTreeSet;
use std::path::Path;

use disk::{Disk, DiskFile, create_dir_durable};
use testkit::{DirOrder, Rng, SimDisk};

const OUTCOMES: u64 = 200;

fn p(path: &str) -> &Path {
    Path::new(path)
}

fn write(disk: &SimDisk, path: &str, bytes: &[u8]) -> Box<dyn DiskFile> {
    let mut file = disk.create(p(path)).unwrap();
    file.append(bytes).unwrap();
    file
}

fn write_synced(disk: &SimDisk, path: &str, bytes: &[u8]) {
    write(disk, path, bytes).sync().unwrap();
}

/// Which files are there after a cut, over many outcomes.
fn outcomes(disk: &SimDisk) -> BTreeSet<String> {
    let names = |disk: SimDisk| {
        let files = disk.files().into_iter().map(|path| path.to_str().unwrap().to_owned());
        files.collect::<Vec<_>>().join(" ")
    };
    (0..OUTCOMES).map(|seed| names(disk.what_if_cut(seed))).collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[test]
fn synced_files_in_synced_folders_never_vanish() {
    for seed in 0..OUTCOMES {
        let disk = SimDisk::new(seed);
        create_dir_durable(&disk, p("a/b")).unwrap();
        write_synced(&disk, "a/b/f", b"synced");
        disk.sync_dir(p("a/b")).unwrap();
        write(&disk, "a/b/later", b"not synced");
        assert!(disk.is_durable("a/b/f") && !disk.is_durable("a/b/later"));
        assert_eq!(disk.cut_power().contents("a/b/f"), b"synced");
    }
}

#[test]
fn a_synced_file_needs_every_folder_above_it() {
    for missing in ["", "a", "a/b"] {
        let disk = SimDisk::new(0);
        disk.create_dir_all(p("a/b")).unwrap();
        write_synced(&disk, "a/b/f", b"synced");
        for folder in ["", "a", "a/b"].into_iter().filter(|&folder| folder != missing) {
            disk.sync_dir(p(folder)).unwrap();
        }
        assert!(!disk.is_durable("a/b/f"));
        assert_eq!(outcomes(&disk), set(["", "a/b/f"]), "without a sync of {missing:?}");
    }
}

#[test]
fn a_name_without_bytes_survives_too() {
    let disk = SimDisk::new(0);
    let _file = write(&disk, "f", &[1; 5000]);
    disk.sync_dir(p("")).unwrap();
    let lens: BTreeSet<_> = (0..OUTCOMES).map(|seed| disk.what_if_cut(seed).contents("f").len()).collect();
    assert!(lens.contains(&0) && lens.contains(&5000) && lens.len() > 10, "{lens:?}");
}

#[test]
fn changes_of_names_survive_in_any_subset_or_in_order() {
    let disk = SimDisk::new(0);
    for name in ["a", "b", "c"] {
        write_synced(&disk, name, b"");
    }
    disk.set_dir_order(DirOrder::Prefix);
    assert_eq!(outcomes(&disk), set(["", "a", "a b", "a b c"]));
    disk.set_dir_order(DirOrder::Subset);
    assert_eq!(outcomes(&disk), set(["", "a", "b", "c", "a b", "a c", "b c", "a b c"]));
}

#[test]
fn a_rename_is_one_change_and_waits_for_the_folder_it_leads_to() {
    let disk = SimDisk::new(0);
    for folder in ["from", "to"] {
        create_dir_durable(&disk, p(folder)).unwrap();
    }
    write_synced(&disk, "from/f", b"x");
    disk.sync_dir(p("from")).unwrap();
    disk.rename(p("from/f"), p("to/f")).unwrap();
    disk.sync_dir(p("from")).unwrap();
    assert_eq!(outcomes(&disk), set(["from/f", "to/f"]));
    disk.sync_dir(p("to")).unwrap();
    assert_eq!(outcomes(&disk), set(["to/f"]));
}

#[test]
fn a_rename_brings_along_what_it_builds_on() {
    let disk = SimDisk::new(0);
    for folder in ["a", "b"] {
        create_dir_durable(&disk, p(folder)).unwrap();
    }
    write_synced(&disk, "a/x", b"");
    write_synced(&disk, "a/y", b"");
    disk.rename(p("a/y"), p("b/y")).unwrap();
    disk.set_dir_order(DirOrder::Prefix);
    assert_eq!(outcomes(&disk), set(["", "a/x", "a/x a/y", "a/x b/y"]));
    disk.set_dir_order(DirOrder::Subset);
    assert_eq!(outcomes(&disk), set(["", "a/x", "a/y", "b/y", "a/x a/y", "a/x b/y"]));
}

#[test]
fn a_file_is_never_lost_by_its_renames() {
    for order in [DirOrder::Prefix, DirOrder::Subset] {
        for seed in 0..OUTCOMES {
            let disk = SimDisk::new(seed);
            disk.set_dir_order(order);
            let folders = ["x", "y", "z"];
            for folder in folders {
                create_dir_durable(&disk, p(folder)).unwrap();
            }
            write_synced(&disk, "x/f", b"precious");
            disk.sync_dir(p("x")).unwrap();
            let mut rng = Rng::new(seed);
            let mut at = "x/f".to_owned();
            for _ in 0..rng.below(8) {
                let to = format!("{}/{}", rng.pick(&folders), rng.pick(&["f", "g"]));
                disk.rename(p(&at), p(&to)).unwrap();
                at = to;
                if rng.chance(0.3) {
                    let folder = rng.pick(&folders);
                    disk.sync_dir(p(folder)).unwrap();
                }
            }
            let after = disk.cut_power();
            let files = after.files();
            assert_eq!(files.len(), 1, "seed {seed}: {files:?} after\n{}", disk.trace());
            assert_eq!(after.contents(&files[0]), b"precious");
        }
    }
}

#[test]
fn a_removal_may_be_undone_until_its_folder_is_synced() {
    let disk = SimDisk::new(0);
    disk.plant("d/f", b"x");
    disk.remove_dir_all(p("d")).unwrap();
    let gone = |seed| !disk.what_if_cut(seed).exists(p("d")).unwrap();
    assert!((0..OUTCOMES).any(gone) && !(0..OUTCOMES).all(gone));
    disk.sync_dir(p("")).unwrap();
    assert!((0..OUTCOMES).all(gone));
}

#[test]
fn two_names_of_a_file_survive_one_by_one() {
    let disk = SimDisk::new(0);
    disk.plant("f", b"x");
    create_dir_durable(&disk, p("snapshot")).unwrap();
    disk.hard_link(p("f"), p("snapshot/f")).unwrap();
    assert_eq!(outcomes(&disk), set(["f", "f snapshot/f"]));
    disk.sync_dir(p("snapshot")).unwrap();
    disk.remove_file(p("f")).unwrap();
    disk.sync_dir(p("")).unwrap();
    assert_eq!(disk.cut_power().contents("snapshot/f"), b"x");
}

#[test]
fn random_histories_keep_what_is_durable() {
    for seed in 0..OUTCOMES {
        let disk = SimDisk::new(seed);
        let mut rng = Rng::new(seed);
        let mut open: Vec<Box<dyn DiskFile>> = Vec::new();
        disk.create_dir_all(p("a")).unwrap();
        disk.create_dir_all(p("b")).unwrap();
        for _ in 0..200 {
            let name = |rng: &mut Rng| format!("{}/{}", rng.pick(&["a", "b"]), rng.below(6));
            let (path, other) = (name(&mut rng), name(&mut rng));
            let (path, other) = (p(&path), p(&other));
            let folder = rng.pick(&["", "a", "b"]);
            // Operations that make no sense here are refused, which is as good.
            let _ = match rng.below(10) {
                0 | 1 => disk.create(path).map(|file| open.push(file)),
                2 | 3 if !open.is_empty() => {
                    let len = rng.index(3000);
                    let bytes = rng.bytes(len);
                    let at = rng.index(open.len());
                    open[at].append(&bytes)
                }
                4 | 5 if !open.is_empty() => {
                    let at = rng.index(open.len());
                    open[at].sync()
                }
                6 => disk.rename(path, other),
                7 if rng.chance(0.3) => disk.hard_link(path, other),
                8 if rng.chance(0.3) => disk.remove_file(path),
                _ => disk.sync_dir(p(folder)),
            };
        }
        let durable: Vec<_> = disk.files().into_iter().filter(|path| disk.is_durable(path)).collect();
        for cut in 0..20 {
            let after = disk.what_if_cut(cut);
            for path in &durable {
                assert_eq!(
                    after.contents(path),
                    disk.contents(path),
                    "seed {seed} cut {cut} {path:?}\n{}",
                    disk.trace()
                );
            }
        }
    }
}

#[test]
fn a_kill_loses_only_what_is_open() {
    let disk = SimDisk::new(0);
    let lock = disk.lock(p("lock")).unwrap();
    let mut file = write(&disk, "f", b"written, not synced");
    let error = disk.lock(p("lock")).unwrap_err().to_string();
    assert!(error.contains("/sim") && error.contains("another process"), "{error}");
    let map = disk.map(p("f")).unwrap();
    let next = disk.kill();
    assert_eq!(next.contents("f"), b"written, not synced");
    next.reopen(p("f"), 7).unwrap();
    assert_eq!(*map, *b"written, not synced", "what the dead process had mapped is its own affair");
    let _lock = next.lock(p("lock")).unwrap();
    for error in [file.append(b"x").unwrap_err(), file.sync().unwrap_err(), disk.exists(p("f")).unwrap_err()] {
        assert!(error.to_string().ends_with("the machine has stopped"), "{error}");
    }
    drop((lock, file));
    assert!(next.lock(p("lock")).is_err(), "the dead process let go of the living one's lock");
    // Bytes that only the page cache had can still be lost later.
    let lost = |seed| next.what_if_cut(seed).files().is_empty();
    assert!((0..OUTCOMES).any(lost));
}

#[test]
fn a_lock_ends_when_it_is_dropped() {
    let disk = SimDisk::new(0);
    drop(disk.lock(p("lock")).unwrap());
    let _lock = disk.lock(p("lock")).unwrap();
}

#[test]
fn every_operation_can_be_the_last() {
    let history = |disk: &SimDisk| -> disk::Result<()> {
        create_dir_durable(disk, p("d"))?;
        for number in 0..3 {
            let mut file = disk.create(p(&format!("d/{number}")))?;
            file.append(&[1; 1000])?;
            file.sync()?;
            disk.sync_dir(p("d"))?;
        }
        disk.remove_dir_all(p("d"))
    };
    let whole = SimDisk::new(0);
    history(&whole).unwrap();
    for stop in 0..whole.operations() {
        let disk = SimDisk::new(stop);
        disk.stop_after(stop);
        assert!(history(&disk).is_err() && disk.has_stopped());
        assert_eq!(disk.events().iter().filter(|event| event.ok).count() as u64, stop);
        // What is found can always be worked with again: nothing is half a folder.
        let found = disk.cut_power();
        found.remove_dir_all(p("d")).or_else(|error| if error.is_not_found() { Ok(()) } else { Err(error) }).unwrap();
        history(&found).unwrap();
    }
}

#[test]
fn a_cut_under_a_map_is_a_bug() {
    let disk = SimDisk::new(0);
    disk.plant("f", &[1; 100]);
    let map = disk.map(p("f")).unwrap();
    drop(disk.reopen(p("f"), 100).unwrap());
    let cut = || drop(disk.reopen(p("f"), 99));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(cut)).is_err());
    drop(map);
    drop(disk.reopen(p("f"), 99).unwrap());
}
