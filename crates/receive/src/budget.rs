//! Memory for bodies that are being read, taken as their bytes come.
//!
//! 1. A sender that has sent nothing holds nothing. What came takes memory in steps from the *small share*, which no long body can take as a
//!    whole: one that declared more than [`SMALL_BYTES_MAX`] gets one step of it, one that declared nothing gets that much.
//! 2. Nobody waits for a step. A body that needs more than it may have of the small share, or finds that empty, queues for the *lane*, there
//!    for all that it may still become at once; meanwhile it keeps its steps, and is not read.
//! 3. Who is in the lane never waits for memory again, so that those who wait only wait for bodies that come, and two that each hold a part can
//!    not wait for each other. As many are in the lane at once as fit whole; the queue is first come, first served, and waiting is bounded.
//! 4. Who comes more slowly than [`PACE_BYTES`] in [`PACE_WINDOW`] is given up if somebody waits in the queue for what it holds: in the
//!    lane at once, in the small share if that is empty. While nobody waits, slow senders have all the time that bodies have.
//!
//! Share and lane together are the budget. On top of it come a frame for each connection, which lies in the buffers of the network anyway, and
//! what one step of unpacking makes of it.

use std::{
    fmt,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use basalt_http::{RequestBody, StatusCode};
use bytes::Bytes;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep_until, timeout},
};

use crate::rejection::Rejection;

/// The budget is counted in steps of this size.
const STEP_BYTES: u64 = 16 << 10;
/// The most that one body has of the small share.
const SMALL_BYTES_MAX: u64 = 256 << 10;
/// The small share is one part of so many.
const SMALL_SHARE: u64 = 5;
/// Bodies that wait for the lane.
const WAITING_MAX: usize = 10_000;
/// The pace of a sender is taken anew every so often.
const PACE_WINDOW: Duration = Duration::from_secs(2);
/// Slower than this in a window is slow. Bodies of 32 MiB that come at this pace would take four times as long as bodies may.
const PACE_BYTES: usize = 128 << 10;

/// See the module.
#[derive(Debug)]
pub struct BodyBudget {
    small: Semaphore,
    lane: Semaphore,
    lane_steps: u32,
    waiting: AtomicUsize,
    wait_max: Duration,
}

/// What one body holds of the budget; given back when dropped.
#[derive(Debug)]
pub struct Hold<'a> {
    budget: &'a BodyBudget,
    small_bytes_max: u64,
    held: Option<SemaphorePermit<'a>>,
    in_lane: bool,
    /// When the window began in which its pace is taken now. Time in which nobody reads the body does not count.
    window_began: Instant,
    window_bytes: usize,
    left_at: Instant,
}

/// There was no memory for a body for a long time.
#[derive(Debug, PartialEq, Eq)]
pub struct BudgetFull {
    waited: Duration,
}

impl fmt::Display for BudgetFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.waited.as_secs_f64();
        write!(f, "waited {seconds:.3} seconds because bodies that are being read hold all memory for them")
    }
}

impl BodyBudget {
    /// A budget of `bytes`, or of as many as the longest body and the small share beside it need.
    pub fn new(bytes: u64, body_bytes_max: usize, wait_max: Duration) -> Self {
        let lane_min = (body_bytes_max as u64).div_ceil(STEP_BYTES).max(1);
        let steps = (bytes / STEP_BYTES).max((lane_min * SMALL_SHARE).div_ceil(SMALL_SHARE - 1));
        let steps = steps.clamp(2, u64::from(u32::MAX >> 3));
        let small = (steps / SMALL_SHARE).max(1);
        let lane_steps = (steps - small) as u32;
        Self {
            small: Semaphore::new(small as usize),
            lane: Semaphore::new(lane_steps as usize),
            lane_steps,
            waiting: AtomicUsize::new(0),
            wait_max,
        }
    }

