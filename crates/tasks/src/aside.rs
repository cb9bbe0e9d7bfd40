//! Work that keeps its thread busy, and what else waits for that thread.
//!
//! Few threads move what goes over the network, so that the steps of a call follow each other on one thread and wake no other. Work of some length is
//! done there too, as handing it over costs two switches of threads, unless that holds somebody up:
//!
//! 1. Before the work begins, [`begin`] lets all that is ready have its turn: answers that came meanwhile are read, and other work comes so far that it
//!    could begin.
//! 2. If more than one other could begin then, or some is done aside already, or the work is long, the thread leaves its sockets and tasks to another
//!    thread while it does the work. One other is not worth that: it begins soon.
//! 3. No more threads work aside than there are processors. Work for which there is none is done where it is.
//!
//! The work is what a future does in the poll after [`begin`]; [`may_step_aside`] goes around that future.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::pin,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::available_parallelism,
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::{block_in_place, yield_now},
};

/// Work on so many bytes takes a millisecond or more.
const LONG_BYTES: usize = 256 << 10;

/// Work that could begin.
static READY: AtomicUsize = AtomicUsize::new(0);
/// Threads that work aside.
static ASIDE: AtomicUsize = AtomicUsize::new(0);
static ASIDE_MAX: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(1, usize::from));

thread_local! {
    /// What the future that is polled here does in its next poll.
    static NEXT: Cell<Next> = const { Cell::new(Next::Little) };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Little,
    Work,
    LongWork,
}

/// One of a number, for as long as it lives.
struct Counted(&'static AtomicUsize);

impl Counted {
    fn add(to: &'static AtomicUsize) -> Self {
        to.fetch_add(1, Relaxed);
        Self(to)
    }

    /// Fails where there are as many as that already.
    fn add_below(max: usize, to: &'static AtomicUsize) -> Option<Self> {
        to.try_update(Relaxed, Relaxed, |count| (count < max).then_some(count + 1)).ok().map(|_| Self(to))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Lets others go first. Work on so many bytes follows.
pub async fn begin(bytes: usize) {
    let _ready = Counted::add(&READY);
    NEXT.set(if bytes < LONG_BYTES { Next::Work } else { Next::LongWork });
    yield_now().await;
}

/// Waits for a future of which work that it begins with [`begin`] does not hold up others.
pub async fn may_step_aside<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut next = Next::Little;
    poll_fn(|context| {
        NEXT.set(Next::Little);
        let polled = match step_aside(next) {
            Some(_aside) => block_in_place(|| future.as_mut().poll(context)),
            None => future.as_mut().poll(context),
        };
        next = NEXT.replace(Next::Little);
        polled
    })
    .await
}

/// A place aside, if the work that comes next should have one and there is one.
fn step_aside(next: Next) -> Option<Counted> {
    let holds_up = match next {
        Next::Little => false,
        // One of them is this.
        Next::Work => READY.load(Relaxed) > 2 || ASIDE.load(Relaxed) > 0,
        Next::LongWork => true,
    };
    // A runtime of another flavor has no thread that could take over.
    let flavor = || Handle::try_current().map(|runtime| runtime.runtime_flavor());
    let can = holds_up && flavor().is_ok_and(|flavor| flavor == RuntimeFlavor::MultiThread);
    if can { Counted::add_below(*ASIDE_MAX, &ASIDE) } else { None }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Condvar, Mutex, mpsc},
        time::Duration,
    };

    use tokio::{runtime::Builder, spawn};

    use super::*;
    use crate::together;

    /// What is not there after it never comes.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Work in the poll after it was announced.
    async fn work<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
        may_step_aside(async {
            begin(bytes).await;
            work()
        })
        .await
    }

    // One test, as all tests of a process share the places aside.
    #[test]
    fn one_thread_for_all_is_held_up_by_none() {
        let mut one_thread = Builder::new_multi_thread();
        let runtime = one_thread.worker_threads(1).build().expect("a runtime starts");

        let thread = || std::thread::current().id();
        let alone = runtime.spawn(async move { (thread(), work(1, thread).await) });
        let (before, within) = runtime.block_on(alone).expect("it ends");
        assert_eq!(before, within, "work that holds up nobody is done where it is");

        let arrived = Arc::new((Mutex::new(0), Condvar::new()));
        let meet = move || {
            let (count, more) = &*arrived;
            *count.lock().expect("nobody panics") += 1;
            more.notify_all();
            let waited = more.wait_timeout_while(count.lock().expect("nobody panics"), PATIENCE, |count| *count < 2);
            !waited.expect("nobody panics").1.timed_out()
        };
        let three = runtime.spawn(async move {
            let three = [meet.clone(), meet.clone(), meet].map(|meet| spawn(work(1, meet)));
            together(three.into()).await
        });
        let met: Vec<bool> =
            runtime.block_on(three).expect("it ends").into_iter().map(|met| met.expect("it ends")).collect();
        assert_eq!(met, [true; 3], "work that is ready at the same time is done at the same time");

        let (said, hears) = mpsc::channel();
        let long = runtime.spawn(work(LONG_BYTES, move || hears.recv_timeout(PATIENCE)));
        let little = runtime.spawn(async move { said.send(7) });
        let heard = runtime.block_on(async { (little.await.expect("it ends"), long.await.expect("it ends")) });
        assert_eq!(heard, (Ok(()), Ok(7)), "nobody waits for long work");

        let given_up = runtime.spawn(async {
            tokio::select! {
                biased;
                () = work(1, || ()) => panic!("others go first"),
                () = std::future::ready(()) => {}
            }
        });
        runtime.block_on(given_up).expect("it ends");
        assert_eq!((READY.load(Relaxed), ASIDE.load(Relaxed)), (0, 0), "all is given back");
    }

    #[tokio::test]
    async fn where_there_is_no_other_thread_work_is_done_there() {
        assert_eq!(work(LONG_BYTES, || 7).await, 7);
    }
}
