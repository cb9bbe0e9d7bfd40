//! Memory for rows that are on their way to storage nodes.
//!
//! 1. A batch takes room for the bytes that its copies come to before they are made, and gives it back when it is answered.
//! 2. A batch that finds none waits for a while. It holds its body meanwhile, so no more bytes may wait than a part of the room: beyond that batches are refused
//!    at once, and their senders come again later.
//! 3. What is refused was read and is free again, again and again, in pieces that fit nothing else. So it is given back to the system whenever it came to a part
//!    of the room.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use storage_api::InsertError;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::Options;

/// Room is counted in units of so many bytes.
const UNIT: u64 = 1024;
/// No more than this part of the room may wait for it.
const WAITING_SHARE: u64 = 4;
/// Memory is given back when this part of the room was refused.
const RECLAIMED_SHARE: u64 = 2;

/// See the module.
#[derive(Debug)]
pub struct Room {
    bytes: u64,
    units: u32,
    free: Semaphore,
    wait_max: Duration,
    waiting_bytes: AtomicU64,
    refused: AtomicU64,
    /// Since memory was given back.
    refused_bytes: AtomicU64,
    reclaim: fn(),
}

/// Bytes that wait, for as long as it lives.
struct Waiting<'a>(&'a AtomicU64, u64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Relaxed);
    }
}

impl Room {
    /// All of the room.
    pub fn new(options: &Options) -> Self {
        let Options { sending_bytes_max: bytes, room_wait_max: wait_max, reclaim, .. } = *options;
        let units = (bytes / UNIT).clamp(1, u64::from(u32::MAX / 2)) as u32;
        let (waiting_bytes, refused, refused_bytes) = Default::default();
        let free = Semaphore::new(units as usize);
        Self { bytes, units, free, wait_max, waiting_bytes, refused, refused_bytes, reclaim }
    }

    /// Batches that found no room.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Room for a batch that comes to so many bytes. One that is larger than the whole room takes all of it.
    pub async fn take(&self, bytes: u64) -> Result<SemaphorePermit<'_>, InsertError> {
        let units = (bytes.div_ceil(UNIT)).min(u64::from(self.units)) as u32;
        if let Ok(permit) = self.free.try_acquire_many(units) {
            return Ok(permit);
        }
        let before = self.waiting_bytes.fetch_add(bytes, Relaxed);
        let _waiting = Waiting(&self.waiting_bytes, bytes);
        // One that is too large to wait beside others waits alone.
        if before > 0 && before + bytes > self.bytes / WAITING_SHARE {
            return Err(self.refuse(bytes, &format!(", and {before} wait already")));
        }
        match timeout(self.wait_max, self.free.acquire_many(units)).await {
            Ok(permit) => Ok(permit.expect("BUG: the room is never closed")),
            Err(_) => Err(self.refuse(bytes, "")),
        }
    }

    fn refuse(&self, bytes: u64, more: &str) -> InsertError {
        self.refused.fetch_add(1, Relaxed);
        if self.refused_bytes.fetch_add(bytes, Relaxed) + bytes >= self.bytes / RECLAIMED_SHARE {
            self.refused_bytes.store(0, Relaxed);
            (self.reclaim)();
        }
        InsertError::Overloaded(format!("{} bytes of rows are on their way to storage nodes{more}", self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_bounded_too() {
        let room = Room::new(&Options { sending_bytes_max: 100 * UNIT, ..Options::default() });
        let held = room.take(90 * UNIT).await.expect("there is room");
        let mut one = Box::pin(room.take(15 * UNIT));
        let mut other = Box::pin(room.take(10 * UNIT));
        for waiting in [&mut one, &mut other] {
            assert!(at_once(waiting.as_mut()).await.is_none(), "it waits");
        }
        let refused = room.take(20 * UNIT).await.map(drop);
        assert!(matches!(refused, Err(InsertError::Overloaded(why)) if why.contains("25600 wait already")));
        assert!(room.take(10 * UNIT).await.is_err(), "nor does a small one overtake");
        drop(held);
        let (one, other) = (one.await.expect("its turn"), other.await.expect("its turn"));
        let small = room.take(75 * UNIT).await.expect("the rest");
        drop((one, other, small));
        drop(room.take(1000 * UNIT).await.expect("one that is too large goes alone"));
        assert_eq!((room.refused(), room.waiting_bytes.load(Relaxed)), (2, 0));
    }

    /// What a future gives at once.
    async fn at_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match future.as_mut().poll(context) {
                std::task::Poll::Ready(done) => Some(done),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
