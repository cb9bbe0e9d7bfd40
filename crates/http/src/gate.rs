//! A gate that lets a bounded number of requests work at once and a bounded number wait for a bounded time.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::Counter;

/// See the module.
#[derive(Debug)]
pub struct Gate {
    permits: Arc<Semaphore>,
    capacity: usize,
    waiting: AtomicUsize,
    waiting_max: usize,
    wait_max: Duration,
    reached: Counter,
    refused: Counter,
}

/// The right to work; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
}

/// The gate stayed shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateFull {
    /// How many may work at once.
    pub capacity: usize,
    /// How long the request waited at most; zero if the queue itself was full.
    pub waited: Duration,
}

impl fmt::Display for GateFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.waited.is_zero() {
            return write!(f, "{} concurrent requests are executed and the queue behind them is full", self.capacity);
        }
        let seconds = self.waited.as_secs_f64();
        write!(f, "waited {seconds:.3} seconds because {} concurrent requests are executed", self.capacity)
    }
}

impl std::error::Error for GateFull {}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    /// A gate for `capacity` workers at once; at most `waiting_max` requests wait behind it, each at most `wait_max`.
    pub fn new(capacity: usize, waiting_max: usize, wait_max: Duration) -> Self {
        assert!(capacity > 0, "BUG: a gate that lets nobody through");
        Self {
            permits: Arc::new(Semaphore::new(capacity)),
            capacity,
            waiting: AtomicUsize::new(0),
            waiting_max,
            wait_max,
            reached: Counter::default(),
            refused: Counter::default(),
        }
    }

    /// Waits for a place.
    pub async fn enter(&self) -> Result<Permit, GateFull> {
        self.enter_weighted(1).await
    }

    /// Waits for `places` at once, for gates that count something other than requests.
    pub async fn enter_weighted(&self, places: u32) -> Result<Permit, GateFull> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_many_owned(places) {
            return Ok(Permit { _permit: permit });
        }
        self.reached.add(1);
        let waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.waiting_max {
            self.refused.add(1);
            return Err(GateFull { capacity: self.capacity, waited: Duration::ZERO });
        }
        let acquiring = Arc::clone(&self.permits).acquire_many_owned(places);
        let outcome = tokio::time::timeout(self.wait_max, acquiring).await;
        drop(waiting);
        match outcome {
            Ok(permit) => Ok(Permit { _permit: permit.expect("BUG: the gate's semaphore is never closed") }),
            Err(_) => {
                self.refused.add(1);
                Err(GateFull { capacity: self.capacity, waited: self.wait_max })
            }
        }
    }

    /// How many may work at once.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many work now.
    pub fn current(&self) -> usize {
        self.capacity - self.permits.available_permits().min(self.capacity)
    }

    /// How many had to wait.
    pub fn reached(&self) -> u64 {
        self.reached.get()
    }

    /// How many were turned away.
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn some_work_some_wait_the_rest_is_turned_away() {
        let gate = Arc::new(Gate::new(1, 1, Duration::from_secs(5)));
        let working = gate.enter().await.expect("the gate is free");
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter().await.map(drop) }
        });
        tokio::task::yield_now().await;
        let turned_away = gate.enter().await.map(drop).expect_err("the queue is full");
        assert_eq!(turned_away.waited, Duration::ZERO);
        drop(working);
        assert_eq!(waiting.await.expect("the task ends"), Ok(()));

        let _working = gate.enter().await.expect("the gate is free again");
        let late = gate.enter().await.map(drop).expect_err("nobody leaves");
        assert_eq!(late.waited, Duration::from_secs(5));
        assert_eq!((gate.current(), gate.reached(), gate.refused()), (1, 3, 2));
    }
}
