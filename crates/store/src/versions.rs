//! Version numbers of time ranges, by which an answer in a cache is known to be still right.
//!
//! 1. Every append raises the numbers of the minutes that it writes into; one that writes into many minutes raises those of hours instead, one that
//!    writes into many hours the one for all. Deletes and expiry raise the one for all.
//! 2. The version of a range is the sum over all that touches it: it never falls, and it rises whenever something in the range may have changed.
//! 3. Minutes are known for some days only; the oldest ones then count for their hour as a whole.
//! 4. They begin at a random number in each process. Whoever keeps an answer on another node need not know that this one was restarted.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    hash::BuildHasher,
};

use model::TimeRange;
use parking_lot::Mutex;

use crate::options::HOUR_MS;

const MINUTE_MS: i64 = HOUR_MS / 60;
/// When a batch touches more minutes than this, their hours are raised instead.
const MINUTES_A_BATCH_MAX: i64 = 90;
/// When a batch touches more hours than this, the number for all is raised instead.
const HOURS_A_BATCH_MAX: i64 = 64;
/// Minutes that are known; more of them count for their hours.
const MINUTES_MAX: usize = 4 * 24 * 60;

/// The numbers.
#[derive(Debug)]
pub struct Versions(Mutex<Numbers>);

#[derive(Debug)]
struct Numbers {
    all: u64,
    hours: BTreeMap<i64, u64>,
    minutes: BTreeMap<i64, u64>,
}

impl Numbers {
    /// Minutes before `hour` count for their hours from now on: no sum over a range falls by that.
    fn coarsen_before(&mut self, hour: i64) {
        let kept = self.minutes.split_off(&(hour * (HOUR_MS / MINUTE_MS)));
        for (minute, number) in std::mem::replace(&mut self.minutes, kept) {
            *self.hours.entry((minute * MINUTE_MS).div_euclid(HOUR_MS)).or_default() += number;
        }
    }
}

impl Default for Versions {
    fn default() -> Self {
        // Keys of the standard library's hash maps are random. Half of all numbers are left to count on.
        let all = RandomState::new().hash_one(std::process::id()) >> 1;
        Self(Mutex::new(Numbers { all, hours: BTreeMap::new(), minutes: BTreeMap::new() }))
    }
}

impl Versions {
    /// Rows were written into the range.
    pub fn written(&self, range: TimeRange) {
        if range.is_empty() {
            return;
        }
        let slots = |length: i64| range.min.div_euclid(length)..=range.max.div_euclid(length);
        let (minutes, hours) = (slots(MINUTE_MS), slots(HOUR_MS));
        let numbers = &mut *self.0.lock();
        if hours.end() - hours.start() >= HOURS_A_BATCH_MAX {
            numbers.all += 1;
        } else if minutes.end() - minutes.start() >= MINUTES_A_BATCH_MAX {
            hours.for_each(|hour| *numbers.hours.entry(hour).or_default() += 1);
        } else {
            minutes.for_each(|minute| *numbers.minutes.entry(minute).or_default() += 1);
        }
        while numbers.minutes.len() > MINUTES_MAX {
            let oldest = *numbers.minutes.keys().next().expect("BUG: there are minutes");
            numbers.coarsen_before((oldest * MINUTE_MS).div_euclid(HOUR_MS) + 1);
        }
    }

    /// Anything may have changed.
    pub fn all_changed(&self) {
        self.0.lock().all += 1;
    }

    /// Hours before `time` are answered no more.
    pub fn forget_before(&self, time: i64) {
        let numbers = &mut *self.0.lock();
        let hour = time.div_euclid(HOUR_MS);
        numbers.coarsen_before(hour);
        let kept = numbers.hours.split_off(&hour);
        // The sum over a range must not fall.
        numbers.all += numbers.hours.values().sum::<u64>();
        numbers.hours = kept;
    }

    /// The version of a range.
    pub fn of(&self, range: TimeRange) -> u64 {
        let numbers = &*self.0.lock();
        if range.is_empty() {
            return numbers.all;
        }
        let sum = |slots: &BTreeMap<i64, u64>, length: i64| {
            let touched = slots.range(range.min.div_euclid(length)..=range.max.div_euclid(length));
            touched.map(|(_, number)| number).sum::<u64>()
        };
        numbers.all + sum(&numbers.hours, HOUR_MS) + sum(&numbers.minutes, MINUTE_MS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_ranges_that_were_touched_change() {
        let versions = Versions::default();
        let (one, two) = (TimeRange::new(0, MINUTE_MS - 1), TimeRange::new(MINUTE_MS, 2 * MINUTE_MS));
        let before = (versions.of(one), versions.of(two));
        versions.written(TimeRange::new(MINUTE_MS, MINUTE_MS));
        assert_eq!(versions.of(one), before.0);
        assert_ne!(versions.of(two), before.1);
        let before = versions.of(one);
        versions.all_changed();
        assert_ne!(versions.of(one), before);
    }

    #[test]
    fn no_two_processes_have_the_same_versions() {
        let range = TimeRange::new(0, MINUTE_MS - 1);
        let (one, other) = (Versions::default(), Versions::default());
        one.written(range);
        other.written(range);
        assert_ne!(one.of(range), other.of(range));
    }

    #[test]
    fn the_minutes_that_are_known_are_bounded() {
        let versions = Versions::default();
        let first = TimeRange::new(0, MINUTE_MS - 1);
        versions.written(first);
        let before = versions.of(first);
        for minute in 0..2 * MINUTES_MAX as i64 {
            versions.written(TimeRange::new(minute * MINUTE_MS, minute * MINUTE_MS));
            assert!(versions.0.lock().minutes.len() <= MINUTES_MAX);
        }
        assert!(versions.of(first) > before);
    }

    #[derive(Debug, Clone)]
    enum Event {
        Written(i64, i64),
        Changed,
        Forgotten(i64),
    }

    fn event() -> impl Strategy<Value = Event> {
        let length = prop_oneof![0..3 * MINUTE_MS, 0..5 * HOUR_MS, 0..100 * HOUR_MS];
        prop_oneof![
            8 => (-50 * HOUR_MS..50 * HOUR_MS, length).prop_map(|(start, length)| Event::Written(start, length)),
            1 => Just(Event::Changed),
            1 => (-50 * HOUR_MS..0).prop_map(Event::Forgotten),
        ]
    }

    proptest! {
        #[test]
        fn a_version_never_falls_and_rises_with_each_write_into_its_range(
            events in prop::collection::vec(event(), 1..60),
            ranges in prop::collection::vec((-60 * HOUR_MS..60 * HOUR_MS, 0..3 * HOUR_MS), 1..8),
        ) {
            let versions = Versions::default();
            let ranges: Vec<_> = ranges.into_iter().map(|(start, length)| TimeRange::new(start, start + length)).collect();
            for event in events {
                let before: Vec<_> = ranges.iter().map(|range| versions.of(*range)).collect();
                let touched = match event {
                    Event::Written(start, length) => {
                        let written = TimeRange::new(start, start + length);
                        versions.written(written);
                        Some(written)
                    }
                    Event::Changed => {
                        versions.all_changed();
                        Some(TimeRange::ALL)
                    }
                    Event::Forgotten(time) => {
                        versions.forget_before(time);
                        None
                    }
                };
                for (range, before) in ranges.iter().zip(before) {
                    let now = versions.of(*range);
                    prop_assert!(now >= before);
                    prop_assert!(now > before || touched.is_none_or(|touched| !touched.overlaps(*range)));
                }
            }
        }
    }
}
