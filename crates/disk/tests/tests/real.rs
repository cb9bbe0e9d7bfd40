//! The machine's file system behind the trait.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use disk::{Disk, Entry, Error, RealDisk, create_dir_durable};

fn open() -> (tempfile::TempDir, RealDisk) {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    (folder, disk)
}

fn p(path: &str) -> &Path {
    Path::new(path)
}

fn write(disk: &dyn Disk, path: &str, bytes: &[u8]) {
    let mut file = disk.create(p(path)).unwrap();
    file.append(bytes).unwrap();
    file.sync().unwrap();
}

#[test]
fn the_root_is_made_with_what_is_missing_above_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a/b/c");
    let disk = RealDisk::open(&root).unwrap();
    assert!(root.is_dir());
    assert_eq!(disk.root(), root.canonicalize().unwrap());
    RealDisk::open(&root).unwrap();
    assert!(disk.free_bytes().unwrap() > 0);
}

#[test]
fn a_folder_above_that_knows_no_sync_does_no_harm() {
    // The folders of /proc refuse fsync with EINVAL.
    RealDisk::open("/proc/self/cwd").unwrap();
}

#[test]
fn a_file_is_no_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = RealDisk::open(&file).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot open data folder {}: not a directory", file.display()));
    assert!(RealDisk::open(file.join("below")).is_err());
}

#[test]
fn a_folder_without_permission_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(folder.path().join("probe"), "").is_ok() {
        // A user who may do everything is refused nothing.
        return;
    }
    let error = RealDisk::open(folder.path()).unwrap_err();
    assert_eq!(error.source.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().ends_with("this user has no permission to list and change it"), "{error}");
}

#[test]
fn bytes_are_appended_and_read_back() {
    let (_folder, disk) = open();
    let mut file = disk.create(p("f")).unwrap();
    assert!(file.is_empty());
    file.append(b"hello ").unwrap();
    file.append(b"world").unwrap();
    file.sync().unwrap();
    assert_eq!((file.len(), disk.len(p("f")).unwrap()), (11, 11));
    assert_eq!(disk.read(p("f"), 11).unwrap(), b"hello world");
    assert_eq!(disk.read(p("f"), 10).unwrap_err().source.kind(), ErrorKind::FileTooLarge);
    assert_eq!(&*disk.map(p("f")).unwrap(), b"hello world");
    assert!(disk.create(p("f")).err().unwrap().is_already_there());
    drop(file);
    let mut file = disk.reopen(p("f"), 5).unwrap();
    assert_eq!(file.len(), 5);
    file.append(b"!").unwrap();
    assert_eq!(disk.read(p("f"), 100).unwrap(), b"hello!");
    assert_eq!(disk.reopen(p("f"), 7).err().unwrap().source.kind(), ErrorKind::UnexpectedEof);
    assert!(disk.read(p("none"), 1).unwrap_err().is_not_found());
}

#[test]
fn folders_are_listed_in_order_and_foreign_files_do_no_harm() {
    let (folder, disk) = open();
    disk.create_dir_all(p("d/inner")).unwrap();
    write(&disk, "d/b", b"22");
    write(&disk, "d/a", b"1");
    symlink("nowhere", folder.path().join("d/link")).unwrap();
    symlink(folder.path(), folder.path().join("d/loop")).unwrap();
    fs::write(folder.path().join("d").join(std::ffi::OsStr::from_bytes(b"z\xFF")), "").unwrap();
    let entry = |name: &str, is_dir, len| Entry { name: name.to_owned(), is_dir, len };
    let expect = [
        entry("a", false, 1),
        entry("b", false, 2),
        entry("inner", true, 0),
        entry("link", false, 7),
        entry("loop", true, 0),
        entry("z\u{FFFD}", false, 0),
    ];
    assert_eq!(disk.list(p("d")).unwrap(), expect);
    assert_eq!(disk.list(p("")).unwrap(), [entry("d", true, 0)]);
    // What a link leads to is not removed with the folder that it stands in.
    disk.remove_dir_all(p("d")).unwrap();
    assert!(folder.path().exists() && !disk.exists(p("d")).unwrap());
}

#[test]
fn nothing_leaves_the_folder() {
    let (_folder, disk) = open();
    for path in ["..", "../x", "/etc/passwd", "a/../../x", ""] {
        let path = p(path);
        let refusals: Vec<Option<Error>> = vec![
            disk.create(path).err(),
            disk.reopen(path, 0).err(),
            disk.map(path).err(),
            disk.read(path, 1).err(),
            disk.rename(path, p("x")).err(),
            disk.rename(p("x"), path).err(),
            disk.hard_link(path, p("x")).err(),
            disk.hard_link(p("x"), path).err(),
            disk.remove_file(path).err(),
            disk.remove_dir_all(path).err(),
            disk.len(path).err(),
            disk.lock(path).err(),
        ];
        for (at, refusal) in refusals.into_iter().enumerate() {
            assert_eq!(refusal.map(|error| error.source.kind()), Some(ErrorKind::InvalidInput), "{at} {path:?}");
        }
        if !path.as_os_str().is_empty() {
            assert!(disk.create_dir_all(path).is_err() && disk.sync_dir(path).is_err());
            assert!(disk.list(path).is_err() && disk.exists(path).is_err());
        }
    }
}

#[test]
fn a_second_lock_names_the_folder() {
    let (_folder, disk) = open();
    let lock = disk.lock(p("lock")).unwrap();
    let error = RealDisk::open(disk.root()).unwrap().lock(p("lock")).unwrap_err();
    let expect = format!("cannot lock data folder {}: another process is using it", disk.root().display());
    assert_eq!(error.to_string(), expect);
    drop(lock);
    let _lock = disk.lock(p("lock")).unwrap();
}

#[test]
fn names_are_made_durable_only_for_folders() {
    let (_folder, disk) = open();
    write(&disk, "f", b"");
    create_dir_durable(&disk, p("a/b/c")).unwrap();
    create_dir_durable(&disk, p("a/b/c")).unwrap();
    disk.sync_dir(p("a/b")).unwrap();
    assert_eq!(disk.sync_dir(p("f")).unwrap_err().source.kind(), ErrorKind::NotADirectory);
    assert!(disk.sync_dir(p("none")).unwrap_err().is_not_found());
}

#[test]
fn errors_of_two_names_show_both() {
    let (_folder, disk) = open();
    let root = disk.root().display();
    let error = disk.rename(p("a"), p("b")).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot rename {root}/a to {root}/b: ")), "{error}");
}
