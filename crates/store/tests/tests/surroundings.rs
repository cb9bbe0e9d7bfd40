//! Bad surroundings: a clear message, and nothing lost.

use std::{path::Path, sync::Arc};

use disk::Disk;
use model::{Selector, Tenant, TimeRange};
use storage_api::{Admin, AdminError, InsertError, SelectRequest};
use store::{Options, StoreError, verify};
use testkit::{Fault, ManualClock, Op, SimDisk};

use crate::driver::{Driver, NOW, quiet};

fn try_open(disk: &SimDisk, options: Options) -> Result<Driver, StoreError> {
    let clock = Arc::new(ManualClock::new(NOW));
    Driver::open(Arc::new(disk.clone()), options, &clock)
}

fn open(disk: &SimDisk) -> Driver {
    try_open(disk, quiet()).expect("the store opens")
}

fn filled(seed: u64) -> (SimDisk, Driver) {
    let disk = SimDisk::new(seed);
    let driver = open(&disk);
    for step in 0..50 {
        driver.put(&[("__name__=m,pod=a", NOW - step * 1_000, step as f64), ("__name__=n", NOW - step * 1_000, 1.0)]);
    }
    (disk, driver)
}

#[test]
fn a_second_store_is_kept_out_by_name() {
    let (disk, _driver) = filled(1);
    let error = try_open(&disk, quiet()).err().expect("the folder is in use").to_string();
    assert!(error.contains("lock"), "{error}");
}

#[test]
fn a_full_disk_refuses_writes_says_so_and_comes_back() {
    let disk = SimDisk::new(2);
    let options = Options { min_free_disk_bytes: 1 << 20, ..quiet() };
    let driver = try_open(&disk, options).expect("the store opens");
    driver.put(&[("__name__=m", NOW, 1.0)]);
    disk.set_free_bytes(1 << 19);
    driver.store.work().expect("it works");
    let refused = driver.insert(Tenant::DEFAULT, &[("__name__=m", NOW + 1, 2.0)]);
    assert!(matches!(refused, Err(InsertError::ReadOnly(why)) if why.contains("minFreeDiskSpaceBytes")));
    assert!(driver.store.stats().read_only && driver.reported("read-only"));
    let kept = driver.delete(Tenant::DEFAULT, Selector::everything(), TimeRange::ALL);
    assert!(matches!(&kept, Err(AdminError::Unavailable(why)) if why.contains("read-only mode")), "{kept:?}");
    assert_eq!(driver.read_all(Tenant::DEFAULT).expect("reading goes on").len(), 1);
    disk.set_free_bytes(1 << 30);
    driver.store.work().expect("it works");
    driver.put(&[("__name__=m", NOW + 1, 2.0)]);
}

#[test]
fn a_failed_sync_acknowledges_nothing_and_the_log_heals() {
    let disk = SimDisk::new(3);
    let driver = open(&disk);
    driver.put(&[("__name__=m", NOW, 1.0)]);
    disk.inject(Fault::on(Op::Sync).path("wal/*").nth(1).drop_dirty());
    let refused = driver.insert(Tenant::DEFAULT, &[("__name__=m", NOW + 1, 2.0)]);
    assert!(matches!(refused, Err(InsertError::NotDurable(_))), "{refused:?}");
    let again = driver.insert(Tenant::DEFAULT, &[("__name__=m", NOW + 2, 3.0)]);
    assert!(matches!(again, Err(InsertError::NotDurable(_))), "the segment takes nothing more: {again:?}");
    driver.store.heal().expect("a new segment can be written");
    driver.put(&[("__name__=m", NOW + 3, 4.0)]);
    let driver = open(&disk.cut_power());
    let found = driver.read_all(Tenant::DEFAULT).expect("it can be read");
    let times: Vec<i64> = found.values().next().expect("there is a series").iter().map(|row| row.0).collect();
    assert!(times.contains(&NOW) && times.contains(&(NOW + 3)), "{times:?}");
}

#[test]
fn a_flush_that_fails_is_tried_again() {
    let (disk, driver) = filled(4);
    let before = driver.read_all(Tenant::DEFAULT).expect("it can be read");
    disk.inject(Fault::on(Op::Rename).path("parts/*").nth(1));
    let error = driver.flush().expect_err("the disk fails").to_string();
    assert!(error.contains("parts"), "{error}");
    assert_eq!(driver.read_all(Tenant::DEFAULT).expect("it can be read"), before);
    driver.flush().expect("the disk works again");
    assert_eq!(driver.read_all(Tenant::DEFAULT).expect("it can be read"), before);
    assert_eq!(driver.store.stats().head_samples, 0);
}

#[test]
fn a_damaged_part_is_set_aside_and_the_rest_served() {
    let (disk, driver) = filled(5);
    driver.flush().expect("it can be flushed");
    driver.put(&[("__name__=other", NOW, 1.0)]);
    driver.flush().expect("it can be flushed");
    drop(driver);
    let disk = disk.kill();
    let parts: Vec<_> = disk.files().into_iter().filter(|path| path.ends_with("index")).collect();
    let len = disk.contents(&parts[0]).len() as u64;
    disk.flip_bit(&parts[0], len - 20);
    let driver = open(&disk);
    assert_eq!(driver.store.stats().quarantined_parts, 1);
    assert!(driver.reported("damaged and set aside"));
    let found = driver.read_all(Tenant::DEFAULT).expect("the rest is served");
    assert_eq!(found.len(), 1);
    assert!(disk.list(Path::new("quarantine")).expect("it is there").len() == 1);
    drop(driver);
    let driver = open(&disk.kill());
    assert_eq!(driver.read_all(Tenant::DEFAULT).expect("the rest is served").len(), 1);
}

