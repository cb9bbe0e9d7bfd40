//! Flags of the role `insert`: when rows are acknowledged, and what storage nodes lack.

use super::{Flag, Kind, moot, obeyed};

/// Why rows never change their way.
const NO_REROUTING: &str = "rows never go to nodes that do not hold their shard; see docs/cluster.md for what happens when a node is slow or away";

pub const FLAGS: &[Flag] = &[
    obeyed(
        "insert.ack",
        Kind::Choice(&["besteffort", "strict"]),
        "besteffort",
        "When an insert node acknowledges rows: strict waits for all copies; besteffort for one, with a durable hint for each that is missing.",
    ),
    obeyed(
        "hints.path",
        Kind::Text,
        "",
        "The folder of hints, rows that storage nodes lack; insert-hints-PORT by default, with the port of -httpListenAddr. Without replication it is used if it is there.",
    ),
    obeyed(
        "hints.maxDiskUsage",
        Kind::Bytes,
        "16GiB",
        "Bytes that hints may take on disk; beyond it rows that a storage node lacks are not acknowledged.",
    ),
    obeyed(
        "hints.maxDrainRate",
        Kind::Number { min: 1, max: 1_000_000_000 },
        "5000000",
        "Samples of hints that are handed to one storage node per second, beside the live ones.",
    ),
    obeyed(
        "enableMultitenancyViaHeaders",
        Kind::Switch,
        "true",
        "Takes the tenant of requests to /insert/prometheus/…, /select/prometheus/… and the like from the headers AccountID and ProjectID.",
    ),
    moot("disableRerouting", Kind::Switch, "true", "Does not send rows of slow storage nodes to others.", NO_REROUTING),
    moot(
        "disableReroutingOnUnavailable",
        Kind::Switch,
        "false",
        "Does not send rows of storage nodes that are away to others.",
        NO_REROUTING,
    ),
    moot(
        "dropSamplesOnOverload",
        Kind::Switch,
        "false",
        "Drops rows for slow storage nodes.",
        "what was acknowledged is never dropped; an overloaded insert answers 503, and senders come again",
    ),
];