    /// For a body that is `declared` to be so long. Holds nothing yet.
    pub fn hold(&self, declared: Option<u64>) -> Hold<'_> {
        let is_long = declared.is_some_and(|bytes| bytes > SMALL_BYTES_MAX);
        let now = Instant::now();
        Hold {
            budget: self,
            small_bytes_max: if is_long { STEP_BYTES } else { SMALL_BYTES_MAX },
            held: None,
            in_lane: false,
            window_began: now,
            window_bytes: 0,
            left_at: now,
        }
    }

    /// Queues for the lane.
    async fn enter_lane(&self, steps: u32) -> Result<SemaphorePermit<'_>, BudgetFull> {
        if let Ok(permit) = self.lane.try_acquire_many(steps) {
            return Ok(permit);
        }
        let waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            return Err(BudgetFull { waited: Duration::ZERO });
        }
        let outcome = timeout(self.wait_max, self.lane.acquire_many(steps)).await;
        drop(waiting);
        let entered = outcome.map_err(|_| BudgetFull { waited: self.wait_max })?;
        Ok(entered.expect("BUG: the lane is never closed"))
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<'a> Hold<'a> {
    /// The next piece of its body; an error if that comes too slowly for those who wait for the memory.
    pub async fn next_frame(&mut self, body: &mut RequestBody) -> Result<Option<Bytes>, Rejection> {
        self.window_began += self.left_at.elapsed();
        let mut next = pin!(body.next_frame());
        let frame = loop {
            tokio::select! {
                biased;
                frame = &mut next => break frame?,
                () = sleep_until(self.window_began + PACE_WINDOW) => {
                    if self.window_bytes < PACE_BYTES && self.is_in_the_way() {
                        let why = "the request body comes too slowly while others wait for memory";
                        return Err(Rejection::new(StatusCode::SERVICE_UNAVAILABLE, why));
                    }
                    self.window_began = Instant::now();
                    self.window_bytes = 0;
                }
            }
        };
        self.window_bytes += frame.as_ref().map_or(0, |frame| frame.len());
        self.left_at = Instant::now();
        Ok(frame)
    }

    /// Takes memory until it is `bytes`, of a body that may become as long as `whole`.
    pub async fn grow(&mut self, bytes: usize, whole: u64) -> Result<(), BudgetFull> {
        let (budget, held) = (self.budget, self.steps());
        let steps = steps_for(bytes as u64).min(budget.lane_steps);
        let Some(more) = steps.checked_sub(held).filter(|more| *more > 0) else {
            return Ok(());
        };
        if !self.in_lane && bytes as u64 > self.small_bytes_max {
            return self.enter_lane(steps.max(steps_for(whole))).await;
        }
        // Who outgrows what it asked for in the lane does not wait: it could wait for another that does the same.
        let share = if self.in_lane { &budget.lane } else { &budget.small };
        match share.try_acquire_many(more) {
            Ok(more) => self.add(more),
            Err(_) if self.in_lane => return Err(BudgetFull { waited: Duration::ZERO }),
            Err(_) => self.enter_lane(steps.max(steps_for(whole))).await?,
        }
        Ok(())
    }

    /// Gives back what is over `bytes`, and the place in the lane if the small share has room.
    pub fn shrink(&mut self, bytes: usize) {
        let steps = steps_for(bytes as u64);
        if steps == 0 {
            self.held = None;
            self.in_lane = false;
        } else if !self.in_lane {
            let over = self.steps().saturating_sub(steps) as usize;
            drop(self.held.as_mut().and_then(|held| held.split(over)));
        } else if bytes as u64 <= self.small_bytes_max
            && let Ok(small) = self.budget.small.try_acquire_many(steps)
        {
            self.held = Some(small);
            self.in_lane = false;
        }
    }

    async fn enter_lane(&mut self, steps: u32) -> Result<(), BudgetFull> {
        self.held = Some(self.budget.enter_lane(steps.min(self.budget.lane_steps)).await?);
        self.in_lane = true;
        Ok(())
    }

    fn add(&mut self, more: SemaphorePermit<'a>) {
        match &mut self.held {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
    }

    fn steps(&self) -> u32 {
        self.held.as_ref().map_or(0, |held| held.num_permits() as u32)
    }

    fn is_in_the_way(&self) -> bool {
        let is_wanted = self.in_lane || self.budget.small.available_permits() == 0;
        self.held.is_some() && is_wanted && self.budget.waiting.load(Ordering::Relaxed) > 0
    }
}

#[cfg(test)]
impl Hold<'_> {
    pub fn bytes(&self) -> u64 {
        u64::from(self.steps()) * STEP_BYTES
    }
}

#[cfg(test)]
impl BodyBudget {
    pub fn lane_bytes(&self) -> u64 {
        u64::from(self.lane_steps) * STEP_BYTES
    }
}

fn steps_for(bytes: u64) -> u32 {
    bytes.div_ceil(STEP_BYTES).min(u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests;
