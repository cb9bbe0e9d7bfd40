//! How often each metric name is asked for: `/api/v1/status/metric_names_stats`.
//!
//! 1. Whoever asks the store for samples goes through [`Counting`], which counts the names that the selector means, once for each request: at the
//!    cost of one look into a table where the selector names the metric, and of one look into the index where it does not.
//! 2. Nothing is counted while samples come in. Names that were never asked for are those that the store has and the table has not.
//! 3. The table can be written as text and read again, so that its counts outlive a restart. It is bounded; what does not fit is not counted.
//!
//! ```text
//! metric_names_stats 1 SINCE_SECONDS
//! ACCOUNT PROJECT REQUESTS LAST_SECONDS NAME      one line each; in the name \\ stands for \, \n and \r for ends of lines
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
};

use model::Tenant;
use parking_lot::Mutex;
use storage_api::{AdminError, Asked, BoxFuture, CountNames, NamesAsked};

/// Bytes that the table takes at most.
pub const BYTES_MAX: u64 = 64 << 20;
/// What an entry takes beside its name.
const ENTRY_BYTES: u64 = 96;
/// What the text begins with.
const TITLE: &str = "metric_names_stats 1";

/// See the module.
#[derive(Debug)]
pub struct NamesStats(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    since_s: i64,
    tenants: BTreeMap<Tenant, HashMap<Box<str>, Asked>>,
    bytes: u64,
    entries: u64,
    /// Whether it holds what was not written yet.
    changed: bool,
}

impl Table {
    fn entry(&mut self, tenant: Tenant, name: &str) -> Option<&mut Asked> {
        let names = self.tenants.entry(tenant).or_default();
        if !names.contains_key(name) {
            let bytes = ENTRY_BYTES + name.len() as u64;
            if self.bytes + bytes > BYTES_MAX {
                return None;
            }
            self.bytes += bytes;
            self.entries += 1;
            names.insert(name.into(), Asked::default());
        }
        names.get_mut(name)
    }
}

impl NamesStats {
    /// An empty table that counts from now.
    pub fn new(now_ms: i64) -> Self {
        Self(Mutex::new(Table { since_s: now_ms / 1000, ..Table::default() }))
    }

    /// Reads what [`NamesStats::to_text`] wrote.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let since = lines.next().and_then(|title| title.strip_prefix(TITLE)?.trim().parse().ok());
        let mut table = Table { since_s: since.ok_or("the title is missing")?, ..Table::default() };
        for (at, line) in lines.enumerate() {
            let (tenant, asked, name) = parse(line).ok_or_else(|| format!("line {} is broken", at + 2))?;
            if let Some(entry) = table.entry(tenant, &name) {
                *entry = asked;
            }
        }
        Ok(Self(Mutex::new(table)))
    }

    /// The table as text, if it changed since it was last asked for.
    pub fn to_text(&self) -> Option<String> {
        let mut table = self.0.lock();
        if !std::mem::take(&mut table.changed) {
            return None;
        }
        let mut out = format!("{TITLE} {}\n", table.since_s);
        for (tenant, names) in &table.tenants {
            for (name, asked) in names {
                let name = name.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
                let (account, project) = (tenant.account, tenant.project);
                writeln!(out, "{account} {project} {} {} {name}", asked.requests, asked.last_s)
                    .expect("BUG: writing to a string cannot fail");
            }
        }
        Some(out)
    }

    /// Counts a request that reads samples of these names.
    pub fn count<'n>(&self, tenant: Tenant, names: impl IntoIterator<Item = &'n str>, now_ms: i64) {
        let mut table = self.0.lock();
        for name in names {
            if let Some(asked) = table.entry(tenant, name) {
                *asked = Asked { requests: asked.requests + 1, last_s: now_ms / 1000 };
                table.changed = true;
            }
        }
    }

    /// How often each of these names was asked for.
    pub fn asked(&self, tenant: Tenant, names: &[String]) -> NamesAsked {
        let table = self.0.lock();
        let known = table.tenants.get(&tenant);
        let asked = |name: &String| known.and_then(|known| known.get(name.as_str())).copied().unwrap_or_default();
        let asked = names.iter().map(asked).collect();
        NamesAsked { since_s: table.since_s, entries: table.entries, bytes: table.bytes, asked }
    }

    /// Forgets everything and counts from now.
    pub fn reset(&self, now_ms: i64) {
        *self.0.lock() = Table { since_s: now_ms / 1000, changed: true, ..Table::default() };
    }
}

