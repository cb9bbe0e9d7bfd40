//! The names of segment files: sixteen hexadecimal digits and `.log`.

use std::path::{Path, PathBuf};

use disk::Disk;

const DIGITS: usize = 16;
/// Higher numbers are no segments, so that there is always a next one.
const NUMBER_MAX: u64 = u64::MAX >> 1;
const SUFFIX: &str = ".log";

/// The file of segment `number`.
pub(crate) fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}{SUFFIX}"))
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let canonical = digits.len() == DIGITS && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let number = canonical.then(|| u64::from_str_radix(digits, 16).ok())??;
    (number <= NUMBER_MAX).then_some(number)
}

/// What stands in the log's folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Number and length of each segment, by ascending number.
    pub segments: Vec<(u64, u64)>,
    /// What is no segment.
    pub foreign: Vec<PathBuf>,
}

/// Lists the log's folder.
pub(crate) fn list(disk: &dyn Disk, dir: &Path) -> disk::Result<Listing> {
    let mut listing = Listing::default();
    for entry in disk.list(dir)? {
        match number_of(&entry.name).filter(|_| !entry.is_dir) {
            Some(number) => listing.segments.push((number, entry.len)),
            None => listing.foreign.push(dir.join(entry.name)),
        }
    }
    // Names of equal length sort like their numbers, but this must not rest on how a disk sorts.
    listing.segments.sort_unstable();
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_name_is_a_segment() {
        for number in [0, 1, 0xabc, NUMBER_MAX] {
            let path = path_of(Path::new("wal"), number);
            let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
            assert_eq!(number_of(name), Some(number));
        }
        for foreign in [
            "1.log",
            "00000000000000AB.log",
            "+000000000000001.log",
            "ffffffffffffffff.log",
            "0000000000000001.log.tmp",
            ".log",
            "",
        ] {
            assert_eq!(number_of(foreign), None, "{foreign}");
        }
    }
}
