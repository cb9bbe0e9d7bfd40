//! A bound on how often one place says something.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// One line per so many seconds.
const PAUSE_SECONDS: u64 = 5;

/// Lets one line through every five seconds and counts those it holds back.
#[derive(Debug)]
pub struct Throttle {
    started: Instant,
    /// The second, counted from the start and plus one, of the last line; 0 before the first.
    last: AtomicU64,
    held_back: AtomicU64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { started: Instant::now(), last: AtomicU64::new(0), held_back: AtomicU64::new(0) }
    }
}

impl Throttle {
    /// Whether a line may be said now; gives how many were held back before it.
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(self.started.elapsed().as_secs() + 1)
    }

    fn admit_at(&self, second: u64) -> Option<u64> {
        let last = self.last.load(Ordering::Relaxed);
        let due = last == 0 || second >= last + PAUSE_SECONDS;
        if due && self.last.compare_exchange(last, second, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return Some(self.held_back.swap(0, Ordering::Relaxed));
        }
        self.held_back.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_every_five_seconds() {
        let throttle = Throttle::default();
        let admitted: Vec<_> = [1, 1, 3, 6, 7, 11].map(|second| throttle.admit_at(second)).to_vec();
        assert_eq!(admitted, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
