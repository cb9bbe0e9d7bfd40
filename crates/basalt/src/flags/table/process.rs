//! Flags of the process and its logs.

use super::{ANY_NUMBER, Flag, Kind, later, obeyed};

pub const FLAGS: &[Flag] = &[
    obeyed("version", Kind::Switch, "false", "Prints the version and ends."),
    obeyed("help", Kind::Switch, "false", "Prints this text and ends."),
    obeyed(
        "envflag.enable",
        Kind::Switch,
        "false",
        "Takes flags that no argument sets from the environment, with _ for . in names.",
    ),
    obeyed("envflag.prefix", Kind::Text, "", "What stands before the flag's name in the environment."),
    obeyed(
        "loggerFormat",
        Kind::Choice(&["default", "json"]),
        "default",
        "How log lines look: fields with tabs, or JSON.",
    ),
    obeyed(
        "loggerLevel",
        Kind::Choice(&["INFO", "WARN", "ERROR", "FATAL", "PANIC"]),
        "INFO",
        "The lowest level that is logged.",
    ),
    obeyed("loggerTimezone", Kind::Text, "UTC", "Time zone of log lines: UTC, Local, or a name such as Asia/Shanghai."),
    obeyed("loggerOutput", Kind::Choice(&["stderr", "stdout"]), "stderr", "Where log lines are written."),
    obeyed(
        "loggerErrorsPerSecondLimit",
        ANY_NUMBER,
        "0",
        "Errors that one place may log per second; 0 means no limit.",
    ),
    obeyed(
        "loggerWarnsPerSecondLimit",
        ANY_NUMBER,
        "0",
        "Warnings that one place may log per second; 0 means no limit.",
    ),
    obeyed("loggerDisableTimestamps", Kind::Switch, "false", "Leaves the time of log lines away."),
    later("loggerJSONFields", Kind::Text, "", "Other names for the fields of JSON log lines."),
    later("loggerMaxArgLen", ANY_NUMBER, "5000", "Longer arguments of a message are cut."),
    obeyed("dryRun", Kind::Switch, "false", "Checks the configuration files and ends."),
    later("pushmetrics.url", Kind::List, "", "Where the process sends its own metrics."),
    later("pushmetrics.interval", Kind::Duration, "10s", "How often the process sends them."),
    later("pushmetrics.extraLabel", Kind::List, "", "Labels that it adds to them."),
    later("filestream.disableFadvise", Kind::Switch, "false", "Leaves files that were read once in the page cache."),
    later("internStringMaxLen", ANY_NUMBER, "500", "Longer strings are not shared in memory."),
];
