//! Whether a node is there.
//!
//! 1. A node is taken to be there until something sent to it fails, or a report gets no answer.
//! 2. It is there again when it answers a report; after sends that failed only when a pause is over, which doubles with each failure, so that a node that
//!    answers quickly and stores slowly does not hold every request up.

use std::time::Duration;

use parking_lot::Mutex;
use storage_api::InsertError;
use tokio::time::Instant;

const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(16);
/// A node that was there for so long has the short pause again.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub struct Health(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Why it is away.
    away: Option<String>,
    /// Why it takes no rows although it is there.
    read_only: Option<String>,
    /// When the node may be there again, or since when it is.
    since: Instant,
    pause: Duration,
}

impl Default for Health {
    fn default() -> Self {
        Self(Mutex::new(State { away: None, read_only: None, since: Instant::now(), pause: PAUSE_MIN }))
    }
}

impl Health {
    /// Whether rows may be sent; the error says why not.
    pub fn check(&self) -> Result<(), InsertError> {
        let state = self.0.lock();
        match (&state.away, &state.read_only) {
            (Some(why), _) => Err(InsertError::NotDurable(why.clone())),
            (None, Some(why)) => Err(InsertError::ReadOnly(why.clone())),
            (None, None) => Ok(()),
        }
    }

    /// Whether the node is there, read-only or not.
    pub fn is_reachable(&self) -> bool {
        self.0.lock().away.is_none()
    }

    /// Whether the node said that it takes no rows.
    pub fn is_read_only(&self) -> bool {
        self.0.lock().read_only.is_some()
    }

    /// Rows could not be stored; says whether the node counts as away now and did not before.
    pub fn failed(&self, error: &InsertError) -> bool {
        let mut state = self.0.lock();
        match error {
            InsertError::ReadOnly(why) => {
                state.read_only = Some(why.clone());
                return false;
            }
            // It is there, and has its reasons.
            InsertError::Overloaded(_) | InsertError::Invalid(_) => return false,
            InsertError::NotDurable(_) | InsertError::Closed => {}
        }
        let now = Instant::now();
        let is_news = state.away.is_none();
        if is_news {
            let was_good = now.saturating_duration_since(state.since) >= GOOD_FOR;
            state.pause = if was_good { PAUSE_MIN } else { (state.pause * 2).min(PAUSE_MAX) };
            state.since = now + state.pause;
            state.away = Some(error.to_string());
        }
        is_news
    }

    /// A report got no answer; says whether the node counts as away now and did not before.
    pub fn unanswered(&self, why: &str) -> bool {
        let mut state = self.0.lock();
        let is_news = state.away.is_none();
        if is_news {
            state.since = Instant::now();
            state.away = Some(why.to_string());
        }
        is_news
    }

    /// A report was answered; says whether the node is there now and was not before.
    pub fn answered(&self, read_only: Option<String>) -> bool {
        let mut state = self.0.lock();
        state.read_only = read_only;
        let now = Instant::now();
        if state.away.is_none() || state.since > now {
            return false;
        }
        state.away = None;
        state.since = now;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_fails_again_and_again_is_left_alone_for_longer() {
        let health = Health::default();
        let failure = InsertError::NotDurable("slow".into());
        let mut paused = Vec::new();
        for _ in 0..6 {
            assert!(health.check().is_ok());
            assert!(health.failed(&failure) && !health.failed(&failure));
            assert_eq!(health.check(), Err(InsertError::NotDurable(failure.to_string())));
            let began = Instant::now();
            while !health.answered(None) {
                tokio::time::advance(Duration::from_millis(500)).await;
            }
            paused.push(began.elapsed().as_secs());
        }
        assert_eq!(paused, [2, 4, 8, 16, 16, 16]);
        tokio::time::advance(GOOD_FOR).await;
        health.failed(&failure);
        assert!(!health.answered(None));
        tokio::time::advance(PAUSE_MIN).await;
        assert!(health.answered(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_read_only_is_there() {
        let health = Health::default();
        assert!(!health.failed(&InsertError::Overloaded("busy".into())) && health.check().is_ok());
        health.failed(&InsertError::ReadOnly("full".into()));
        assert!(health.is_reachable() && health.is_read_only());
        assert_eq!(health.check(), Err(InsertError::ReadOnly("full".into())));
        health.answered(None);
        assert!(health.check().is_ok());
        assert!(health.unanswered("gone") && !health.unanswered("gone"));
        assert!(health.answered(None) && health.check().is_ok());
    }
}