#[test]
fn damage_found_by_a_merge_sets_the_part_aside() {
    let (disk, driver) = filled(6);
    driver.flush().expect("it can be flushed");
    driver.put(&[("__name__=other", NOW, 1.0)]);
    driver.flush().expect("it can be flushed");
    drop(driver);
    let disk = disk.kill();
    let columns: Vec<_> = disk.files().into_iter().filter(|path| path.ends_with("columns")).collect();
    disk.flip_bit(&columns[0], 20);
    let driver = open(&disk);
    assert!(driver.merge().is_err());
    assert_eq!(driver.store.stats().quarantined_parts, 1);
    driver.merge().expect("what is left can be merged");
    assert_eq!(driver.read_all(Tenant::DEFAULT).expect("the rest is served").len(), 1);
}

#[test]
fn foreign_files_are_named_and_left_alone() {
    let disk = SimDisk::new(7);
    disk.plant("lost+found", b"not ours");
    disk.plant("wal/notes.txt", b"not ours");
    let driver = open(&disk);
    assert!(driver.reported("lost+found"));
    driver.put(&[("__name__=m", NOW, 1.0)]);
    driver.flush().expect("it can be flushed");
    assert_eq!(disk.contents("lost+found"), b"not ours");
    assert_eq!(disk.contents("wal/notes.txt"), b"not ours");
}

#[test]
fn the_folder_of_another_database_is_refused_and_left_as_it_is() {
    for (owner, files) in
        [("VictoriaMetrics", ["data/small/x", "indexdb/1/y"]), ("Prometheus", ["chunks_head/1", "wal/1"])]
    {
        let disk = SimDisk::new(7);
        files.iter().for_each(|file| disk.plant(file, b"not ours"));
        let error = try_open(&disk, quiet()).err().expect("a foreign folder").to_string();
        assert!(error.contains(owner), "{error}");
        let mut found: Vec<_> =
            disk.list(Path::new("")).expect("it can be listed").into_iter().map(|e| e.name).collect();
        found.retain(|name| name != "flock.lock");
        let mut expected: Vec<_> = files.iter().map(|file| file[..file.find('/').unwrap()].to_string()).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_part_of_a_newer_program_stops_the_start_and_stays() {
    let (disk, driver) = filled(8);
    driver.flush().expect("it can be flushed");
    drop(driver);
    let disk = disk.kill();
    let part = disk.list(Path::new("parts")).expect("it can be listed").swap_remove(0).name;
    for file in ["columns", "index"] {
        disk.damage(format!("parts/{part}/{file}"), 8, 1 ^ 9);
    }
    let error = try_open(&disk, quiet()).err().expect("a newer part").to_string();
    assert!(error.contains("format version 9") && error.contains(&part), "{error}");
    assert_eq!(disk.list(Path::new("parts")).expect("it can be listed").len(), 1, "it stays where it is");
}

#[test]
fn a_newer_format_stops_the_start_and_names_both_versions() {
    let (disk, driver) = filled(8);
    driver.flush().expect("it can be flushed");
    drop(driver);
    let disk = disk.kill();
    disk.damage("manifest", 8, 1 ^ 4);
    let error = try_open(&disk, quiet()).err().expect("a newer folder").to_string();
    assert!(error.contains("format version 4") && error.contains("manifest"), "{error}");
}

#[test]
fn any_byte_of_the_folder_may_be_wrong() {
    let (disk, driver) = filled(9);
    driver.flush().expect("it can be flushed");
    for step in 0..5 {
        driver.put(&[("__name__=late", NOW - step, 1.0)]);
    }
    let whole = driver.read_all(Tenant::DEFAULT).expect("it can be read");
    drop(driver);
    let disk = disk.kill();
    for path in disk.files() {
        let contents = disk.contents(&path);
        for at in (0..contents.len()).step_by(1 + contents.len() / 60) {
            let copy = SimDisk::new(at as u64);
            for file in disk.files() {
                copy.plant(&file, &disk.contents(&file));
            }
            copy.flip_bit(&path, at as u64);
            let what = format!("{} byte {at}", path.display());
            // Either it says what is wrong and does not start, or it serves rows that were written and no others.
            let Ok(driver) = try_open(&copy, quiet()) else { continue };
            let Ok(found) = driver.read(SelectRequest::raw(Tenant::DEFAULT, Selector::everything(), TimeRange::ALL))
            else {
                continue;
            };
            for (key, rows) in &found {
                let known = whole.get(key).unwrap_or_else(|| panic!("{what}: an invented series {key:?}"));
                assert!(rows.iter().all(|row| known.contains(row)), "{what}: invented rows of {key:?}");
            }
            if found != whole {
                let stats = driver.store.stats();
                assert!(
                    stats.quarantined_parts + stats.damaged_records > 0,
                    "{what}: rows are missing and nobody says so"
                );
            }
        }
    }
}

#[test]
fn verify_finds_what_is_damaged() {
    let (disk, driver) = filled(10);
    driver.flush().expect("it can be flushed");
    driver.put(&[("__name__=m", NOW + 1, 1.0)]);
    drop(driver);
    let disk = disk.kill();
    let sound = verify(&disk).expect("the folder can be checked");
    assert_eq!((sound.parts, sound.samples, sound.damage.len()), (1, 100, 0));
    assert!(sound.log_records > 0);
    let columns = disk.files().into_iter().find(|path| path.ends_with("columns")).expect("there is a part");
    disk.flip_bit(&columns, 20);
    let damaged = verify(&disk).expect("the folder can be checked");
    assert!(damaged.damage.len() == 1 && damaged.damage[0].contains("columns"), "{:?}", damaged.damage);
}
