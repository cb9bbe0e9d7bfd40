//! Keeping the process's memory near what it uses.
//!
//! 1. The allocator gives threads arenas of their own, up to eight a processor, and an arena keeps what its threads needed at most. Threads for queries come and go, and a
//!    query over all series of months needs much for a moment: in a quarter of an hour of mixed load with churn memory grew from 36 to 145 MiB, and nothing that is
//!    counted had grown. So there are only as many as processors.
//! 2. Every half minute memory that nothing uses is given back to the system, page by page, from the middle of arenas too.
//! 3. The same at once when queries have freed much and the process has half of what it is allowed: what one arena keeps is no use to those that work in the other.
//!    A hundred costly queries at once, allowed 48 MiB of 96, left up to 59 MiB free in the arenas within seconds, so that the process took 107.
//!
//! Only the GNU C library works that way; with any other allocator nothing is done.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use basalt_http::Stop;
use tokio::task::spawn_blocking;

use crate::machine;

/// Memory is given back this often.
const TRIM_EVERY: Duration = Duration::from_secs(30);

/// With less than this memory nothing is given back at once.
static MUCH_BYTES: AtomicU64 = AtomicU64::new(u64::MAX);

/// Bounds what the allocator keeps, for a process that is allowed so many bytes; before other threads are started.
pub fn bound(processors: usize, allowed_bytes: u64) {
    system::bound_arenas(i32::try_from(processors.max(1)).unwrap_or(i32::MAX));
    MUCH_BYTES.store(allowed_bytes / 2, Ordering::Relaxed);
}

/// Gives memory back that nothing uses, if the process has much.
pub fn reclaim() {
    if machine::anonymous_bytes() >= MUCH_BYTES.load(Ordering::Relaxed) {
        system::trim();
    }
}

/// Gives memory back again and again until it is told to stop.
pub async fn upkeep(mut stop: Stop) {
    loop {
        tokio::select! {
            () = stop.stopped() => return,
            () = tokio::time::sleep(TRIM_EVERY) => {}
        }
        // Only a runtime that is shutting down refuses.
        if spawn_blocking(system::trim).await.is_err() {
            return;
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod system {
    pub fn bound_arenas(arenas: i32) {
        #[expect(unsafe_code, reason = "the allocator's settings are functions of C; this one only sets a number")]
        // SAFETY: takes two numbers; what it does not know it refuses.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, arenas);
        }
    }

    pub fn trim() {
        #[expect(unsafe_code, reason = "so is the way to give memory back")]
        // SAFETY: takes a number, locks each arena while it looks through it, and touches free memory only.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod system {
    pub fn bound_arenas(_: i32) {}

    pub fn trim() {}
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::thread;

    use super::*;

    /// What a query leaves: much that is free, with a little that is kept in between, in the arenas of several threads.
    #[test]
    fn what_is_free_between_what_is_kept_goes_back() {
        const BLOCK: usize = 1 << 10;
        let work = || {
            let blocks: Vec<Vec<u8>> = (0..16 << 10).map(|number| vec![number as u8; BLOCK]).collect();
            blocks.into_iter().enumerate().filter(|(at, _)| at % 64 == 0).map(|(_, block)| block).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(work)).collect();
        let kept: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("a thread that allocates")).collect();
        let before = machine::anonymous_bytes();
        system::trim();
        let after = machine::anonymous_bytes();
        // Of 64 MiB three quarters may be in pages with nothing in them; the blocks that are kept stand in one page of sixteen.
        assert!(before >= after + (32 << 20), "{before} bytes before, {after} after");
        assert_eq!(kept.iter().flatten().count(), 4 * 256);
    }
}
