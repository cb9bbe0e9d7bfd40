//! The queries that were asked most, or cost most.
//!
//! The last queries stand in a ring of bounded length; a list is made when somebody asks for it.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use model::Tenant;
use parking_lot::Mutex;

/// What a list of queries is ordered by, the greatest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopBy {
    /// How often they were asked.
    Count,
    /// How long they took on average.
    AverageDuration,
    /// How long they took in all.
    SumDuration,
    /// How much memory they held on average.
    AverageMemory,
}

/// All runs of an expression over equally long time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopQuery {
    /// The expression.
    pub text: String,
    /// How long a time it was asked over; nothing for an instant.
    pub time_range: Duration,
    /// How often it ran.
    pub count: u64,
    /// How long all runs took.
    pub sum_duration: Duration,
    /// How many bytes the runs held at most, added.
    pub sum_memory: u64,
}

impl TopQuery {
    /// How long a run took on average.
    pub fn average_duration(&self) -> Duration {
        self.sum_duration / u32::try_from(self.count.max(1)).unwrap_or(u32::MAX)
    }

    /// How many bytes a run held on average.
    pub fn average_memory(&self) -> u64 {
        self.sum_memory / self.count.max(1)
    }
}

struct Run {
    ended: Instant,
    tenant: Tenant,
    text: Box<str>,
    time_range: Duration,
    duration: Duration,
    memory: u64,
}

/// The last queries.
pub struct LastQueries {
    max: usize,
    runs: Mutex<VecDeque<Run>>,
}

impl LastQueries {
    /// Remembers at most so many.
    pub fn new(max: usize) -> Self {
        Self { max, runs: Mutex::default() }
    }

    /// Remembers a run.
    pub fn add(&self, tenant: Tenant, text: &str, time_range: Duration, duration: Duration, memory: u64) {
        if self.max == 0 {
            return;
        }
        let mut runs = self.runs.lock();
        while runs.len() >= self.max {
            runs.pop_front();
        }
        runs.push_back(Run { ended: Instant::now(), tenant, text: text.into(), time_range, duration, memory });
    }

    /// The first `limit` queries of those of a tenant, or of all, that ended during the last `lifetime`.
    pub fn top(&self, of: Option<Tenant>, by: TopBy, limit: usize, lifetime: Duration) -> Vec<TopQuery> {
        let mut groups: HashMap<(Box<str>, Duration), TopQuery> = HashMap::new();
        let is_meant = |run: &&Run| run.ended.elapsed() <= lifetime && of.is_none_or(|tenant| tenant == run.tenant);
        for run in self.runs.lock().iter().filter(is_meant) {
            let group = groups.entry((run.text.clone(), run.time_range)).or_insert_with(|| TopQuery {
                text: run.text.to_string(),
                time_range: run.time_range,
                count: 0,
                sum_duration: Duration::ZERO,
                sum_memory: 0,
            });
            group.count += 1;
            group.sum_duration += run.duration;
            group.sum_memory = group.sum_memory.saturating_add(run.memory);
        }
        let mut list: Vec<TopQuery> = groups.into_values().collect();
        let rank = |query: &TopQuery| match by {
            TopBy::Count => u128::from(query.count),
            TopBy::AverageDuration => query.average_duration().as_nanos(),
            TopBy::SumDuration => query.sum_duration.as_nanos(),
            TopBy::AverageMemory => u128::from(query.average_memory()),
        };
        list.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| a.text.cmp(&b.text)));
        list.truncate(limit);
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_one_expression_are_added_and_the_oldest_forgotten() {
        let last = LastQueries::new(3);
        let second = Duration::from_secs(1);
        last.add(Tenant::DEFAULT, "forgotten", Duration::ZERO, 9 * second, 1);
        last.add(Tenant::new(7, 0), "slow", Duration::ZERO, 5 * second, 10);
        last.add(Tenant::DEFAULT, "often", Duration::ZERO, second, 40);
        last.add(Tenant::DEFAULT, "often", Duration::ZERO, second, 20);
        let names = |by| last.top(None, by, 10, Duration::MAX).into_iter().map(|query| query.text).collect::<Vec<_>>();
        assert_eq!(names(TopBy::Count), ["often", "slow"]);
        assert_eq!(names(TopBy::AverageDuration), ["slow", "often"]);
        assert_eq!(names(TopBy::SumDuration), ["slow", "often"]);
        assert_eq!(names(TopBy::AverageMemory), ["often", "slow"]);
        assert_eq!(last.top(None, TopBy::Count, 1, Duration::MAX)[0].average_memory(), 30);
        let of_seven = last.top(Some(Tenant::new(7, 0)), TopBy::Count, 9, Duration::MAX);
        assert_eq!(of_seven.iter().map(|query| query.text.as_str()).collect::<Vec<_>>(), ["slow"]);
    }
}
