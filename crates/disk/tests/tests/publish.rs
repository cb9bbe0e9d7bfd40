//! Publishing on a disk that loses whatever it may.
//!
//! Strategy: publish versions of a file (or folders) until the machine stops at some operation, cut
//! the power, look. Every stopping point, many outcomes of each.
//! Invariants: what was reported as published is there, whole; nothing else but a whole version is.
//! Mutants: a disk that ignores one of the syncs must break the invariant for some outcome.

use std::path::Path;

use disk::{Disk, create_dir_durable, publish_dir, publish_file};
use testkit::{Fault, Op, SimDisk};

const FILE: &str = "d/manifest";
const VERSIONS: u8 = 4;
const OUTCOMES: u64 = 40;

fn p(path: &str) -> &Path {
    Path::new(path)
}

fn version(number: u8) -> Vec<u8> {
    vec![number; 700 + usize::from(number)]
}

/// Publishes versions until one fails; gives the last that was reported as published.
fn publish_versions(disk: &SimDisk) -> Option<u8> {
    create_dir_durable(disk, p("d")).ok()?;
    (1..=VERSIONS).take_while(|&number| publish_file(disk, p(FILE), &version(number)).is_ok()).last()
}

/// What is wrong after a cut, if anything.
fn judge_file(disk: &SimDisk, published: Option<u8>) -> Result<(), String> {
    let found = match disk.read(p(FILE), 10_000) {
        Ok(bytes) => bytes,
        Err(_) if published.is_none() => return Ok(()),
        Err(error) => return Err(format!("published {published:?}: {error}")),
    };
    let number = found.first().copied().unwrap_or(0);
    let is_whole = number > 0 && found == version(number);
    let is_new_enough = published.is_none_or(|published| number >= published);
    if is_whole && is_new_enough { Ok(()) } else { Err(format!("published {published:?}, found {number}")) }
}

/// Runs a history up to every operation, with many outcomes of the power cut there.
fn try_every_cut(
    mutant: Option<&str>,
    history: impl Fn(&SimDisk) -> Option<u8>,
    judge: impl Fn(&SimDisk, Option<u8>) -> Result<(), String>,
) -> Result<(), String> {
    for stop in 0.. {
        let disk = SimDisk::new(stop);
        disk.stop_after(stop);
        mutant.iter().for_each(|pattern| disk.ignore_sync(pattern));
        let published = history(&disk);
        for seed in 0..OUTCOMES {
            judge(&disk.what_if_cut(seed), published)
                .map_err(|wrong| format!("stop {stop} seed {seed}: {wrong}\n{}", disk.trace()))?;
        }
        if !disk.has_stopped() {
            return Ok(());
        }
    }
    unreachable!("a history ends");
}

#[test]
fn a_file_is_published_whole_or_not_at_all() {
    try_every_cut(None, publish_versions, judge_file).unwrap();
}

#[test]
fn a_file_without_either_sync_is_caught() {
    for mutant in ["d/manifest.tmp", "d", ""] {
        let caught = try_every_cut(Some(mutant), publish_versions, judge_file);
        assert!(caught.is_err(), "nobody noticed that {mutant:?} was not synced");
    }
}

fn publish_folders(disk: &SimDisk) -> Option<u8> {
    create_dir_durable(disk, p("tmp")).and_then(|()| create_dir_durable(disk, p("parts"))).ok()?;
    let publish = |number: u8| {
        let tmp = format!("tmp/{number}");
        disk.create_dir_all(p(&tmp))?;
        for name in ["data", "index"] {
            let mut file = disk.create(&p(&tmp).join(name))?;
            file.append(&version(number))?;
            file.sync()?;
        }
        publish_dir(disk, p(&tmp), p(&format!("parts/{number}")))
    };
    (1..=VERSIONS).take_while(|&number| publish(number).is_ok()).last()
}

fn judge_folders(disk: &SimDisk, published: Option<u8>) -> Result<(), String> {
    let found = disk.list(p("parts")).unwrap_or_default();
    for number in 1..=published.unwrap_or(0) {
        if !found.iter().any(|entry| entry.name == number.to_string()) {
            return Err(format!("folder {number} is missing"));
        }
    }
    for entry in &found {
        for name in ["data", "index"] {
            let path = p("parts").join(&entry.name).join(name);
            let bytes = disk.read(&path, 10_000).map_err(|error| error.to_string())?;
            if bytes != version(entry.name.parse().unwrap()) {
                return Err(format!("{path:?} is damaged"));
            }
        }
    }
    Ok(())
}

#[test]
fn a_folder_is_published_whole_or_not_at_all() {
    try_every_cut(None, publish_folders, judge_folders).unwrap();
}

#[test]
fn a_folder_without_any_of_its_syncs_is_caught() {
    for mutant in ["tmp/*", "tmp/*/data", "tmp/1", "parts", ""] {
        let caught = try_every_cut(Some(mutant), publish_folders, judge_folders);
        assert!(caught.is_err(), "nobody noticed that {mutant:?} was not synced");
    }
}

#[test]
fn a_failure_leaves_the_old_file_and_no_litter() {
    for op in [Op::Create, Op::Append, Op::Sync, Op::Rename] {
        let disk = SimDisk::new(1);
        publish_file(&disk, p("f"), b"old").unwrap();
        disk.inject(Fault::on(op).nth(1).write_short().errno(libc::ENOSPC));
        assert!(publish_file(&disk, p("f"), b"new").unwrap_err().is_full(), "{op}");
        assert_eq!(disk.files(), [p("f")], "{op}");
        assert_eq!(disk.contents("f"), b"old");
        publish_file(&disk, p("f"), b"new").unwrap();
        assert_eq!(disk.cut_power().contents("f"), b"new");
    }
}

#[test]
fn what_a_crash_left_behind_is_in_nobodys_way() {
    let disk = SimDisk::new(1);
    disk.plant("f.tmp", b"half of something");
    publish_file(&disk, p("f"), b"whole").unwrap();
    assert_eq!(disk.files(), [p("f")]);
}

#[test]
fn a_sync_that_failed_is_not_tried_again() {
    let disk = SimDisk::new(1);
    disk.inject(Fault::on(Op::Sync).nth(1).drop_dirty());
    assert!(publish_file(&disk, p("f"), b"new").is_err());
    assert_eq!((disk.count(Op::Sync), disk.count(Op::Rename)), (1, 0));
    disk.inject(Fault::on(Op::SyncDir).nth(1).drop_dirty());
    assert!(publish_file(&disk, p("f"), b"new").is_err());
    assert_eq!(disk.count(Op::SyncDir), 1);
}
