//! Time that a test decides.

use std::sync::atomic::{AtomicI64, Ordering};

use model::Clock;

/// A clock that stands still until it is told otherwise.
#[derive(Debug)]
pub struct ManualClock {
    now_ms: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `now_ms` milliseconds since 1970.
    pub fn new(now_ms: i64) -> ManualClock {
        ManualClock { now_ms: AtomicI64::new(now_ms) }
    }

    /// Turns it to `now_ms`, backwards too: a machine's clock can be set.
    pub fn set(&self, now_ms: i64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }

    /// Moves it forward by `by_ms` and tells the new time.
    pub fn advance(&self, by_ms: i64) -> i64 {
        self.now_ms.fetch_add(by_ms, Ordering::SeqCst) + by_ms
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_moves_only_when_told() {
        let clock = ManualClock::new(1_000);
        assert_eq!(clock.now_ms(), 1_000);
        assert_eq!(clock.advance(15), 1_015);
        clock.set(7);
        assert_eq!(clock.now_ms(), 7);
    }
}
