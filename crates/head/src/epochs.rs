//! Epochs: what keeps a slot from being given to another series while somebody still holds its number.
//!
//! 1. The head counts epochs; [`Epochs::advance`] starts the next one (the store does, with each generation of samples).
//! 2. Whoever carries slot numbers around, an insert from lookup to append or a query from search to last read, holds a [`SlotGuard`], which
//!    knows the epoch in which it began.
//! 3. A slot that was freed in epoch `e` is given out again only when no guard of epoch `e` or earlier is alive.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};

use parking_lot::Mutex;

/// Epochs count from here, so that "two epochs ago" exists from the start.
pub(crate) const FIRST_EPOCH: u32 = 2;
/// At one epoch a second this is 68 years.
const EPOCH_MAX: u32 = (1 << 31) - 1;

#[derive(Debug)]
pub(crate) struct Epochs {
    now: AtomicU32,
    /// How many guards began in each epoch that still has one.
    alive: Mutex<BTreeMap<u32, usize>>,
}

impl Epochs {
    pub(crate) fn new() -> Self {
        Self { now: AtomicU32::new(FIRST_EPOCH), alive: Mutex::default() }
    }

    pub(crate) fn now(&self) -> u32 {
        self.now.load(Ordering::Acquire)
    }

    /// Starts the next epoch and returns it.
    pub(crate) fn advance(&self) -> u32 {
        // Under the lock, so that no guard appears in an epoch that has already been looked at as past.
        let _alive = self.alive.lock();
        let next = self.now() + 1;
        assert!(next <= EPOCH_MAX, "BUG: epochs are exhausted");
        self.now.store(next, Ordering::Release);
        next
    }

    /// The epoch of the oldest guard alive, or the present one.
    pub(crate) fn oldest(&self) -> u32 {
        let alive = self.alive.lock();
        alive.keys().next().copied().unwrap_or_else(|| self.now())
    }

    /// Whether any guard of this epoch or an earlier one is alive.
    pub(crate) fn any_alive_up_to(&self, epoch: u32) -> bool {
        self.alive.lock().keys().next().is_some_and(|oldest| *oldest <= epoch)
    }

    pub(crate) fn guard(&self) -> SlotGuard<'_> {
        SlotGuard { epochs: self, epoch: self.enter() }
    }

    /// Counts somebody in the present epoch, which is returned.
    pub(crate) fn enter(&self) -> u32 {
        let mut alive = self.alive.lock();
        let epoch = self.now();
        *alive.entry(epoch).or_insert(0) += 1;
        epoch
    }

    /// Takes back one [`enter`](Self::enter) of this epoch.
    pub(crate) fn leave(&self, epoch: u32) {
        let mut alive = self.alive.lock();
        let count = alive.get_mut(&epoch).expect("BUG: an epoch is left that was never entered");
        *count -= 1;
        if *count == 0 {
            alive.remove(&epoch);
        }
    }
}

/// While it lives, no slot that was seen under it is given to another series.
#[derive(Debug)]
#[must_use = "slot numbers are only safe to carry while the guard lives"]
pub struct SlotGuard<'a> {
    epochs: &'a Epochs,
    epoch: u32,
}

impl SlotGuard<'_> {
    /// The epoch in which the guard began.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) fn belongs_to(&self, epochs: &Epochs) -> bool {
        std::ptr::eq(self.epochs, epochs)
    }
}

impl Drop for SlotGuard<'_> {
    fn drop(&mut self) {
        self.epochs.leave(self.epoch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_guard_counts() {
        let epochs = Epochs::new();
        let first = epochs.guard();
        epochs.advance();
        let second = epochs.guard();
        assert_eq!((first.epoch(), second.epoch(), epochs.now()), (FIRST_EPOCH, FIRST_EPOCH + 1, FIRST_EPOCH + 1));
        assert_eq!(epochs.oldest(), FIRST_EPOCH);
        drop(first);
        assert_eq!(epochs.oldest(), FIRST_EPOCH + 1);
        assert!(!epochs.any_alive_up_to(FIRST_EPOCH) && epochs.any_alive_up_to(FIRST_EPOCH + 1));
        drop(second);
        assert_eq!(epochs.oldest(), epochs.now());
    }
}
