//! Encoders that wait for the next request, so that requests allocate nothing.

use parking_lot::Mutex;

/// A pool keeps no more of its things than this.
const KEPT_MAX: usize = 16;

pub(crate) struct Pool<T> {
    free: Mutex<Vec<T>>,
    make: fn() -> T,
}

impl<T> Pool<T> {
    pub(crate) fn new(make: fn() -> T) -> Self {
        Self { free: Mutex::new(Vec::new()), make }
    }

    /// Lends one to `work`.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let free = self.free.lock().pop();
        let mut thing = free.unwrap_or_else(self.make);
        let answer = work(&mut thing);
        let mut free = self.free.lock();
        if free.len() < KEPT_MAX {
            free.push(thing);
        }
        answer
    }
}
