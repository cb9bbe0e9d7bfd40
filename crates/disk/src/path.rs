//! Paths inside a data folder.

use std::io;
use std::path::{Component, Path};

/// Checks that `path` stays inside the folder: only plain names; empty means the root.
pub fn check_path(path: &Path) -> io::Result<()> {
    let plain = |component| matches!(component, Component::Normal(_));
    if path.components().all(plain) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leaves the data folder"))
}

/// Like [`check_path`], and it must not be the root: that one is never made, moved or removed.
pub fn check_entry_path(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is the data folder itself"));
    }
    check_path(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        for good in ["", "a", "a/b", "a/b.tmp", "a//b", "a/./b", "a/"] {
            assert!(check_path(Path::new(good)).is_ok(), "{good}");
        }
        for bad in ["/", "/etc/passwd", "..", "a/../b", "a/..", "./a"] {
            assert!(check_path(Path::new(bad)).is_err(), "{bad}");
        }
        assert!(check_entry_path(Path::new("")).is_err());
    }
}
