//! What the flags tell an insert node beside what they tell every role.

use std::path::PathBuf;

use route::{Acknowledge, Options, hints::HintOptions};

use crate::{allocator, flags::Flags};

/// Share of the allowed memory that rows on their way to storage nodes may take.
const SENDING_SHARE: u64 = 8;
/// Share of the allowed memory that series and their encodings may take before idle ones are forgotten sooner.
const SERIES_SHARE: u64 = 2;
/// Memory of one encoding of a series, with its series and its numbers at the nodes, in the worst case.
const BYTES_PER_ENCODING: u64 = 256;

/// So many times as long a node may take to answer where its copy cannot be a hint.
const PATIENCE_WITHOUT_HINTS: u32 = 10;

/// See the module.
#[derive(Debug, Clone)]
pub struct InsertSettings {
    /// Of the router.
    pub router: Options,
    /// The folder of hints.
    pub hints_path: PathBuf,
    /// Whether headers may name the tenant.
    pub tenant_by_headers: bool,
}

impl InsertSettings {
    /// Reads the flags; `is_single` says that each row has one copy.
    pub fn from_flags(flags: &Flags, memory_allowed_bytes: u64, is_single: bool) -> Self {
        let usual = Options::default();
        let port = flags.text("httpListenAddr").rsplit(':').next().unwrap_or_default().to_string();
        let hints_path = match flags.text("hints.path") {
            "" => format!("insert-hints-{port}").into(),
            path => path.into(),
        };
        // Where no hint can stand for a copy, a slow node is worth waiting for.
        let needs_all = flags.text("insert.ack") == "strict" || is_single;
        let patience = if needs_all { PATIENCE_WITHOUT_HINTS } else { 1 };
        let router = Options {
            acknowledge: match flags.text("insert.ack") {
                "strict" => Acknowledge::Strict,
                _ => Acknowledge::BestEffort,
            },
            answer_max: flags.duration("vmstorageUserTimeout") * patience,
            reclaim: allocator::reclaim,
            sending_bytes_max: memory_allowed_bytes / SENDING_SHARE,
            room_wait_max: flags.duration("insert.maxQueueDuration"),
            encodings_max: (memory_allowed_bytes / SERIES_SHARE / BYTES_PER_ENCODING) as usize,
            series_bytes_max: memory_allowed_bytes / SERIES_SHARE,
            hints: HintOptions {
                disk_bytes_max: flags.bytes("hints.maxDiskUsage"),
                drain_samples_per_second: flags.number("hints.maxDrainRate"),
                ..usual.hints
            },
            ..usual
        };
        Self { router, hints_path, tenant_by_headers: flags.switch("enableMultitenancyViaHeaders") }
    }
}
