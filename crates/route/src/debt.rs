//! What one node lacks, and when that may be acknowledged.
//!
//! 1. Before a hint is written, what it holds is *owed*: from here on every report says so. What is owed grows with some room to spare, so that not each
//!    hint makes another statement of it.
//! 2. A statement has a version. It is *known* when the node has confirmed a report of that version or a later one, or when every lease that was given
//!    before is over: see `storage-api`, `report`.
//! 3. When no hint is left, nothing is owed.

use std::time::Duration;

use model::TimeRange;
use parking_lot::Mutex;
use storage_api::{Missing, ShardSet};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// What is owed is said with so many milliseconds before and behind it.
const ROOM_MS: i64 = 60_000;

/// See the module.
#[derive(Debug)]
pub struct Debt {
    state: Mutex<State>,
    /// Somebody waits for a report.
    pub wanted: Notify,
    /// Something was confirmed.
    confirmed: Notify,
}

#[derive(Debug)]
struct State {
    missing: Missing,
    version: u64,
    confirmed: u64,
    /// The node may count itself complete, but for what was confirmed, until then.
    lease_until: Option<Instant>,
    /// This process has given one.
    has_given: bool,
    token: u64,
    token_at: Option<Instant>,
}

/// What goes into a report.
#[derive(Debug)]
pub struct Statement {
    /// What is missing.
    pub missing: Missing,
    /// The token of the last answer.
    pub token: u64,
    /// To be given back to [`Debt::confirm`].
    pub version: u64,
}

impl Debt {
    /// A debt that was found at the start, `None` for nothing. A lease that an earlier process of this insert gave is over when `lease` is.
    pub fn new(missing: Option<Missing>, lease: Duration) -> Self {
        let missing = missing.unwrap_or_else(Missing::nothing);
        let lease_until = Some(Instant::now() + lease);
        let state =
            State { missing, version: 1, confirmed: 0, lease_until, has_given: false, token: 0, token_at: None };
        Self { state: Mutex::new(state), wanted: Notify::new(), confirmed: Notify::new() }
    }

    /// Notes what a hint holds; gives the version that has to be known before the hint is acknowledged.
    pub fn owe(&self, held: &ShardSet, range: TimeRange) -> u64 {
        let mut state = self.state.lock();
        let united = state.missing.shards.or(held);
        if united != state.missing.shards || !state.missing.range.covers(range) {
            let roomy = TimeRange::new(range.min.saturating_sub(ROOM_MS), range.max.saturating_add(ROOM_MS));
            state.missing = Missing { shards: united, range: state.missing.range.cover(roomy) };
            state.version += 1;
        }
        state.version
    }

    /// What reports say beside the debt has changed; gives the version that has to be known before anything rests on it.
    pub fn restate(&self) -> u64 {
        let mut state = self.state.lock();
        state.version += 1;
        self.wanted.notify_one();
        state.version
    }

    /// Nothing is owed any more. The caller sees to it that no hint is being written.
    pub fn settle(&self) {
        let mut state = self.state.lock();
        if !state.missing.is_nothing() {
            state.missing = Missing::nothing();
            state.version += 1;
            self.wanted.notify_one();
        }
    }

    /// Whether anything is owed.
    pub fn is_owing(&self) -> bool {
        !self.state.lock().missing.is_nothing()
    }

    /// What the next report says. It gives the node a lease, which counts as given whether the report arrives or not.
    pub fn state(&self, lease: Duration) -> Statement {
        let mut state = self.state.lock();
        if let Some(token_at) = state.token_at {
            state.lease_until = state.lease_until.max(Some(token_at + lease));
            state.has_given = true;
        }
        Statement { missing: state.missing.clone(), token: state.token, version: state.version }
    }

    /// The node has taken a report of this version.
    pub fn confirm(&self, version: u64, token: u64) {
        let mut state = self.state.lock();
        state.confirmed = state.confirmed.max(version);
        (state.token, state.token_at) = (token, Some(Instant::now()));
        drop(state);
        self.confirmed.notify_waiters();
    }

    /// Whether the node has confirmed all that there is to be said.
    pub fn is_confirmed(&self) -> bool {
        let state = self.state.lock();
        state.confirmed >= state.version
    }

    /// Whether the node has given a token that no report gave back, and counts itself complete on no earlier one.
    pub fn gives_first_lease(&self, lease: Duration) -> bool {
        let state = self.state.lock();
        let given = state.lease_until.is_some_and(|until| until > Instant::now());
        let gives = state.token_at.is_some_and(|token_at| Some(token_at + lease) > state.lease_until);
        gives && (!given || !state.has_given)
    }

    /// Waits until a version is known.
    pub async fn known(&self, version: u64) {
        loop {
            let confirmed = self.confirmed.notified();
            tokio::pin!(confirmed);
            // It hears of what comes from here on.
            confirmed.as_mut().enable();
            let until = {
                let state = self.state.lock();
                match state.lease_until {
                    _ if state.confirmed >= version => return,
                    Some(until) if until > Instant::now() => until,
                    _ => return,
                }
            };
            self.wanted.notify_one();
            tokio::select! {
                () = &mut confirmed => {}
                () = sleep_until(until) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(2);

    fn shard(shard: u16) -> ShardSet {
        let mut set = ShardSet::empty();
        set.insert(shard);
        set
    }

    async fn waits(debt: &Debt, version: u64) -> Duration {
        let began = Instant::now();
        debt.known(version).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_debt_is_known_when_it_is_confirmed_or_no_lease_holds() {
        let debt = Debt::new(None, LEASE);
        let first = debt.owe(&shard(1), TimeRange::new(10, 20));
        assert_eq!(waits(&debt, first).await, LEASE, "an earlier process may have given one");
        assert_eq!(waits(&debt, first).await, Duration::ZERO);

        let report = debt.state(LEASE);
        assert_eq!((report.token, report.missing.range.covers(TimeRange::new(10, 20))), (0, true));
        debt.confirm(report.version, 7);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(debt.gives_first_lease(LEASE));
        assert_eq!(debt.state(LEASE).token, 7);
        assert!(!debt.gives_first_lease(LEASE));
        assert_eq!(debt.owe(&shard(1), TimeRange::new(0, 50)), first, "it was said with room to spare");
        assert_eq!(waits(&debt, first).await, Duration::ZERO, "it is confirmed");

        let second = debt.owe(&shard(2), TimeRange::new(10, 20));
        assert!(second > first);
        assert_eq!(waits(&debt, second).await, Duration::from_millis(1500), "the lease began with the token");
    }

    #[tokio::test(start_paused = true)]
    async fn a_confirmation_wakes_those_who_wait() {
        let debt = Debt::new(None, LEASE);
        debt.confirm(debt.state(LEASE).version, 1);
        debt.state(LEASE);
        let version = debt.owe(&shard(1), TimeRange::new(1, 1));
        let confirming = async {
            debt.wanted.notified().await;
            tokio::time::sleep(Duration::from_millis(3)).await;
            debt.confirm(debt.state(LEASE).version, 2);
        };
        let (waited, ()) = tokio::join!(waits(&debt, version), confirming);
        assert_eq!(waited, Duration::from_millis(3));
        assert!(debt.is_owing());
        debt.settle();
        assert!(!debt.is_owing() && debt.state(LEASE).missing.is_nothing());
    }
}
