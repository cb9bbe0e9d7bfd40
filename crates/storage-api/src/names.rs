//! How often metric names are asked for.

use model::Tenant;

use crate::{AdminError, BoxFuture};

/// Knows how often samples of a metric were read.
pub trait CountNames: Send + Sync {
    /// How often each of these names was asked for, in their order.
    fn names_asked<'a>(&'a self, tenant: Tenant, names: Vec<String>) -> BoxFuture<'a, Result<NamesAsked, AdminError>>;

    /// Forgets everything and counts from now.
    fn reset_names_asked<'a>(&'a self, now_ms: i64) -> BoxFuture<'a, Result<(), AdminError>>;
}

/// How often a name was asked for, and when last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// Requests that read samples of it.
    pub requests: u64,
    /// Seconds since 1970; 0 if there was no request.
    pub last_s: i64,
}

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamesAsked {
    /// Counting began, in seconds since 1970.
    pub since_s: i64,
    /// Names that were asked for, of all tenants.
    pub entries: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Of each name that was wanted.
    pub asked: Vec<Asked>,
}
