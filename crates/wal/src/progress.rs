//! How far a segment has come, and who waits for it.
//!
//! 1. A segment's bytes are written, then synced, strictly from front to back; so one number says what is done.
//! 2. Who waits leaves a waker with the offset that it waits for. Reaching an offset wakes all up to there.
//! 3. A failure wakes everybody. Offsets that were reached before stay reached: what was acknowledged is durable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// The outcome of waiting: reached, or what failed before that.
pub(crate) type Outcome = Result<(), Arc<disk::Error>>;

/// The offset up to which one kind of work is done.
#[derive(Default)]
pub(crate) struct Progress {
    done: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    failed: Option<Arc<disk::Error>>,
    /// By the offset that is waited for, and a number that tells apart those who wait for the same.
    wakers: BTreeMap<(u64, u64), Waker>,
    next_id: u64,
}

impl Progress {
    /// The offset that was reached.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// All bytes before `end` are done.
    pub(crate) fn reach(&self, end: u64) {
        let woken = {
            let mut waiting = self.waiting.lock();
            assert!(waiting.failed.is_none(), "BUG: a segment that failed went on");
            self.done.store(end, Ordering::Release);
            let later = waiting.wakers.split_off(&(end + 1, 0));
            std::mem::replace(&mut waiting.wakers, later)
        };
        woken.into_values().for_each(Waker::wake);
    }

    /// Nothing more will be reached.
    pub(crate) fn fail(&self, cause: &Arc<disk::Error>) {
        let woken = {
            let mut waiting = self.waiting.lock();
            waiting.failed.get_or_insert_with(|| Arc::clone(cause));
            std::mem::take(&mut waiting.wakers)
        };
        woken.into_values().for_each(Waker::wake);
    }

    /// Whether `end` is reached. If that is open, `context` is woken when it is decided; `id` tells repeated calls of
    /// the same waiter apart from others.
    pub(crate) fn poll(&self, end: u64, id: &mut Option<u64>, context: &Context<'_>) -> Poll<Outcome> {
        if self.done() >= end {
            return Poll::Ready(Ok(()));
        }
        let mut waiting = self.waiting.lock();
        // Again under the lock: otherwise what is reached meanwhile would wake nobody.
        if self.done() >= end {
            return Poll::Ready(Ok(()));
        }
        if let Some(cause) = &waiting.failed {
            return Poll::Ready(Err(Arc::clone(cause)));
        }
        let id = *id.get_or_insert_with(|| {
            waiting.next_id += 1;
            waiting.next_id
        });
        waiting.wakers.insert((end, id), context.waker().clone());
        Poll::Pending
    }

    /// Forgets a waiter that gave up.
    pub(crate) fn forget(&self, end: u64, id: u64) {
        self.waiting.lock().wakers.remove(&(end, id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicU64);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn failure() -> Arc<disk::Error> {
        Arc::new(disk::Error::new("sync", "x", std::io::Error::other("no")))
    }

    #[test]
    fn reaching_wakes_those_up_to_there_once() {
        let progress = Progress::default();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let context = Context::from_waker(&waker);
        let (mut first, mut second, mut third) = (None, None, None);
        assert!(progress.poll(10, &mut first, &context).is_pending());
        assert!(progress.poll(10, &mut first, &context).is_pending());
        assert!(progress.poll(10, &mut second, &context).is_pending());
        assert!(progress.poll(11, &mut third, &context).is_pending());
        progress.reach(10);
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
        assert!(matches!(progress.poll(10, &mut first, &context), Poll::Ready(Ok(()))));
        progress.fail(&failure());
        assert_eq!(count.0.load(Ordering::Relaxed), 3);
        assert!(matches!(progress.poll(11, &mut third, &context), Poll::Ready(Err(_))));
        assert!(matches!(progress.poll(9, &mut None, &context), Poll::Ready(Ok(()))));
    }

    #[test]
    fn who_gave_up_is_not_woken() {
        let progress = Progress::default();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut id = None;
        assert!(progress.poll(5, &mut id, &Context::from_waker(&waker)).is_pending());
        progress.forget(5, id.expect("a waiter has an id"));
        progress.reach(5);
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
    }
}
