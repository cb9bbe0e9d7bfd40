//! The few system calls that the standard library lacks.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

/// Bytes that an unprivileged user may still write to the file system of `path`.
#[expect(unsafe_code, reason = "statvfs has no counterpart in the standard library")]
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let path = c_path(path)?;
    let mut answer = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` is a NUL-terminated string and `answer` has room for one statvfs.
    let failed = unsafe { libc::statvfs(path.as_ptr(), answer.as_mut_ptr()) } != 0;
    if failed {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded and so filled the struct.
    let answer = unsafe { answer.assume_init() };
    Ok(answer.f_bavail.saturating_mul(answer.f_frsize))
}

/// Whether this process may list, enter and change the folder `path`; says why not.
///
/// It also finds a read-only mount, which the permission bits do not show.
#[expect(unsafe_code, reason = "faccessat has no counterpart in the standard library")]
pub(crate) fn check_writable(path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let mode = libc::R_OK | libc::W_OK | libc::X_OK;
    // SAFETY: `path` is a NUL-terminated string; the call only reads it.
    let failed = unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), mode, libc::AT_EACCESS) } != 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The size of a memory page, a power of two.
#[expect(unsafe_code, reason = "sysconf has no counterpart in the standard library")]
pub(crate) fn page_bytes() -> usize {
    static PAGE_BYTES: OnceLock<usize> = OnceLock::new();
    *PAGE_BYTES.get_or_init(|| {
        // SAFETY: sysconf takes a plain number and touches no memory of ours.
        let answer = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let bytes = usize::try_from(answer).expect("BUG: the system knows its page size");
        assert!(bytes.is_power_of_two(), "BUG: page size {bytes} is no power of two");
        bytes
    })
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the path contains a zero byte"))
}
