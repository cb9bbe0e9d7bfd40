//! Names of series that are seen for the first time, in the log: for who looks for the source of too many of them.
//!
//! It also counts those encodings, for `/metrics`.
//!
//! It stands on the way that an encoding of a series takes once, so that it costs nothing while nobody asks for it. A series that is sent in two
//! encodings is logged twice; one that is not sent for long is forgotten and logged again.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use basalt_http::Counter;
use model::{Clock, KeyBuilder, METRIC_NAME};

/// Nobody asks for longer.
const SECONDS_MAX: u64 = 24 * 3600;

/// Whether, and until when, new series are logged.
pub struct NewSeriesLog {
    clock: Arc<dyn Clock>,
    always: bool,
    /// In milliseconds; zero while nobody has asked.
    until: AtomicI64,
    resolved: Counter,
}

impl std::fmt::Debug for NewSeriesLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewSeriesLog(always {}, until {:?})", self.always, self.until)
    }
}

impl NewSeriesLog {
    /// A log that says everything, or only what is asked for.
    pub fn new(clock: Arc<dyn Clock>, always: bool) -> Self {
        Self { clock, always, until: AtomicI64::new(0), resolved: Counter::default() }
    }

    /// How many encodings were seen for the first time.
    pub fn resolved(&self) -> u64 {
        self.resolved.get()
    }

    /// Logs for so many seconds from now; gives the end.
    pub fn log_for(&self, seconds: u64) -> i64 {
        let end = self.clock.now_ms() + seconds.min(SECONDS_MAX) as i64 * 1000;
        self.until.store(end, Ordering::Relaxed);
        end
    }

    /// Whether new series are logged now.
    fn is_wanted(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        self.always || (until > 0 && self.clock.now_ms() < until)
    }

    /// Logs a new series, if anybody wants to know.
    pub fn see(&self, labels: &KeyBuilder) {
        self.resolved.add(1);
        if self.is_wanted() {
            log::info!("new series: {}", shown(labels));
        }
    }
}

/// Labels as a selector has them.
pub fn shown(labels: &KeyBuilder) -> String {
    let mut out = String::new();
    let name = labels.iter().find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, value)| value);
    out.push_str(name);
    out.push('{');
    for (at, (name, value)) in labels.iter().filter(|(name, _)| *name != METRIC_NAME).enumerate() {
        let comma = if at > 0 { "," } else { "" };
        write!(out, "{comma}{name}={value:?}").expect("BUG: writing to a string cannot fail");
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Standing(AtomicI64);

    impl Clock for Standing {
        fn now_ms(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn it_ends_by_itself() {
        let clock = Arc::new(Standing(AtomicI64::new(5_000)));
        let log = NewSeriesLog::new(clock.clone(), false);
        assert!(!log.is_wanted());
        assert_eq!(log.log_for(2), 7_000);
        assert!(log.is_wanted());
        clock.0.store(7_000, Ordering::Relaxed);
        assert!(!log.is_wanted());
        assert_eq!(log.log_for(u64::MAX), 7_000 + 86_400_000);
        assert!(NewSeriesLog::new(clock, true).is_wanted());
    }

    #[test]
    fn series_are_shown_as_they_are_asked_for() {
        let mut labels = KeyBuilder::new();
        labels.push("a", "x\"y");
        labels.push(METRIC_NAME, "m");
        labels.push("b", "1");
        assert_eq!(shown(&labels), "m{a=\"x\\\"y\",b=\"1\"}");
    }
}
