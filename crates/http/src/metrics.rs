//! Counters, and the text in which `/metrics` shows them.

use std::{
    fmt::{Display, Write},
    sync::atomic::{AtomicU64, Ordering},
};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Somebody with numbers for `/metrics`.
pub trait MetricsSource: Send + Sync {
    /// Writes them.
    fn write_metrics(&self, out: &mut MetricsText);
}

/// The text exposition format.
#[derive(Debug, Default)]
pub struct MetricsText(String);

impl MetricsText {
    /// Writes one line; `name` includes the labels, for example `vm_rows{type="storage/small"}`.
    pub fn line(&mut self, name: impl Display, value: impl Display) {
        writeln!(self.0, "{name} {value}").expect("BUG: writing to a string cannot fail");
    }

    /// The whole text.
    pub fn into_string(self) -> String {
        self.0
    }
}
