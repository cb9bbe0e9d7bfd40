//! Making something appear whole and durably, or not at all.
//!
//! 1. Write it under a name that readers ignore.
//! 2. Sync its bytes, so that the name can never lead to missing ones.
//! 3. Rename it to its place: readers see all of it or what was there before.
//! 4. Sync the folder, so that the new name survives a power cut.

use std::path::{Path, PathBuf};

use crate::{Disk, DiskFile, Result};

/// Replaces the file `path` by `bytes`, durably: after a crash there is the old or the new.
///
/// On an error before the rename the old file stands; on an error after it the new one is visible
/// but perhaps not durable. What an earlier crash left at `<path>.tmp` is removed.
pub fn publish_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    let tmp = tmp_of(path);
    let written = write_synced(disk, &tmp, bytes).and_then(|()| disk.rename(&tmp, path));
    if let Err(error) = written {
        // The first error is the one that matters; leftovers are ignored and cleaned next time.
        let _ = disk.remove_file(&tmp);
        return Err(error);
    }
    disk.sync_dir(parent_of(path))
}

/// Moves the folder `tmp` to `path`, durably. The files inside must have been synced.
pub fn publish_dir(disk: &dyn Disk, tmp: &Path, path: &Path) -> Result<()> {
    disk.sync_dir(tmp)?;
    disk.rename(tmp, path)?;
    disk.sync_dir(parent_of(path))?;
    if parent_of(tmp) != parent_of(path) {
        disk.sync_dir(parent_of(tmp))?;
    }
    Ok(())
}

/// Makes the folder `path` and what is missing above it, and makes all of these names durable.
pub fn create_dir_durable(disk: &dyn Disk, path: &Path) -> Result<()> {
    disk.create_dir_all(path)?;
    // From the top, and also where a folder was there: whoever made it may not have come this far.
    let mut parents: Vec<&Path> = path.ancestors().skip(1).collect();
    parents.reverse();
    parents.into_iter().try_for_each(|parent| disk.sync_dir(parent))
}

fn write_synced(disk: &dyn Disk, tmp: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = create_over_leftover(disk, tmp)?;
    file.append(bytes)?;
    file.sync()
}

fn create_over_leftover(disk: &dyn Disk, tmp: &Path) -> Result<Box<dyn DiskFile>> {
    match disk.create(tmp) {
        Err(error) if error.is_already_there() => {
            disk.remove_file(tmp)?;
            disk.create(tmp)
        }
        other => other,
    }
}

fn tmp_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}
