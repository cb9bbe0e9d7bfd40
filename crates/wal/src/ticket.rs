//! What an append gives back: a promise that its records are as durable as was asked.
//!
//! A ticket is a future for any runtime and can also be waited for by a thread. It resolves when the segment has come
//! far enough, or was poisoned before. The committer is called for it, if nobody has done that, when it is waited for:
//! what is appended before the first ticket is waited for is committed together. Dropping a ticket gives up waiting and
//! nothing else: the records are logged anyway.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use crate::commit::Shared;
use crate::error::Result;
use crate::progress::Progress;
use crate::segment::Segment;

/// Resolves when the records of one append are as durable as [`crate::Ack`] asks for.
#[must_use = "nothing is acknowledged before the ticket has resolved"]
pub struct Ticket {
    pending: Option<Pending>,
}

struct Pending {
    shared: Arc<Shared>,
    segment: Arc<Segment>,
    goal: Goal,
    end: u64,
    waiter: Option<u64>,
    /// The committer knows that there is something to do.
    is_called: bool,
}

/// What has to be done to the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// They are in the file.
    Written,
    /// They are durable.
    Synced,
}

impl Ticket {
    /// Nothing has to be waited for.
    pub(crate) fn ready() -> Ticket {
        Ticket { pending: None }
    }

    /// Waits until the bytes of `segment` before `end` have reached `goal`.
    pub(crate) fn new(shared: Arc<Shared>, segment: Arc<Segment>, goal: Goal, end: u64) -> Ticket {
        Ticket { pending: Some(Pending { shared, segment, goal, end, waiter: None, is_called: false }) }
    }

    /// The committer was called already.
    pub(crate) fn called(mut self) -> Ticket {
        self.pending.iter_mut().for_each(|pending| pending.is_called = true);
        self
    }

    /// Has the committer begin now, while the caller has other work left before it waits.
    pub fn call(&mut self) {
        if let Some(pending) = &mut self.pending {
            pending.call();
        }
    }

    /// Waits on this thread.
    pub fn wait(mut self) -> Result<()> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(outcome) = Pin::new(&mut self).poll(&mut context) {
                return outcome;
            }
            match &self.pending {
                // Nobody else commits.
                Some(pending) if pending.shared.commits_when_asked() => {
                    pending.shared.commit_round(pending.goal == Goal::Synced);
                }
                _ => std::thread::park(),
            }
        }
    }
}

impl Pending {
    fn progress(&self) -> &Progress {
        match self.goal {
            Goal::Written => &self.segment.written,
            Goal::Synced => &self.segment.synced,
        }
    }

    fn call(&mut self) {
        if !std::mem::replace(&mut self.is_called, true) {
            self.segment.note_caller();
            self.shared.ring();
        }
    }
}

impl Future for Ticket {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(pending) = &mut self.pending else { return Poll::Ready(Ok(())) };
        let mut waiter = pending.waiter;
        let polled = pending.progress().poll(pending.end, &mut waiter, context);
        pending.waiter = waiter;
        if polled.is_pending() {
            pending.call();
        }
        polled.map_err(|cause| pending.segment.poisoned(&cause))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(pending) = &mut self.pending else { return };
        match pending.waiter {
            Some(waiter) => pending.progress().forget(pending.end, waiter),
            // Nobody waits, and it is to be committed all the same.
            None if pending.progress().done() < pending.end => pending.call(),
            None => {}
        }
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.pending {
            Some(pending) => write!(f, "Ticket({:?} {:x}..{})", pending.goal, pending.segment.number, pending.end),
            None => f.write_str("Ticket(ready)"),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
