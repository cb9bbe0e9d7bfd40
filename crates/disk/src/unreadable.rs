//! Pages of mapped files that the drive cannot read.
//!
//! 1. Touching such a page raises SIGBUS, which by default ends the process: one bad sector of one file would take everything down, and again after each
//!    restart when the same query comes.
//! 2. Every mapping of a file is noted in a table that a signal handler may read: numbers, no locks.
//! 3. The handler looks whether the address lies in a mapping of the table. If it does, it puts a page of zeros in the place of the one that cannot be
//!    read, counts it, and returns: the reader goes on with zeros, and finds that their checksum is wrong. All that is read through maps stands behind
//!    checksums, so what comes of it is the same as for any other damage.
//! 4. Any other address is none of ours: the handler that was there before is put back, and the fault is raised again.
//!
//! The page of zeros stays until the file is mapped anew. When there is no room left in the table, further mappings end the process as they would
//! without all this.

use std::{
    ptr,
    sync::{
        OnceLock,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

use crate::system;

/// So many mappings are known at once: two for each part, one for each segment of the log while it is replayed.
const MAPPINGS_MAX: usize = 16 << 10;

/// A mapping: where it starts, and its length. A length of zero marks a free place.
struct Place {
    start: AtomicUsize,
    len: AtomicUsize,
    /// Pages of it that could not be read.
    unreadable: AtomicU64,
}

static PLACES: [Place; MAPPINGS_MAX] =
    [const { Place { start: AtomicUsize::new(0), len: AtomicUsize::new(0), unreadable: AtomicU64::new(0) } };
        MAPPINGS_MAX];
/// Places from here on were never used.
static PLACES_END: AtomicUsize = AtomicUsize::new(0);
static PAGES: AtomicU64 = AtomicU64::new(0);
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(0);
/// What was done about the signal before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// How many pages of mapped files could not be read since the process began, and were taken for zeros.
pub fn unreadable_pages() -> u64 {
    PAGES.load(Relaxed)
}

/// A mapping in the table; leaves it when dropped, which must be before the mapping ends.
#[derive(Debug)]
pub(crate) struct Watched(Option<usize>);

impl Watched {
    /// Notes a mapping. From now on reading it does not end the process.
    pub(crate) fn new(mapped: &[u8]) -> Self {
        if mapped.is_empty() {
            return Self(None);
        }
        install();
        let start = mapped.as_ptr().addr();
        let taken = PLACES.iter().position(|place| place.start.compare_exchange(0, start, Acquire, Relaxed).is_ok());
        if let Some(at) = taken {
            PLACES[at].unreadable.store(0, Relaxed);
            PLACES[at].len.store(mapped.len(), Release);
            PLACES_END.fetch_max(at + 1, Release);
        }
        Self(taken)
    }

    /// How many pages of the mapping could not be read.
    pub(crate) fn unreadable_pages(&self) -> u64 {
        self.0.map_or(0, |at| PLACES[at].unreadable.load(Relaxed))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(at) = self.0 {
            PLACES[at].len.store(0, Release);
            PLACES[at].start.store(0, Release);
        }
    }
}

/// Takes the signal over, once.
#[expect(unsafe_code, reason = "signals have no counterpart in the standard library")]
fn install() {
    BEFORE.get_or_init(|| {
        PAGE_BYTES.store(system::page_bytes(), Relaxed);
        // SAFETY: a zeroed sigaction is one without flags and with an empty mask.
        let (mut ours, mut before): (libc::sigaction, libc::sigaction) = unsafe { std::mem::zeroed() };
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_fault;
        ours.sa_sigaction = handler as *const () as usize;
        // On the stack that the thread set aside for signals, if it did.
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: both structs live for the call, and the handler only does what a handler may.
        let failed = unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, &raw mut before) };
        assert_eq!(failed, 0, "BUG: a signal that every Unix has");
        before
    });
}

/// Runs in the thread that touched the page, in the midst of anything: it takes no lock, allocates nothing, and calls nothing but the system.
#[expect(unsafe_code, reason = "a page of zeros is put in the place of one that cannot be read")]
extern "C" fn on_fault(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the system gives a handler with SA_SIGINFO a siginfo, and errno is the thread's own.
    let (address, errno) = unsafe { ((*info).si_addr().addr(), libc::__errno_location()) };
    // SAFETY: as above.
    let errno_before = unsafe { *errno };
    if let Some(place) = place_of(address) {
        let page = address & !(PAGE_BYTES.load(Relaxed) - 1);
        // SAFETY: the page lies in a mapping that is ours, only read, and cannot be read: nobody has seen or will see other bytes in it, but for
        // those who read it while the system still could, and they hold no copy that has to agree.
        let mapped = unsafe {
            libc::mmap(
                ptr::without_provenance_mut(page),
                PAGE_BYTES.load(Relaxed),
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        if mapped != libc::MAP_FAILED {
            PAGES.fetch_add(1, Relaxed);
            place.unreadable.fetch_add(1, Relaxed);
            // SAFETY: as above.
            unsafe { *errno = errno_before };
            return;
        }
    }
    let default = libc::SIG_DFL;
    // SAFETY: a zeroed sigaction with the default handler; the fault is raised again when this returns, and ends the process as it would have.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        before.sa_sigaction = default;
        let before = BEFORE.get().unwrap_or(&before);
        libc::sigaction(libc::SIGBUS, &raw const *before, ptr::null_mut());
    }
}

fn place_of(address: usize) -> Option<&'static Place> {
    PLACES[..PLACES_END.load(Acquire).min(MAPPINGS_MAX)].iter().find(|place| {
        let (len, start) = (place.len.load(Acquire), place.start.load(Acquire));
        len > 0 && address.checked_sub(start).is_some_and(|offset| offset < len)
    })
}
