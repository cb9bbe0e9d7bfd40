//! Limits on the number of different series per hour and per day.
//!
//! A window holds the ids that were counted in it, 64 bits of each, and begins anew with the next hour or day. An id that was counted passes; a new one
//! passes while there is room.

use std::collections::HashSet;

use model::SeriesId;
use parking_lot::Mutex;

use crate::options::{DAY_MS, HOUR_MS};

/// The series of one running window.
#[derive(Debug)]
pub struct SeriesLimit {
    length_ms: i64,
    max: u64,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    number: i64,
    ids: HashSet<u64>,
}

impl SeriesLimit {
    /// At most `max` series per hour; none is counted if that is 0.
    pub fn hourly(max: u64) -> Self {
        Self { length_ms: HOUR_MS, max, window: Mutex::default() }
    }

    /// At most `max` series per day; none is counted if that is 0.
    pub fn daily(max: u64) -> Self {
        Self { length_ms: DAY_MS, max, window: Mutex::default() }
    }

    /// Whether there is a limit at all.
    pub fn is_set(&self) -> bool {
        self.max > 0
    }

    /// Whether a sample of the series may be taken at `now`.
    pub fn admit(&self, id: SeriesId, now: i64) -> bool {
        if self.max == 0 {
            return true;
        }
        let mut window = self.window.lock();
        window.turn(now.div_euclid(self.length_ms));
        let id = id.0 as u64;
        if window.ids.contains(&id) {
            return true;
        }
        let room = (window.ids.len() as u64) < self.max;
        if room {
            window.ids.insert(id);
        }
        room
    }

    /// How many series were counted in the window of `now`.
    pub fn current(&self, now: i64) -> u64 {
        let mut window = self.window.lock();
        window.turn(now.div_euclid(self.length_ms));
        window.ids.len() as u64
    }
}

impl Window {
    fn turn(&mut self, number: i64) {
        if self.number != number {
            self.number = number;
            self.ids.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_series_pass_and_a_new_window_has_room() {
        let limit = SeriesLimit::hourly(2);
        assert!(limit.admit(SeriesId(1), 0) && limit.admit(SeriesId(2), 1));
        assert!(!limit.admit(SeriesId(3), 2));
        assert!(limit.admit(SeriesId(1), 3));
        assert_eq!(limit.current(3), 2);
        assert!(limit.admit(SeriesId(3), HOUR_MS));
        assert!(SeriesLimit::daily(0).admit(SeriesId(9), 0));
    }
}
