//! What a storage node makes of the reports of inserts: whether it may count itself complete.
//!
//! 1. Each insert that reports is remembered; who remembers over restarts asks [`Standing::remembered`] and gives the names back to [`Standing::new`].
//! 2. A report that gives back the last token that was made for its insert gives a lease from when that token was made. Any other report ends the lease.
//!    An insert whose last word is that it leaves, with that token also, is forgotten.
//! 3. The node is complete for a shard, but for ranges that inserts say are missing, while every insert that it remembers has given a lease that holds and
//!    sends it all rows of the shard.
//! 4. Time is a duration on a clock that never goes back, such as that since the start.

use std::{collections::BTreeMap, time::Duration};

use model::TimeRange;
use storage_api::{InsertReport, Missing, Origin, ReportAnswer, ShardSet};

/// See the module.
#[derive(Debug)]
pub struct Standing {
    inserts: BTreeMap<u128, Known>,
    next_token: u64,
}

#[derive(Debug)]
struct Known {
    token: u64,
    token_at: Duration,
    lease_until: Option<Duration>,
    owned: ShardSet,
    missing: Missing,
}

/// What a node may say of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complete {
    /// It has all that was acknowledged.
    Yes,
    /// It has all that was acknowledged outside of this range.
    Except(TimeRange),
    /// It does not know.
    Unknown,
}

impl Standing {
    /// A node that heard of these inserts before. The first token should be one that no earlier process of the node made: a random number.
    pub fn new(first_token: u64, remembered: &[u128]) -> Self {
        let unheard = || Known {
            token: 0,
            token_at: Duration::ZERO,
            lease_until: None,
            owned: ShardSet::empty(),
            missing: Missing::nothing(),
        };
        Self { inserts: remembered.iter().map(|insert| (*insert, unheard())).collect(), next_token: first_token }
    }

    /// Takes a report. Whether its insert is remembered from now on ([`Self::remembers`]) has to be durable before the answer goes out.
    pub fn take(&mut self, now: Duration, report: &InsertReport, read_only: Option<String>) -> ReportAnswer {
        let token = self.make_token();
        let answer = ReportAnswer { node: 0, origin: Origin::Later, token, read_only };
        let is_new = !self.inserts.contains_key(&report.insert);
        let last = self.inserts.get(&report.insert).filter(|known| known.token != 0 && known.token == report.token);
        if report.leaving && report.missing.is_nothing() && (last.is_some() || is_new) {
            self.inserts.remove(&report.insert);
            return answer;
        }
        let until = last.map(|known| known.token_at + report.lease).filter(|_| !report.leaving);
        let known = Known {
            token,
            token_at: now,
            lease_until: until,
            owned: report.owned.clone(),
            missing: report.missing.clone(),
        };
        self.inserts.insert(report.insert, known);
        answer
    }

    fn make_token(&mut self) -> u64 {
        self.next_token = self.next_token.wrapping_add(1).max(1);
        self.next_token
    }

    /// Forgets an insert that will never come back.
    pub fn forget(&mut self, insert: u128) -> bool {
        self.inserts.remove(&insert).is_some()
    }

    /// Whether an insert is remembered.
    pub fn remembers(&self, insert: u128) -> bool {
        self.inserts.contains_key(&insert)
    }

    /// The inserts that are remembered.
    pub fn remembered(&self) -> Vec<u128> {
        self.inserts.keys().copied().collect()
    }

    /// What the node may say of a shard.
    pub fn complete(&self, now: Duration, shard: u16) -> Complete {
        let mut missing = TimeRange::EMPTY;
        for known in self.inserts.values() {
            if known.lease_until.is_none_or(|until| until <= now) || !known.owned.has(shard) {
                return Complete::Unknown;
            }
            if known.missing.shards.has(shard) {
                missing = missing.cover(known.missing.range);
            }
        }
        if missing.is_empty() { Complete::Yes } else { Complete::Except(missing) }
    }

    /// The shards of which inserts send the node rows.
    pub fn owned(&self) -> ShardSet {
        self.inserts.values().fold(ShardSet::empty(), |all, known| all.or(&known.owned))
    }

