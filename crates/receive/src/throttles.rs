//! Bounds on how often each thing is logged, one for each, so that a sender that is refused all the time does not silence what is said about others.

use std::{collections::HashMap, hash::Hash};

use basalt_http::Throttle;
use parking_lot::Mutex;

/// A throttle for each key that was met. Keys are names in the program, of which there are few.
#[derive(Debug)]
pub struct Throttles<K>(Mutex<HashMap<K, Throttle>>);

impl<K> Default for Throttles<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Throttles<K> {
    /// Whether a line about `key` may be said now; gives how many were held back before it.
    pub fn admit(&self, key: K) -> Option<u64> {
        self.0.lock().entry(key).or_default().admit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_silences_others() {
        let throttles = Throttles::default();
        let admitted = ["a", "a", "b", "a", "b"].map(|key| throttles.admit(key));
        assert_eq!(admitted, [Some(0), None, Some(0), None, None]);
    }
}
