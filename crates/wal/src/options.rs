//! How a log is to be kept.

use std::time::Duration;

/// When a record counts as logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ack {
    /// When it survives a power cut: it was synced.
    #[default]
    Power,
    /// When it survives the end of the process: it was written to the file, which is synced every
    /// [`Options::sync_interval`].
    Process,
    /// At once. It is written in the background and synced as with [`Ack::Process`].
    None,
}

/// Who commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Commits {
    /// A thread of the log's own.
    #[default]
    InBackground,
    /// Whoever waits for a ticket or calls [`crate::Wal::sync_now`]; for simulations, which must do the same each time.
    /// A ticket that is polled and not waited for never resolves by itself.
    WhenAsked,
}

/// How a log is to be kept. Every limit has a default that suits a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// When a record counts as logged.
    pub ack: Ack,
    /// Who commits.
    pub commits: Commits,
    /// From this length of the active segment on [`crate::Wal::wants_rotation`] says so. The log itself never rotates.
    pub segment_bytes_max: u64,
    /// Behind a commit of several records the next one begins at least so much later, so that more of them share a
    /// sync. A request that comes alone is committed at once.
    pub commit_interval: Duration,
    /// How often written records are synced when nobody waits for that.
    pub sync_interval: Duration,
    /// More bytes than these and one request for each appender never wait to be written.
    pub waiting_bytes_max: u64,
    /// How long an append waits for room before it gets [`crate::WalError::Overloaded`].
    pub room_wait_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ack: Ack::Power,
            commits: Commits::InBackground,
            segment_bytes_max: 256 << 20,
            commit_interval: Duration::from_millis(2),
            sync_interval: Duration::from_secs(1),
            waiting_bytes_max: 64 << 20,
            room_wait_max: Duration::from_secs(2),
        }
    }
}