impl CountNames for NamesStats {
    fn names_asked<'a>(&'a self, tenant: Tenant, names: Vec<String>) -> BoxFuture<'a, Result<NamesAsked, AdminError>> {
        Box::pin(async move { Ok(self.asked(tenant, &names)) })
    }

    fn reset_names_asked<'a>(&'a self, now_ms: i64) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async move {
            self.reset(now_ms);
            Ok(())
        })
    }
}

fn parse(line: &str) -> Option<(Tenant, Asked, String)> {
    let mut words = line.splitn(5, ' ');
    let tenant = Tenant::new(words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let asked = Asked { requests: words.next()?.parse().ok()?, last_s: words.next()?.parse().ok()? };
    let mut name = String::new();
    let mut rest = words.next()?.chars();
    while let Some(c) = rest.next() {
        name.push(match c {
            '\\' => match rest.next()? {
                'n' => '\n',
                'r' => '\r',
                other => other,
            },
            other => other,
        });
    }
    Some((tenant, asked, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_outlive_the_process() {
        let stats = NamesStats::new(5_000);
        assert_eq!(stats.to_text(), None, "there is nothing to write");
        let other = Tenant::new(7, 1);
        stats.count(Tenant::DEFAULT, ["up", "a b"], 9_999);
        stats.count(Tenant::DEFAULT, ["up"], 12_000);
        stats.count(other, ["line\nand \\\r"], 11_000);
        let text = stats.to_text().expect("it changed");
        assert_eq!(stats.to_text(), None);
        let read = NamesStats::from_text(&text).expect("it reads what it wrote");
        let names = ["a b", "never", "up"].map(str::to_string);
        let asked = |requests, last_s| Asked { requests, last_s };
        let counted = read.asked(Tenant::DEFAULT, &names);
        assert_eq!(counted, stats.asked(Tenant::DEFAULT, &names));
        assert_eq!((counted.since_s, counted.entries), (5, 3));
        assert_eq!(counted.asked, [asked(1, 9), asked(0, 0), asked(2, 12)]);
        let odd = ["line\nand \\\r".to_string()];
        assert_eq!(read.asked(other, &odd).asked, [asked(1, 11)]);
        read.reset(20_000);
        assert_eq!(read.asked(other, &[]), NamesAsked { since_s: 20, ..NamesAsked::default() });
        assert!(read.to_text().is_some(), "that is worth writing");
    }

    #[test]
    fn what_is_broken_is_named() {
        for (text, part) in [
            ("", "title"),
            ("metric_names_stats 2 5\n", "title"),
            ("metric_names_stats 1 5\n0 0 1\n", "line 2"),
            ("metric_names_stats 1 5\n0 0 1 2 x\n0 0 1 2 \\", "line 3"),
        ] {
            assert!(NamesStats::from_text(text).expect_err("broken").contains(part), "{text:?}");
        }
    }

    #[test]
    fn it_is_bounded() {
        let stats = NamesStats::new(0);
        let long = "x".repeat(1 << 20);
        let names: Vec<String> = (0..100).map(|n| format!("{n}{long}")).collect();
        stats.count(Tenant::DEFAULT, names.iter().map(String::as_str), 1);
        let counted = stats.asked(Tenant::DEFAULT, &[]);
        assert!(counted.entries > 50 && counted.entries < 64 && counted.bytes <= BYTES_MAX, "{counted:?}");
    }
}
