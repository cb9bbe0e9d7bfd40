//! Whether writes are refused, and why.
//!
//! Reasons come and go by themselves: the disk is full and has room again, the log failed and a new segment could be written. Writes are taken while no reason stands.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// The reasons that stand.
#[derive(Debug, Default)]
pub struct ReadOnly {
    any: AtomicBool,
    reasons: Mutex<Reasons>,
}

#[derive(Debug, Default)]
struct Reasons {
    space: Option<String>,
    log: Option<String>,
}

/// What a reason is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Room on the disk.
    Space,
    /// The log.
    Log,
}

impl ReadOnly {
    /// Sets or lifts a reason. Gives whether that changed anything.
    pub fn set(&self, cause: Cause, reason: Option<String>) -> bool {
        let mut reasons = self.reasons.lock();
        let place = match cause {
            Cause::Space => &mut reasons.space,
            Cause::Log => &mut reasons.log,
        };
        let changed = place.is_some() != reason.is_some();
        *place = reason;
        self.any.store(reasons.space.is_some() || reasons.log.is_some(), Ordering::Relaxed);
        changed
    }

    /// Whether a reason of this kind stands.
    pub fn stands(&self, cause: Cause) -> bool {
        let reasons = self.reasons.lock();
        match cause {
            Cause::Space => reasons.space.is_some(),
            Cause::Log => reasons.log.is_some(),
        }
    }

    /// Why writes are refused; `None` while they are taken.
    pub fn reason(&self) -> Option<String> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let reasons = self.reasons.lock();
        reasons.log.clone().or_else(|| reasons.space.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_taken_when_the_last_reason_is_gone() {
        let state = ReadOnly::default();
        assert!(state.set(Cause::Space, Some("full".into())));
        assert!(!state.set(Cause::Space, Some("still full".into())));
        assert!(state.set(Cause::Log, Some("failed".into())));
        assert_eq!(state.reason().as_deref(), Some("failed"));
        assert!(state.set(Cause::Log, None));
        assert_eq!(state.reason().as_deref(), Some("still full"));
        assert!(state.set(Cause::Space, None));
        assert_eq!(state.reason(), None);
    }
}
