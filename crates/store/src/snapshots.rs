//! Snapshots: a data folder of hard links to all parts.
//!
//! 1. Everything in memory is flushed, so that the parts are all there is.
//! 2. `snapshots/<name>.tmp` gets links to the files of each part, a manifest that names them, the secret and the metadata; all is synced.
//! 3. It is renamed to `snapshots/<name>`: a snapshot is there as a whole or not at all.
//!
//! A copy of a snapshot's folder can be opened as a data folder.

use std::path::{Path, PathBuf};

use disk::Disk;
use part::{COLUMNS_FILE, INDEX_FILE, PartMeta};

use crate::{layout, manifest::Manifest};

const TMP: &str = ".tmp";

/// Makes a snapshot of parts that no merge removes meanwhile (the caller holds them).
pub fn create(disk: &dyn Disk, name: &str, manifest: &Manifest) -> Result<(), disk::Error> {
    let folder = Path::new(layout::SNAPSHOTS).join(name);
    let tmp = PathBuf::from(format!("{}{TMP}", folder.display()));
    disk.create_dir_all(&tmp.join(layout::PARTS))?;
    for meta in &manifest.parts {
        link_part(disk, meta, &tmp)?;
    }
    disk.sync_dir(&tmp.join(layout::PARTS))?;
    for file in [layout::SECRET, layout::METADATA] {
        let from = Path::new(file);
        if disk.exists(from)? {
            disk.hard_link(from, &tmp.join(file))?;
        }
    }
    manifest.publish(disk, &tmp.join(layout::MANIFEST))?;
    disk::publish_dir(disk, &tmp, &folder)
}

fn link_part(disk: &dyn Disk, meta: &PartMeta, tmp: &Path) -> Result<(), disk::Error> {
    let from = layout::part(meta.id);
    let to = tmp.join(&from);
    disk.create_dir_all(&to)?;
    for file in [COLUMNS_FILE, INDEX_FILE] {
        disk.hard_link(&from.join(file), &to.join(file))?;
    }
    disk.sync_dir(&to)
}

/// Names of the snapshots, oldest first: names begin with the time.
pub fn list(disk: &dyn Disk) -> Result<Vec<String>, disk::Error> {
    let entries = disk.list(Path::new(layout::SNAPSHOTS))?;
    Ok(entries.into_iter().filter(|entry| entry.is_dir && !entry.name.ends_with(TMP)).map(|entry| entry.name).collect())
}

/// Removes a snapshot; false if there is none of this name.
pub fn delete(disk: &dyn Disk, name: &str) -> Result<bool, disk::Error> {
    if !list(disk)?.iter().any(|have| have == name) {
        return Ok(false);
    }
    let folder = Path::new(layout::SNAPSHOTS);
    // Renamed first, so that a removal that is cut short leaves no half snapshot behind under its name.
    let tmp = folder.join(format!("{name}{TMP}"));
    disk.rename(&folder.join(name), &tmp)?;
    disk.sync_dir(folder)?;
    disk.remove_dir_all(&tmp)?;
    disk.sync_dir(folder)?;
    Ok(true)
}

/// Removes what was left of snapshots that were cut short.
pub fn sweep(disk: &dyn Disk) -> Result<(), disk::Error> {
    let folder = Path::new(layout::SNAPSHOTS);
    for entry in disk.list(folder)? {
        if entry.name.ends_with(TMP) {
            disk.remove_dir_all(&folder.join(entry.name))?;
        }
    }
    Ok(())
}

/// The name of a snapshot made at `now`: `20261120231450-0000000000000007`, as VictoriaMetrics names its own.
pub fn name(now_ms: i64, number: u64) -> String {
    let (year, month, day) = crate::partition::civil(now_ms.div_euclid(crate::options::DAY_MS));
    let seconds = now_ms.rem_euclid(crate::options::DAY_MS) / 1000;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}-{number:016X}")
}

/// The time at the beginning of a snapshot's name, in milliseconds.
pub fn made_at(name: &str) -> Option<i64> {
    let digits = |at: std::ops::Range<usize>| name.get(at)?.parse::<i64>().ok();
    let (year, month, day) = (digits(0..4)?, digits(4..6)?, digits(6..8)?);
    let of_day = digits(8..10)? * 3600 + digits(10..12)? * 60 + digits(12..14)?;
    let days = crate::partition::days(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?);
    Some((days * 86_400 + of_day) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_time() {
        let now = 1_795_216_490_123;
        let name = name(now, 7);
        assert_eq!(name, "20261120231450-0000000000000007");
        assert_eq!(made_at(&name), Some(now / 1000 * 1000));
        assert_eq!(made_at("backup"), None);
    }
}
