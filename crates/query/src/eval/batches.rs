//! Series in batches, over several threads, with results in the order of series.
//!
//! 1. A batch is some neighbouring chunks of a stream. How many series it has depends only on how many there are in all, so that a result does not depend on
//!    how many threads there are.
//! 2. Each thread takes the next batch, works on it, and hands in what came out.
//! 3. What comes out is taken over in the order of batches; what is too early waits.
//! 4. The first failure ends all.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use parking_lot::Mutex;
use storage_api::{SelectError, SeriesChunk, SeriesStream};

use crate::api::QueryError;

/// A batch has at least and at most so many series, if there are enough.
const BATCH_SERIES: (u64, u64) = (64, 4_096);
/// There shall be so many batches, as far as the above allows it.
const BATCHES_WANTED: u64 = 64;
/// So few series are worked on by the calling thread alone.
const ALONE_SERIES_MAX: u64 = 128;
/// So few values are worked on by the calling thread alone.
const ALONE_VALUES_MAX: usize = 1 << 16;
/// Pieces of unequal work are spread over threads if each takes some.
const PIECES_PER_THREAD: usize = 8;

/// Some neighbouring series.
pub struct Batch {
    /// The chunks they stand in.
    pub chunks: Vec<Box<dyn SeriesChunk>>,
    number: usize,
}

/// Cuts a stream into batches.
struct Batches<'a> {
    stream: &'a dyn SeriesStream,
    series: usize,
    next: Mutex<usize>,
}

impl Batches<'_> {
    fn next(&self) -> Result<Option<Batch>, SelectError> {
        let mut next = self.next.lock();
        let (mut chunks, mut series) = (Vec::new(), 0);
        while series < self.series {
            let Some(chunk) = self.stream.next()? else { break };
            series += chunk.len();
            chunks.push(chunk);
        }
        if chunks.is_empty() {
            return Ok(None);
        }
        let number = *next;
        *next += 1;
        Ok(Some(Batch { chunks, number }))
    }
}

/// Takes results in the order of batches.
struct InOrder<T, F> {
    next: usize,
    early: BTreeMap<usize, T>,
    take: F,
    failed: Option<QueryError>,
}

impl<T, F: FnMut(T) -> Result<(), QueryError>> InOrder<T, F> {
    fn hand_in(&mut self, number: usize, result: Result<T, QueryError>) -> Result<(), ()> {
        match result {
            Ok(result) => {
                self.early.insert(number, result);
            }
            Err(error) => self.fail(error),
        }
        while self.failed.is_none()
            && let Some(result) = self.early.remove(&self.next)
        {
            self.next += 1;
            if let Err(error) = (self.take)(result) {
                self.fail(error);
            }
        }
        if self.failed.is_some() { Err(()) } else { Ok(()) }
    }

    fn fail(&mut self, error: QueryError) {
        self.failed.get_or_insert(error);
    }
}

/// Works on all series of a stream with at most `workers` threads. `work` gets what `make` made for its thread, and a batch; `take` gets what came out, in order.
pub fn run<W, T: Send>(
    stream: &dyn SeriesStream,
    workers: usize,
    make: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, Batch) -> Result<T, QueryError> + Sync,
    take: impl FnMut(T) -> Result<(), QueryError> + Send,
) -> Result<(), QueryError> {
    let total = stream.series_total();
    let wanted = total.map_or(BATCH_SERIES.1, |total| (total / BATCHES_WANTED).clamp(BATCH_SERIES.0, BATCH_SERIES.1));
    let batches = Batches { stream, series: wanted as usize, next: Mutex::new(0) };
    let threads = match total {
        Some(total) if total <= ALONE_SERIES_MAX => 1,
        Some(total) => workers.min(usize::try_from(total.div_ceil(wanted)).unwrap_or(usize::MAX)).max(1),
        None => workers.max(1),
    };
    let next = || Ok(batches.next()?.map(|batch| (batch.number, batch)));
    run_all(threads, next, make, work, take)
}

/// As [`run`], over things that are there already, a piece of them at a time. `cost` is about how many values stand in all of them.
pub fn run_pieces<I: Send, W, T: Send>(
    items: Vec<I>,
    cost: usize,
    workers: usize,
    make: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, Vec<I>) -> Result<T, QueryError> + Sync,
    take: impl FnMut(T) -> Result<(), QueryError> + Send,
) -> Result<(), QueryError> {
    let threads = if cost <= ALONE_VALUES_MAX { 1 } else { workers.min(items.len()).max(1) };
    let wanted = items.len().div_ceil(threads * PIECES_PER_THREAD).max(1);
    let rest = Mutex::new((0, items.into_iter()));
    let next = || {
        let (number, items) = &mut *rest.lock();
        let piece: Vec<I> = items.take(wanted).collect();
        *number += 1;
        Ok((!piece.is_empty()).then_some((*number - 1, piece)))
    };
    run_all(threads, next, make, work, take)
}

