//! Flags of the roles `insert`, `storage` and `select`: who talks to whom.

use super::{ANY_NUMBER, Flag, Kind, later, moot, obeyed};

pub const FLAGS: &[Flag] = &[
    obeyed(
        "storageNode",
        Kind::List,
        "",
        "The storage nodes: host, host:port or group/host:port; file:path for a file with one a line, dns+host:port for all addresses of a name.",
    ),
    obeyed(
        "storageNode.discoveryInterval",
        Kind::Duration,
        "2s",
        "How often files and names in -storageNode are looked up anew.",
    ),
    obeyed("storageNode.filter", Kind::Text, "", "Only nodes whose address matches this regular expression are used."),
    obeyed(
        "replicationFactor",
        Kind::List,
        "1",
        "How many storage nodes have each series: a number, or one for each group such as g0:2,g1:1.",
    ),
    obeyed(
        "globalReplicationFactor",
        Kind::Number { min: 1, max: 16 },
        "1",
        "In how many groups of storage nodes each series is.",
    ),
    obeyed(
        "vminsertAddr",
        Kind::Text,
        ":8400",
        "Address at which a storage takes rows of inserts; selects are answered there too.",
    ),
    obeyed(
        "vmselectAddr",
        Kind::Text,
        "",
        "Address at which a storage (:8401 by default) or a single node answers selects; inserts are answered there too.",
    ),
    obeyed(
        "clusternativeListenAddr",
        Kind::Text,
        "",
        "Address at which an insert takes rows of other inserts, or a select answers other selects.",
    ),
    obeyed("vmstorageDialTimeout", Kind::Duration, "3s", "A connection to a storage node is made in this time."),
    obeyed("vmstorageUserTimeout", Kind::Duration, "3s", "A storage node that is silent for so long is away."),
    moot(
        "rpc.disableCompression",
        Kind::Switch,
        "false",
        "Whether what nodes say to each other is compressed.",
        "series go by number and times by difference, which is shorter than compressed labels",
    ),
    moot(
        "rpc.handshakeTimeout",
        Kind::Duration,
        "5s",
        "How long two nodes may take to introduce themselves.",
        "the introduction is a call like any other and has five seconds",
    ),
    obeyed(
        "search.denyPartialResponse",
        Kind::Switch,
        "false",
        "Refuses answers that would lack data of a storage node; deny_partial_response in the request says otherwise.",
    ),
    obeyed(
        "search.skipSlowReplicas",
        Kind::Switch,
        "false",
        "Does not wait for storage nodes of which others have all copies.",
    ),
    moot(
        "search.tenantCacheExpireDuration",
        Kind::Duration,
        "5m",
        "How long the list of tenants is remembered.",
        "tenants are asked of the storage nodes each time",
    ),
    obeyed(
        "storage.refillMaxRate",
        Kind::Bytes,
        "64MiB",
        "Bytes that a storage node that is filled up from others takes in a second.",
    ),
    moot(
        "selectNode",
        Kind::List,
        "",
        "Other selects whose caches are reset together with this one's.",
        "a select asks the storage nodes whether a result that it keeps still holds, so that none has to be told to forget it",
    ),
    later("storageNode.srvPort", ANY_NUMBER, "0", "The port that is meant where SRV records name another."),
    obeyed("cluster.tls", Kind::Switch, "false", "Nodes talk to each other over TLS."),
    obeyed("cluster.tlsCertFile", Kind::Text, "", "The certificates that a node shows other nodes."),
    obeyed("cluster.tlsKeyFile", Kind::Text, "", "The key to -cluster.tlsCertFile."),
    obeyed(
        "cluster.tlsCAFile",
        Kind::Text,
        "",
        "Who signs the certificates of nodes. Where it is given, a node lets in only those that show such a certificate.",
    ),
    obeyed(
        "cluster.tlsServerName",
        Kind::Text,
        "",
        "The name that certificates of nodes are for, if it is not that of their address.",
    ),
];
