//! Maps: sharing, slices, and giving memory back.

use std::fs;
use std::path::Path;

use disk::{Disk, Map, RealDisk};

const MIB: usize = 1 << 20;

fn mapped(bytes: &[u8]) -> (tempfile::TempDir, Map) {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    disk.create(Path::new("f")).unwrap().append(bytes).unwrap();
    let map = disk.map(Path::new("f")).unwrap();
    (folder, map)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 7 + at / 4096) as u8).collect()
}

#[test]
fn slices_share_and_count_from_their_own_start() {
    let map = Map::from((0..100).collect::<Vec<u8>>());
    let slice = map.slice(10..50).slice(5..8);
    assert_eq!(&*slice, [15, 16, 17]);
    assert_eq!(slice.as_ptr(), map[15..].as_ptr());
    assert!(slice.get(0..4).is_none() && map.get(100..100).is_some());
    let backwards = std::ops::Range { start: 2, end: 1 };
    assert!(map.get(backwards).is_none() && map.get(usize::MAX - 1..usize::MAX).is_none());
    assert!(Map::default().is_empty());
}

#[test]
fn a_map_outlives_the_name_of_its_file() {
    let bytes = pattern(10_000);
    let (folder, map) = mapped(&bytes);
    drop(folder);
    assert_eq!(*map, bytes[..]);
}

#[test]
fn an_empty_file_maps_to_nothing() {
    let (_folder, map) = mapped(b"");
    assert!(map.is_empty());
    map.advise_sequential();
    map.release(0..10);
}

#[test]
fn advice_and_release_change_no_byte() {
    let bytes = pattern(3 * MIB + 123);
    let (_folder, map) = mapped(&bytes);
    map.advise_random();
    map.advise_sequential();
    map.advise_will_need();
    let slice = map.slice(5000..2 * MIB + 77);
    slice.advise_random();
    for range in [0..slice.len(), 0..0, 1..2, 4096..8192, 100..usize::MAX, usize::MAX - 1..usize::MAX] {
        assert_eq!(*slice, bytes[5000..2 * MIB + 77]);
        slice.release(range);
        assert_eq!(*map, bytes[..]);
    }
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_a_signal() {
    let (folder, map) = mapped(&pattern(100_000));
    map.populate().unwrap();
    Map::from(vec![1]).populate().unwrap();
    let file = fs::OpenOptions::new().write(true).open(folder.path().join("f")).unwrap();
    file.set_len(50_000).unwrap();
    map.slice(10..40_000).populate().unwrap();
    if kernel_is_at_least(5, 14) {
        assert!(map.populate().unwrap_err().to_string().starts_with("a page of it cannot be read"));
    }
}

/// A file that was cut raises the same signal as a sector that cannot be read.
#[test]
fn a_page_that_cannot_be_read_counts_as_zeros() {
    let bytes = pattern(100_000);
    let (folder, map) = mapped(&bytes);
    let before = disk::unreadable_pages();
    let file = fs::OpenOptions::new().write(true).open(folder.path().join("f")).unwrap();
    file.set_len(8_192).unwrap();
    let other = map.slice(50_000..60_000);
    assert_eq!(map[..8_192], bytes[..8_192]);
    assert!(map[8_192..].iter().all(|byte| *byte == 0) && other.iter().all(|byte| *byte == 0));
    let pages = disk::unreadable_pages() - before;
    assert!((1..=100_000 / 4_096).contains(&pages), "{pages} pages");
    // What was put there goes with the map.
    map.release(0..map.len());
    assert_eq!(map[8_191..8_193], [bytes[8_191], 0]);
}

fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(major), Some(minor))
}

#[test]
fn released_pages_no_longer_count() {
    let bytes = pattern(8 * MIB);
    let (_folder, map) = mapped(&bytes);
    assert_eq!(*map, bytes[..]);
    let before = resident(&map);
    assert!(before >= 7 * MIB, "{before} of 8 MiB are resident after reading all");
    map.release(0..6 * MIB);
    let after = resident(&map);
    assert!(after <= 2 * MIB, "{after} bytes are resident after giving 6 of 8 MiB back");
    map.release(0..map.len());
    assert_eq!(resident(&map), 0);
}

/// The bytes of the mapping that are in this process's memory now.
fn resident(map: &Map) -> usize {
    let address = map.as_ptr() as usize;
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut inside = false;
    for line in smaps.lines() {
        let word = line.split(' ').next().unwrap();
        if let Some((start, end)) = word.split_once('-') {
            let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16).unwrap());
            inside = (start..end).contains(&address);
        } else if let (true, Some(size)) = (inside, line.strip_prefix("Rss:")) {
            return size.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024;
        }
    }
    panic!("the mapping is not listed");
}