fn run_all<B, W, T: Send>(
    threads: usize,
    next: impl Fn() -> Result<Option<(usize, B)>, QueryError> + Sync,
    make: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, B) -> Result<T, QueryError> + Sync,
    take: impl FnMut(T) -> Result<(), QueryError> + Send,
) -> Result<(), QueryError> {
    let results = Mutex::new(InOrder { next: 0, early: BTreeMap::new(), take, failed: None });
    let ended = AtomicBool::new(false);
    let work_on_all = || {
        let mut worker = make();
        while !ended.load(Ordering::Relaxed) {
            let (number, result) = match next() {
                Ok(Some((number, batch))) => (number, work(&mut worker, batch)),
                Ok(None) => break,
                Err(error) => (usize::MAX, Err(error)),
            };
            if results.lock().hand_in(number, result).is_err() {
                ended.store(true, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work_on_all);
        }
        work_on_all();
    });
    match results.into_inner().failed {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on a thread that may block.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use storage_api::SeriesData;

    use super::*;

    struct Numbers {
        next: Mutex<u64>,
        total: u64,
    }

    struct Chunk(u64);

    impl SeriesStream for Numbers {
        fn next(&self) -> Result<Option<Box<dyn SeriesChunk>>, SelectError> {
            let mut next = self.next.lock();
            if *next >= self.total {
                return Ok(None);
            }
            *next += 1;
            Ok(Some(Box::new(Chunk(*next - 1))))
        }

        fn series_total(&self) -> Option<u64> {
            Some(self.total)
        }
    }

    impl SeriesChunk for Chunk {
        fn position(&self) -> u64 {
            self.0
        }

        fn len(&self) -> usize {
            1
        }

        fn id(&self, _: usize) -> model::SeriesId {
            model::SeriesId(u128::from(self.0))
        }

        fn key(&self, _: usize, _: &mut model::SeriesKey) -> Result<(), SelectError> {
            Ok(())
        }

        fn read(&mut self, _: usize, _: &mut SeriesData) -> Result<(), SelectError> {
            Ok(())
        }
    }

    fn positions(batch: &Batch) -> Vec<u64> {
        batch.chunks.iter().map(|chunk| chunk.position()).collect()
    }

    #[test]
    fn results_come_in_order_and_batches_do_not_depend_on_threads() {
        let cut = |workers| {
            let stream = Numbers { next: Mutex::new(0), total: 1_000 };
            let mut all = Vec::new();
            run(
                &stream,
                workers,
                || (),
                |(), batch| Ok(positions(&batch)),
                |batch| {
                    all.push(batch);
                    Ok(())
                },
            )
            .expect("nothing fails");
            all
        };
        let alone = cut(1);
        assert_eq!(alone.concat(), (0..1_000).collect::<Vec<_>>());
        assert!(alone.len() > 1);
        assert_eq!(cut(4), alone);
    }

    #[test]
    fn so_many_threads_work_as_may() {
        for workers in [1, 3] {
            let threads = AtomicUsize::new(0);
            let stream = Numbers { next: Mutex::new(0), total: 1_000 };
            let make = || threads.fetch_add(1, Ordering::Relaxed);
            run(&stream, workers, make, |_, _| Ok(()), |()| Ok(())).expect("nothing fails");
            assert_eq!(threads.into_inner(), workers);
        }
    }

    #[test]
    fn the_first_failure_ends_all() {
        let stream = Numbers { next: Mutex::new(0), total: 1_000 };
        let work = |_: &mut (), batch: Batch| match positions(&batch).contains(&100) {
            true => Err(QueryError::Cancelled),
            false => Ok(()),
        };
        assert_eq!(run(&stream, 3, || (), work, |()| Ok(())), Err(QueryError::Cancelled));
    }

    #[test]
    fn waiting_ends_when_another_thread_wakes() {
        let (send, receive) = tokio::sync::oneshot::channel();
        let waker = thread::spawn(move || send.send(7));
        assert_eq!(block_on(receive), Ok(7));
        assert_eq!(waker.join().expect("the thread ends"), Ok(()));
    }
}
