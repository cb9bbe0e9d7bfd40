//! Names in a data folder.

use std::path::{Path, PathBuf};

/// Held by the process that has the folder open.
pub const LOCK: &str = "flock.lock";
/// Which parts count, and from which segment on the log does.
pub const MANIFEST: &str = "manifest";
/// The secret of the label hashes.
pub const SECRET: &str = "secret";
/// What senders told about metrics.
pub const METADATA: &str = "metadata";
/// Segments of the log.
pub const WAL: &str = "wal";
/// One folder per part.
pub const PARTS: &str = "parts";
/// One folder per snapshot.
pub const SNAPSHOTS: &str = "snapshots";
/// Damaged parts, set aside.
pub const QUARANTINE: &str = "quarantine";

/// The inserts that a storage node has heard of; kept by the role.
pub const INSERTS: &str = "inserts";
/// Who a storage node is, and what it has lost; kept by the role.
pub const NODE: &str = "node";

/// Since when a storage node owns its shards; kept by the role.
pub const OWNED_SHARDS: &str = "owned_shards";

/// How often metric names are asked for; kept by the role.
pub const METRIC_NAMES: &str = "metric_names";

/// Everything that belongs into a data folder; anything else there is reported and left alone.
pub const KNOWN: &[&str] =
    &[LOCK, MANIFEST, SECRET, METADATA, WAL, PARTS, SNAPSHOTS, QUARANTINE, INSERTS, NODE, OWNED_SHARDS, METRIC_NAMES];

/// The folder of a part.
pub fn part(id: u64) -> PathBuf {
    Path::new(PARTS).join(part_name(id))
}

/// The name of a part's folder.
pub fn part_name(id: u64) -> String {
    format!("{id:016x}")
}

/// The number in the name of a part's folder.
pub fn part_id(name: &str) -> Option<u64> {
    (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok()).flatten()
}
