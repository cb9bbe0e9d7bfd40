//! Flags of the store.

use super::{ANY_NUMBER, Flag, Kind, later, moot, obeyed};

pub const FLAGS: &[Flag] = &[
    obeyed("storageDataPath", Kind::Text, "victoria-metrics-data", "The folder that holds the data."),
    obeyed(
        "retentionPeriod",
        Kind::Retention { days_min: 1 },
        "1M",
        "Samples older than this are refused, not shown, and removed. A number without unit counts months.",
    ),
    obeyed(
        "futureRetention",
        Kind::Retention { days_min: 2 },
        "2d",
        "Samples further in the future than this are refused.",
    ),
    obeyed(
        "maxBackfillAge",
        Kind::Retention { days_min: 0 },
        "0",
        "Samples older than this are refused even inside the retention; 0 means no further limit.",
    ),
    obeyed(
        "dedup.minScrapeInterval",
        Kind::Duration,
        "0s",
        "Of several samples of a series in each such interval only the last one stays; 0 keeps all.",
    ),
    obeyed(
        "storage.ack",
        Kind::Choice(&["power", "process", "none"]),
        "power",
        "What an acknowledged sample survives: power loss (fsynced before the answer), the end of the process (written before the answer, \
         fsynced each second), or nothing.",
    ),
    obeyed(
        "storage.minFreeDiskSpaceBytes",
        Kind::Bytes,
        "100MB",
        "With less free space than this the store takes no writes until there is room again.",
    ),
    obeyed(
        "storage.maxHourlySeries",
        ANY_NUMBER,
        "0",
        "New series over so many distinct ones in an hour are refused; 0 means no limit.",
    ),
    obeyed(
        "storage.maxDailySeries",
        ANY_NUMBER,
        "0",
        "New series over so many distinct ones in a day are refused; 0 means no limit.",
    ),
    obeyed(
        "memory.allowedPercent",
        Kind::Percent,
        "60",
        "Share of the machine's or container's memory that the store's buffers and caches may take.",
    ),
    obeyed("memory.allowedBytes", Kind::Bytes, "0", "The same in bytes; 0 leaves it to -memory.allowedPercent."),
    obeyed(
        "snapshotsMaxAge",
        Kind::Retention { days_min: 0 },
        "3d",
        "Snapshots older than this are removed; 0 keeps them.",
    ),
    moot(
        "inmemoryDataFlushInterval",
        Kind::Duration,
        "5s",
        "How often samples in memory are written to disk.",
        "the log holds every acknowledged sample already, see -storage.ack",
    ),
    moot(
        "precisionBits",
        Kind::Number { min: 1, max: 64 },
        "64",
        "How many bits of a value are kept.",
        "values are stored to the last bit in less space",
    ),
    moot(
        "disablePerDayIndex",
        Kind::Switch,
        "false",
        "Leaves away the index per day.",
        "every part has its own small index, there is no index per day",
    ),
    moot(
        "storage.cacheSizeStorageTSID",
        Kind::Bytes,
        "0",
        "Size of the cache from metric names to series.",
        "one number, -memory.allowedPercent or -memory.allowedBytes, governs all caches",
    ),
    moot(
        "storage.cacheSizeIndexDBIndexBlocks",
        Kind::Bytes,
        "0",
        "Size of the cache of index blocks.",
        "one number, -memory.allowedPercent or -memory.allowedBytes, governs all caches",
    ),
    moot(
        "storage.cacheSizeIndexDBDataBlocks",
        Kind::Bytes,
        "0",
        "Size of the cache of data blocks of the index.",
        "one number, -memory.allowedPercent or -memory.allowedBytes, governs all caches",
    ),
    moot(
        "storage.cacheSizeIndexDBTagFilters",
        Kind::Bytes,
        "0",
        "Size of the cache of filters.",
        "one number, -memory.allowedPercent or -memory.allowedBytes, governs all caches",
    ),
    later(
        "denyQueriesOutsideRetention",
        Kind::Switch,
        "false",
        "Refuses queries outside the retention instead of answering what is there.",
    ),
    later("logNewSeries", Kind::Switch, "false", "Logs every series that is seen for the first time."),
    later("storage.trackMetricNamesStats", Kind::Switch, "true", "Counts how often each metric name is queried."),
    later("retentionFilter", Kind::List, "", "Retention by filter, for example {env=\"dev\"}:3d."),
    later("downsampling.period", Kind::List, "", "Downsampling, for example 30d:5m."),
    later("vmselectAddr", Kind::Text, "", "Address at which select nodes may ask this one."),
];
