//! Whatever byte is wrong: an error that names the file, or the same answer as before; never another answer, never a panic.

use std::path::{Path, PathBuf};

use disk::{Disk, Map};
use part::{COLUMNS_FILE, Effort, INDEX_FILE, Part, PartError, WriterOptions};
use testkit::SimDisk;

use crate::model::{Naive, key, read_all, same, write};

fn small() -> (SimDisk, PathBuf, Naive) {
    let disk = SimDisk::new(5);
    let mut naive = Naive::new();
    for number in 0..24u8 {
        let rows = (0..30i64).map(|at| {
            let jitter = if number % 2 == 0 { at * 7 % 3 } else { 0 };
            (
                1_700_000_000_000 + at * 15_000 + jitter,
                f64::from(number) * at as f64 + if number == 5 { 0.123 } else { 0.0 },
            )
        });
        naive.insert(key(number), rows.collect());
    }
    let folder = PathBuf::from("parts/1");
    write(&disk, &folder, &naive, WriterOptions::new(1, Effort::Merge));
    (disk, folder, naive)
}

fn check(index: Vec<u8>, columns: Vec<u8>, naive: &Naive, what: &str) {
    let read = Part::from_maps(Path::new("damaged"), Map::from(index), Map::from(columns)).and_then(|part| {
        part.verify()?;
        read_all(&part)
    });
    match read {
        Ok(read) => assert!(same(&read, naive), "{what}: another answer"),
        Err(PartError::Corrupt(corrupt)) => assert!(corrupt.to_string().contains("damaged"), "{what}: {corrupt}"),
        Err(other) => panic!("{what}: {other}"),
    }
}

#[test]
fn any_flipped_byte_is_an_error_or_harmless() {
    let (disk, folder, naive) = small();
    let index = disk.contents(folder.join(INDEX_FILE));
    let columns = disk.contents(folder.join(COLUMNS_FILE));
    for at in 0..index.len() {
        let mut bad = index.clone();
        bad[at] ^= 1 << (at % 8);
        check(bad, columns.clone(), &naive, &format!("index byte {at}"));
    }
    for at in 0..columns.len() {
        let mut bad = columns.clone();
        bad[at] ^= 1 << (at % 8);
        check(index.clone(), bad, &naive, &format!("columns byte {at}"));
    }
}

#[test]
fn any_cut_is_an_error() {
    let (disk, folder, _) = small();
    for file in [INDEX_FILE, COLUMNS_FILE] {
        let whole = disk.contents(folder.join(file)).len() as u64;
        for len in (0..whole).rev().step_by(7) {
            disk.truncate(folder.join(file), len);
            let Err(PartError::Corrupt(corrupt)) = Part::open(&disk, &folder) else {
                panic!("{file} of {len} bytes opens")
            };
            assert!(corrupt.to_string().contains(file), "{corrupt}");
        }
        disk.plant(folder.join(file), &small().0.contents(folder.join(file)));
        assert!(Part::open(&disk, &folder).is_ok(), "the whole file opens again");
    }
}

#[test]
fn a_newer_version_is_named() {
    let (disk, folder, _) = small();
    disk.damage(folder.join(COLUMNS_FILE), 8, 1 ^ 9);
    let error = Part::open(&disk, &folder).expect_err("a newer version cannot be read").to_string();
    assert!(error.contains("format version 9") && error.contains("columns"), "{error}");
}

#[test]
fn a_part_of_a_newer_program_is_no_damage() {
    let (disk, folder, _) = small();
    for file in [COLUMNS_FILE, INDEX_FILE] {
        disk.damage(folder.join(file), 8, 1 ^ 9);
    }
    let Err(PartError::Newer { found, .. }) = Part::open(&disk, &folder) else { panic!("both files say version 9") };
    assert_eq!(found, 9);
}

#[test]
fn a_missing_file_is_a_disk_error() {
    let (disk, folder, _) = small();
    disk.remove_file(&folder.join(COLUMNS_FILE)).expect("it is there");
    assert!(matches!(Part::open(&disk, &folder), Err(PartError::Disk(error)) if error.is_not_found()));
}

#[test]
fn fuzzed_parts_never_panic() {
    let (disk, folder, _) = small();
    let index = disk.contents(folder.join(INDEX_FILE));
    let mut both = (index.len() as u32).to_le_bytes().to_vec();
    both.extend_from_slice(&index);
    both.extend_from_slice(&disk.contents(folder.join(COLUMNS_FILE)));
    testkit::fuzz::run("part", &[both], std::time::Duration::from_secs(2), part::fuzz::fuzz_part);
    let page = index[16..200].to_vec();
    testkit::fuzz::run("page", &[page], std::time::Duration::from_secs(1), part::fuzz::fuzz_page);
}