    /// Each insert that is remembered, whether its word holds, and whether it keeps rows for the node.
    pub fn inserts(&self, now: Duration) -> Vec<(u128, bool, bool)> {
        let word = |known: &Known| known.lease_until.is_some_and(|until| until > now);
        self.inserts.iter().map(|(name, known)| (*name, word(known), !known.missing.is_nothing())).collect()
    }

    /// Whether any insert keeps rows for the node, or has to say yet whether it does.
    pub fn is_catching_up(&self, now: Duration) -> bool {
        let lacks = |known: &Known| known.lease_until.is_none_or(|until| until <= now) || !known.missing.is_nothing();
        self.inserts.values().any(lacks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(2);

    fn report(insert: u128, token: u64, missing: Option<TimeRange>) -> InsertReport {
        let missing = missing.map_or_else(Missing::nothing, |range| Missing { shards: ShardSet::all(), range });
        let owned = ShardSet::all();
        InsertReport {
            turn: storage_api::ReportTurn::default(),
            insert,
            knows: 0,
            token,
            lease: LEASE,
            map_version: 1,
            owned,
            founding: 0,
            passed: Vec::new(),
            missing,
            leaving: false,
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_word_needs_the_last_token_and_holds_from_when_it_was_made() {
        let mut standing = Standing::new(100, &[]);
        assert_eq!(standing.complete(seconds(0), 3), Complete::Yes, "nobody was ever heard of");
        let first = standing.take(seconds(10), &report(1, 0, None), None);
        assert!(standing.remembers(1) && standing.complete(seconds(10), 3) == Complete::Unknown);
        let second = standing.take(seconds(11), &report(1, first.token, None), None);
        assert_eq!(standing.complete(seconds(11), 3), Complete::Yes);
        assert_eq!(standing.complete(seconds(12), 3), Complete::Unknown, "the token was made at 10");

        let range = TimeRange::new(5, 9);
        let third = standing.take(seconds(12), &report(1, second.token, Some(range)), None);
        assert_eq!(standing.complete(seconds(12), 3), Complete::Except(range));
        // A report that was under way for long says less than is missing; its token is not the last.
        let late = standing.take(seconds(12), &report(1, second.token, None), None);
        assert_eq!(standing.complete(seconds(12), 3), Complete::Unknown);
        assert!(third.token != late.token && late.token != second.token);
    }

    #[test]
    fn all_inserts_have_to_say_so() {
        let mut standing = Standing::new(100, &[7]);
        let says = |standing: &mut Standing, insert| {
            let answer = standing.take(seconds(1), &report(insert, 0, None), None);
            standing.take(seconds(1), &report(insert, answer.token, None), None)
        };
        let last = says(&mut standing, 1);
        assert!(standing.is_catching_up(seconds(1)), "7 was heard of in an earlier life");
        says(&mut standing, 7);
        assert!(!standing.is_catching_up(seconds(1)));
        let keeps = InsertReport { leaving: true, ..report(1, last.token, Some(TimeRange::new(1, 2))) };
        standing.take(seconds(1), &keeps, None);
        assert!(standing.remembers(1) && standing.complete(seconds(1), 0) == Complete::Unknown);
        let last = says(&mut standing, 1);
        // A good-bye that was under way for long is no word.
        let late = InsertReport { leaving: true, ..report(1, 0, None) };
        standing.take(seconds(1), &late, None);
        assert!(standing.remembers(1) && standing.complete(seconds(1), 0) == Complete::Unknown);
        assert_ne!(last.token, 0);
        let last = says(&mut standing, 1);
        let leaves = InsertReport { leaving: true, ..report(1, last.token, None) };
        standing.take(seconds(1), &leaves, None);
        assert_eq!((standing.remembered(), standing.complete(seconds(1), 0)), (vec![7], Complete::Yes));
        let elsewhere = InsertReport { owned: ShardSet::empty(), ..report(9, 0, None) };
        let answer = standing.take(seconds(1), &elsewhere, None);
        standing.take(seconds(1), &InsertReport { token: answer.token, ..elsewhere }, None);
        assert_eq!(standing.complete(seconds(1), 0), Complete::Unknown, "9 sends its rows to other nodes");
        assert!(standing.forget(9) && !standing.forget(9));
    }
}
