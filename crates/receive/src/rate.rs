//! A bound on samples per second (`-maxIngestionRate`).
//!
//! Each insert reserves as much time as its samples take at the highest rate, and begins when the time reserved before it is over. Who would have to
//! wait too long is turned away; the sender keeps the samples and comes again.

use std::{fmt, time::Duration};

use basalt_http::Counter;
use parking_lot::Mutex;
use tokio::time::Instant;

#[derive(Debug)]
pub struct IngestionRate {
    /// 0 means no limit.
    samples_per_second_max: u64,
    wait_max: Duration,
    /// When the time that is reserved so far is over.
    reserved_until: Mutex<Instant>,
    reached: Counter,
}

/// The rate does not allow an insert for a long time.
#[derive(Debug, PartialEq, Eq)]
pub struct TooFast {
    samples_per_second_max: u64,
}

impl fmt::Display for TooFast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than -maxIngestionRate={} samples a second come in", self.samples_per_second_max)
    }
}

impl IngestionRate {
    /// A bound; an insert waits so long for its turn.
    pub fn new(samples_per_second_max: u64, wait_max: Duration) -> Self {
        let reserved_until = Mutex::new(Instant::now());
        Self { samples_per_second_max, wait_max, reserved_until, reached: Counter::default() }
    }

    /// Waits until so many samples may come in.
    pub async fn admit(&self, samples: u64) -> Result<(), TooFast> {
        if self.samples_per_second_max == 0 || samples == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let begins = {
            let mut reserved_until = self.reserved_until.lock();
            let begins = (*reserved_until).max(now);
            if begins - now > self.wait_max {
                self.reached.add(1);
                return Err(TooFast { samples_per_second_max: self.samples_per_second_max });
            }
            *reserved_until = begins + Duration::from_secs_f64(samples as f64 / self.samples_per_second_max as f64);
            begins
        };
        if begins > now {
            self.reached.add(1);
            tokio::time::sleep_until(begins).await;
        }
        Ok(())
    }

    /// How often an insert had to wait or was turned away.
    pub fn reached(&self) -> u64 {
        self.reached.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn inserts_wait_for_those_before_them() {
        let began = Instant::now();
        let rate = IngestionRate::new(100, Duration::from_secs(5));
        rate.admit(300).await.expect("the first is never late");
        assert_eq!((began.elapsed(), rate.reached()), (Duration::ZERO, 0));
        rate.admit(400).await.expect("3 seconds are not too long");
        let waited = began.elapsed();
        assert!(waited >= Duration::from_secs(3) && waited < Duration::from_millis(3100), "{waited:?}");
        rate.admit(300).await.expect("4 seconds are not too long");
        tokio::time::sleep(Duration::from_secs(100)).await;
        let again = Instant::now();
        rate.admit(600).await.expect("time that nobody used is over");
        assert_eq!(again.elapsed(), Duration::ZERO);
        let refused = rate.admit(1).await.expect_err("6 seconds are too long");
        assert_eq!(refused.to_string(), "more than -maxIngestionRate=100 samples a second come in");
        assert_eq!(rate.reached(), 3);
    }

    #[tokio::test]
    async fn without_a_limit_nobody_waits() {
        let rate = IngestionRate::new(0, Duration::ZERO);
        rate.admit(u64::MAX).await.expect("there is no limit");
        assert_eq!(rate.reached(), 0);
    }
}
