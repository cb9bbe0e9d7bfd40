//! Numbers that are given out, taken back, and given out again only when nobody can still mean their former owner by them.
//!
//! 1. A search takes the lock many times for a moment each; between two of them it holds numbers of terms, origins and families.
//! 2. It announces itself at its start under the parity of the epoch.
//! 3. A number that is taken back in an epoch waits. The next epoch begins when the searches of the one before have ended; what waited since
//!    then is free now.
//!
//! So the number of something that was removed means nothing until all searches have ended that may have seen it, and never something else.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Numbers of one kind.
#[derive(Debug, Default)]
pub(super) struct Ids {
    free: Vec<u32>,
    end: u32,
    waiting: [Vec<u32>; 2],
}

impl Ids {
    pub(super) fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.end = self.end.checked_add(1).expect("BUG: more than 2^32 numbers");
            self.end - 1
        })
    }

    pub(super) fn give_back(&mut self, id: u32, parity: usize) {
        self.waiting[parity].push(id);
    }

    /// All numbers that were ever given out are below this.
    pub(super) fn end(&self) -> u32 {
        self.end
    }

    pub(super) fn release(&mut self, parity: usize) {
        let [even, odd] = &mut self.waiting;
        self.free.append(if parity == 0 { even } else { odd });
    }

    pub(super) fn bytes(&self) -> usize {
        (self.free.capacity() + self.waiting[0].capacity() + self.waiting[1].capacity()) * size_of::<u32>()
    }
}

/// The searches under way, by the parity of the epoch in which they began.
#[derive(Debug, Default)]
pub(super) struct Searches([AtomicUsize; 2]);

impl Searches {
    /// Announces a search. The state must be locked, so that `parity` cannot change meanwhile.
    pub(super) fn begin(&self, parity: usize) -> Search<'_> {
        self.0[parity].fetch_add(1, Ordering::SeqCst);
        Search { searches: self, parity }
    }

    /// Whether no search of this parity is under way. Only while the state is locked for writing.
    pub(super) fn is_quiet(&self, parity: usize) -> bool {
        self.0[parity].load(Ordering::SeqCst) == 0
    }
}

/// A search under way.
#[derive(Debug)]
pub(super) struct Search<'a> {
    searches: &'a Searches,
    parity: usize,
}

impl Drop for Search<'_> {
    fn drop(&mut self) {
        self.searches.0[self.parity].fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_waits_for_those_who_may_know_it() {
        let (mut ids, searches) = (Ids::default(), Searches::default());
        let mut parity = 0;
        let advance = |ids: &mut Ids, parity: &mut usize| {
            if searches.is_quiet(1 - *parity) {
                ids.release(1 - *parity);
                *parity = 1 - *parity;
            }
        };
        assert_eq!((ids.take(), ids.take()), (0, 1));
        let search = searches.begin(parity);
        ids.give_back(0, parity);
        for expected in 2..6 {
            advance(&mut ids, &mut parity);
            assert_eq!(ids.take(), expected);
        }
        drop(search);
        advance(&mut ids, &mut parity);
        advance(&mut ids, &mut parity);
        assert_eq!(ids.take(), 0);
    }
}
