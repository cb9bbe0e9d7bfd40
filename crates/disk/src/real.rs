//! The machine's file system.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::real_file::{FailedSyncs, RealFile};
use crate::{Disk, DiskFile, Entry, Error, Lock, Map, Result, check_entry_path, check_path, system};

/// A data folder on the machine's file system.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    failed_syncs: Arc<FailedSyncs>,
}

impl RealDisk {
    /// Opens the folder `root`, making it (durably) if it is missing.
    ///
    /// A folder that cannot be written to is refused here, with the reason, and not at the first
    /// write.
    pub fn open(root: impl AsRef<Path>) -> Result<RealDisk> {
        let root = root.as_ref();
        let fail = |source| Error::new("open data folder", root, source);
        let absolute = std::path::absolute(root).map_err(fail)?;
        create_synced(&absolute).map_err(fail)?;
        let root = absolute.canonicalize().map_err(fail)?;
        if !root.is_dir() {
            return Err(fail(io::ErrorKind::NotADirectory.into()));
        }
        system::check_writable(&root).map_err(|source| fail(explain(&source)))?;
        Ok(RealDisk { root, failed_syncs: Arc::default() })
    }

    fn entry(&self, op: &'static str, path: &Path) -> Result<PathBuf> {
        let full = self.root.join(path);
        check_entry_path(path).map_err(|source| Error::new(op, &full, source))?;
        Ok(full)
    }

    /// The place of a folder, which may be the root.
    fn folder(&self, op: &'static str, path: &Path) -> Result<PathBuf> {
        let full = self.root.join(path);
        check_path(path).map_err(|source| Error::new(op, &full, source))?;
        // Joining the empty path leaves a slash at the end, which messages should not show.
        Ok(if path.as_os_str().is_empty() { self.root.clone() } else { full })
    }

    fn open_to_append(&self, full: &Path, keep: u64) -> io::Result<File> {
        let file = OpenOptions::new().write(true).open(full)?;
        let metadata = file.metadata()?;
        self.failed_syncs.check(&metadata)?;
        if metadata.len() < keep {
            let text = format!("it has {} bytes, fewer than the {keep} to keep", metadata.len());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        if metadata.len() > keep {
            file.set_len(keep)?;
            // All of the metadata, because not every file system counts a shorter length among
            // what fdatasync has to write.
            file.sync_all().inspect_err(|_| self.failed_syncs.mark(&file))?;
        }
        Ok(file)
    }

    fn sync_folder(&self, full: &Path) -> io::Result<()> {
        let folder = open_folder(full)?;
        self.failed_syncs.check(&folder.metadata()?)?;
        folder.sync_all().inspect_err(|_| self.failed_syncs.mark(&folder))
    }
}

impl Disk for RealDisk {
    fn root(&self) -> &Path {
        &self.root
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let full = self.entry("create", path)?;
        let fail = |source| Error::new("create", &full, source);
        let file = OpenOptions::new().write(true).create_new(true).open(&full).map_err(fail)?;
        self.failed_syncs.forget(&file.metadata().map_err(fail)?);
        Ok(Box::new(RealFile::new(file, full, 0, Arc::clone(&self.failed_syncs))))
    }

    fn reopen(&self, path: &Path, keep: u64) -> Result<Box<dyn DiskFile>> {
        let full = self.entry("reopen", path)?;
        let file = self.open_to_append(&full, keep).map_err(|source| Error::new("reopen", &full, source))?;
        Ok(Box::new(RealFile::new(file, full, keep, Arc::clone(&self.failed_syncs))))
    }

    fn map(&self, path: &Path) -> Result<Map> {
        let full = self.entry("map", path)?;
        map_file(&full).map_err(|source| Error::new("map", full, source))
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let full = self.entry("read", path)?;
        read_file(&full, limit).map_err(|source| Error::new("read", full, source))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let full_from = self.entry("rename", from)?;
        let full_to = self.entry("rename to", to)?;
        fs::rename(&full_from, &full_to).map_err(|source| Error::new(two_names("rename", &full_from), full_to, source))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        let full_from = self.entry("link", from)?;
        let full_to = self.entry("link to", to)?;
        fs::hard_link(&full_from, &full_to).map_err(|source| Error::new(two_names("link", &full_from), full_to, source))
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        let full = self.entry("remove", path)?;
        fs::remove_file(&full).map_err(|source| Error::new("remove", full, source))
    }

    fn remove_dir_all(&self, path: &Path) -> Result<()> {
        let full = self.entry("remove folder", path)?;
        fs::remove_dir_all(&full).map_err(|source| Error::new("remove folder", full, source))
    }

    fn create_dir_all(&self, path: &Path) -> Result<()> {
        let full = self.folder("create folder", path)?;
        fs::create_dir_all(&full).map_err(|source| Error::new("create folder", full, source))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let full = self.folder("sync folder", path)?;
        self.sync_folder(&full).map_err(|source| Error::new("sync folder", full, source))
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        let full = self.folder("list", dir)?;
        list_folder(&full).map_err(|source| Error::new("list", full, source))
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        let full = self.folder("look for", path)?;
        match fs::metadata(&full) {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(source) => Err(Error::new("look for", full, source)),
        }
    }

