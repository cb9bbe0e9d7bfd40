//! What senders told about metrics already, so that the store hears it once and not with every request: version 2 of remote write tells it of every
//! series each time.
//!
//! 1. Of a family the hash of what was told last is kept. What hashes the same is left out.
//! 2. It is remembered once the store has taken it. What one sender tells and another tells otherwise counts as news each time.
//! 3. There is a bound; at it everything is forgotten, and told once more.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use model::Tenant;
use parking_lot::RwLock;
use storage_api::MetricMetadata;

/// Families that are remembered.
const FAMILIES_MAX: usize = 256 << 10;

/// See the module.
#[derive(Debug, Default)]
pub struct Told {
    hasher: RandomState,
    /// By the hash of tenant and family, the hash of kind, help and unit.
    last: RwLock<HashMap<u64, u64>>,
}

/// What was not told before.
#[derive(Debug, Default)]
pub struct News<'a> {
    pub entries: Vec<MetricMetadata<'a>>,
    hashes: Vec<(u64, u64)>,
}

impl Told {
    /// Of what a sender tells, what is new.
    pub fn news<'a>(&self, tenant: Tenant, told: &[MetricMetadata<'a>]) -> News<'a> {
        let mut news = News::default();
        if told.is_empty() {
            return news;
        }
        let last = self.last.read();
        for entry in told {
            let family = self.hasher.hash_one((tenant.account, tenant.project, entry.metric));
            let texts = self.hasher.hash_one((entry.kind, entry.help, entry.unit));
            if last.get(&family) != Some(&texts) {
                news.entries.push(*entry);
                news.hashes.push((family, texts));
            }
        }
        news
    }

    /// Remembers what the store has taken.
    pub fn remember(&self, news: &News<'_>) {
        if news.hashes.is_empty() {
            return;
        }
        let mut last = self.last.write();
        if last.len() + news.hashes.len() > FAMILIES_MAX {
            last.clear();
        }
        last.extend(news.hashes.iter().copied().take(FAMILIES_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_told() {
        let told = Told::default();
        let entry = |metric, kind| MetricMetadata { metric, kind, help: "", unit: "" };
        let both = [entry("a", "gauge"), entry("b", "counter")];
        let count = |tenant, entries: &[MetricMetadata<'_>]| {
            let news = told.news(tenant, entries);
            told.remember(&news);
            news.entries.len()
        };
        let other = Tenant::new(1, 0);
        assert_eq!(told.news(Tenant::DEFAULT, &both).entries.len(), 2);
        assert_eq!(count(Tenant::DEFAULT, &both), 2, "nothing was remembered yet");
        assert_eq!((count(Tenant::DEFAULT, &both), count(other, &both[..1])), (0, 1));
        assert_eq!(count(Tenant::DEFAULT, &[entry("a", "counter")]), 1);
        assert_eq!(count(Tenant::DEFAULT, &both), 1, "the last word counts");
    }
}
