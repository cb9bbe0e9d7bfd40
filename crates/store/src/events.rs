//! What a store has to tell its operator while it works. The binary turns it into log lines; the store itself writes none.

use std::{fmt, sync::Arc};

/// How serious a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Info,
    /// Somebody should look.
    Warning,
    /// Something failed.
    Error,
}

/// Takes messages.
#[derive(Clone)]
pub struct Reporter(Arc<Take>);

type Take = dyn Fn(Severity, &str) + Send + Sync;

impl Reporter {
    /// Calls `take` with each message.
    pub fn new(take: impl Fn(Severity, &str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Drops all messages.
    pub fn silent() -> Self {
        Self::new(|_, _| {})
    }

    /// As it should be.
    pub fn info(&self, message: impl AsRef<str>) {
        (self.0)(Severity::Info, message.as_ref());
    }

    /// Somebody should look.
    pub fn warning(&self, message: impl AsRef<str>) {
        (self.0)(Severity::Warning, message.as_ref());
    }

    /// Something failed.
    pub fn error(&self, message: impl AsRef<str>) {
        (self.0)(Severity::Error, message.as_ref());
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reporter")
    }
}