    fn len(&self, path: &Path) -> Result<u64> {
        let full = self.entry("measure", path)?;
        let fail = |source| Error::new("measure", &full, source);
        let metadata = fs::metadata(&full).map_err(fail)?;
        if metadata.is_dir() {
            return Err(fail(io::ErrorKind::IsADirectory.into()));
        }
        Ok(metadata.len())
    }

    fn free_bytes(&self) -> Result<u64> {
        system::free_bytes(&self.root).map_err(|source| Error::new("measure free space of", &self.root, source))
    }

    fn lock(&self, path: &Path) -> Result<Lock> {
        let full = self.entry("lock", path)?;
        let fail = |source| Error::new("lock", &full, source);
        // Never truncated and never removed: a lock file that vanished and came back would be two.
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&full).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock::new(file)),
            Err(TryLockError::Error(source)) => Err(fail(source)),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                "lock data folder",
                &self.root,
                io::Error::new(io::ErrorKind::WouldBlock, "another process is using it"),
            )),
        }
    }
}

fn two_names(op: &str, from: &Path) -> String {
    format!("{op} {} to", from.display())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Says what a refusal to write means for a data folder.
fn explain(refusal: &io::Error) -> io::Error {
    let text = match refusal.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "the file system is mounted read-only",
        io::ErrorKind::PermissionDenied => "this user has no permission to list and change it",
        _ => return io::Error::new(refusal.kind(), refusal.to_string()),
    };
    io::Error::new(refusal.kind(), text)
}

/// Makes `folder` and what is missing above it, and syncs every folder that got a new entry.
///
/// The parent is synced also when the folder was there: the process that made it may have died
/// before it could. Then it may be a folder that we may not read, or of a read-only file system
/// that knows no sync, with ours mounted on it: there is nothing to make durable.
fn create_synced(folder: &Path) -> io::Result<()> {
    let Some(parent) = folder.parent() else { return Ok(()) };
    let made = if folder.exists() {
        false
    } else {
        create_synced(parent)?;
        match fs::create_dir(folder) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        }
    };
    match open_folder(parent).and_then(|parent| parent.sync_all()) {
        Err(error) if made || !is_not_ours_to_sync(&error) => Err(error),
        _ => Ok(()),
    }
}

fn is_not_ours_to_sync(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(error.kind(), PermissionDenied | InvalidInput | Unsupported | ReadOnlyFilesystem)
}

fn open_folder(full: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(full)
}

fn open_file(full: &Path) -> io::Result<(File, u64)> {
    let file = File::open(full)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok((file, metadata.len()))
}

fn map_file(full: &Path) -> io::Result<Map> {
    let (file, len) = open_file(full)?;
    // An empty mapping does not exist.
    if len == 0 { Ok(Map::default()) } else { Map::of_file(&file) }
}

fn read_file(full: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let (file, len) = open_file(full)?;
    let mut bytes = Vec::with_capacity(usize::try_from(len.min(limit)).unwrap_or(0));
    // One byte more than allowed, to see whether there is one. The file may have grown since.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let text = format!("it is longer than the {limit} bytes that are allowed");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

fn list_folder(full: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for found in fs::read_dir(full)? {
        let found = found?;
        // Links are followed; one that leads nowhere is listed as the small file that it is, and
        // what was removed since the folder was read is left out.
        let metadata = match fs::metadata(found.path()).or_else(|_| found.metadata()) {
            Ok(metadata) => metadata,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(error),
        };
        let is_dir = metadata.is_dir();
        entries.push(Entry {
            name: found.file_name().to_string_lossy().into_owned(),
            is_dir,
            len: if is_dir { 0 } else { metadata.len() },
        });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_or_folder_whose_sync_failed_stays_refused() {
        let folder = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(folder.path()).unwrap();
        let (file, dir) = (Path::new("f"), Path::new("d"));
        disk.create(file).unwrap().append(b"lost").unwrap();
        disk.create_dir_all(dir).unwrap();
        disk.failed_syncs.mark(&File::open(disk.root.join(file)).unwrap());
        disk.failed_syncs.mark(&File::open(disk.root.join(dir)).unwrap());
        disk.rename(file, Path::new("g")).unwrap();
        for error in [disk.reopen(Path::new("g"), 4).err().unwrap(), disk.sync_dir(dir).unwrap_err()] {
            assert!(error.to_string().ends_with("an earlier sync failed, its bytes may be lost"), "{error}");
        }
        // Its bytes can still be read: they may be what is left.
        assert_eq!(disk.read(Path::new("g"), 4).unwrap(), b"lost");
        disk.sync_dir(Path::new("")).unwrap();
    }

    #[test]
    fn a_new_file_starts_clean_even_with_an_old_number() {
        let folder = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(folder.path()).unwrap();
        let path = Path::new("f");
        for _ in 0..20 {
            drop(disk.create(path).unwrap());
            disk.reopen(path, 0).unwrap();
            disk.failed_syncs.mark(&File::open(disk.root.join(path)).unwrap());
            disk.remove_file(path).unwrap();
        }
    }

    #[test]
    fn refusals_are_explained() {
        let text = |errno| explain(&io::Error::from_raw_os_error(errno)).to_string();
        assert_eq!(text(libc::EROFS), "the file system is mounted read-only");
        assert_eq!(text(libc::EACCES), "this user has no permission to list and change it");
        assert!(text(libc::EIO).starts_with("Input/output error"));
    }
}
