//! Memory for bodies that are being read.
//!
//! A body reserves its declared length, or the longest allowed one if it declares none, and waits while others hold too much.

use std::time::Duration;

use basalt_http::{Gate, GateFull, Permit};

/// The budget is counted in pieces of this size.
const PIECE_BYTES: u64 = 4 << 10;
/// Requests that wait for memory.
const WAITING_MAX: usize = 10_000;

#[derive(Debug)]
pub struct BodyBudget {
    gate: Gate,
    body_bytes_max: usize,
}

impl BodyBudget {
    pub fn new(bytes: u64, body_bytes_max: usize, wait_max: Duration) -> Self {
        let pieces = bytes.max(body_bytes_max as u64).div_ceil(PIECE_BYTES).clamp(1, u64::from(u32::MAX >> 3));
        Self { gate: Gate::new(pieces as usize, WAITING_MAX, wait_max), body_bytes_max }
    }

    /// Reserves memory for a body that is at most as long as allowed.
    pub async fn reserve(&self, declared: Option<u64>) -> Result<Permit, GateFull> {
        let bytes = declared.unwrap_or(self.body_bytes_max as u64).min(self.body_bytes_max as u64);
        let pieces = bytes.div_ceil(PIECE_BYTES).clamp(1, self.gate.capacity() as u64);
        self.gate.enter_weighted(pieces as u32).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bodies_wait_for_memory() {
        let budget = BodyBudget::new(100 << 10, 64 << 10, Duration::from_secs(1));
        let unknown = budget.reserve(None).await.expect("64 KiB are free");
        let small = budget.reserve(Some(36 << 10)).await.expect("36 KiB are free");
        assert!(budget.reserve(Some(4 << 10)).await.is_err());
        drop(unknown);
        assert!(budget.reserve(Some(64 << 10)).await.is_ok());
        drop(small);
        // A limit on bodies over the budget does not shut everybody out.
        let tight = BodyBudget::new(1, 64 << 10, Duration::from_secs(1));
        assert!(tight.reserve(None).await.is_ok());
    }
}
