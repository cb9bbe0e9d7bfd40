//! What a router is told from outside.

use std::time::Duration;

use crate::hints::HintOptions;

/// When rows are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acknowledge {
    /// When one node has each row durably, and each copy that is missing is a durable hint.
    #[default]
    BestEffort,
    /// When all nodes that hold them have all rows durably.
    Strict,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Options {
    /// When rows are acknowledged.
    pub acknowledge: Acknowledge,
    /// A node that takes longer to answer counts as away.
    pub answer_max: Duration,
    /// How long a node may count as complete on one word of this insert.
    pub lease: Duration,
    /// Bytes of rows that are on their way to all nodes together.
    pub sending_bytes_max: u64,
    /// How long a request waits for room among them.
    pub room_wait_max: Duration,
    /// Gives memory that nothing uses back to the system.
    pub reclaim: fn(),
    /// Encodings of series that are remembered.
    pub encodings_max: usize,
    /// A series that is not written for one to two times as long is forgotten.
    pub series_idle_max: Duration,
    /// Series and encodings are forgotten sooner when they take more bytes.
    pub series_bytes_max: u64,
    /// How hints are kept.
    pub hints: HintOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            acknowledge: Acknowledge::BestEffort,
            answer_max: Duration::from_secs(3),
            lease: Duration::from_secs(2),
            sending_bytes_max: 256 << 20,
            room_wait_max: Duration::from_secs(60),
            reclaim: || {},
            encodings_max: 8 << 20,
            series_idle_max: Duration::from_secs(20 * 60),
            series_bytes_max: 1 << 30,
            hints: HintOptions::default(),
        }
    }
}
