//! What the flags come to: plain values, read once at the start. Resources are built from them later.

use std::{path::PathBuf, time::Duration};

use basalt_http::ServerOptions;
use jiff::tz::TimeZone;
use log::LevelFilter;

use crate::{
    flags::{Flags, UsageError},
    logging::Logging,
};

/// Everything that the flags say.
#[derive(Debug)]
pub struct Settings {
    pub logging: Logging,
    pub listen: Vec<String>,
    pub path_prefix: String,
    pub server: ServerOptions,
    pub data_path: PathBuf,
}

impl Settings {
    /// Reads every flag that is obeyed.
    pub fn from_flags(flags: &Flags) -> Result<Self, UsageError> {
        Ok(Self {
            logging: logging(flags)?,
            listen: flags.list("httpListenAddr"),
            path_prefix: flags.text("http.pathPrefix").trim_end_matches('/').to_string(),
            server: ServerOptions {
                connections_max: flags.number("http.maxConnections") as usize,
                idle_max: at_least_a_second(flags.duration("http.idleConnTimeout")),
                connection_age_max: at_least_a_second(flags.duration("http.connTimeout")),
                drain_max: flags.duration("http.maxGracefulShutdownDuration"),
            },
            data_path: flags.text("storageDataPath").into(),
        })
    }
}

/// Zero means "no limit" in VictoriaMetrics; every connection here has one, so it becomes a year.
fn at_least_a_second(duration: Duration) -> Duration {
    if duration.is_zero() { Duration::from_secs(365 * 86_400) } else { duration.max(Duration::from_secs(1)) }
}

fn logging(flags: &Flags) -> Result<Logging, UsageError> {
    let zone = flags.text("loggerTimezone");
    let unknown = |_| {
        UsageError(format!(
            "invalid value {zone:?} for -loggerTimezone: want UTC, Local or a name such as Asia/Shanghai"
        ))
    };
    Ok(Logging {
        json: flags.text("loggerFormat") == "json",
        level: match flags.text("loggerLevel") {
            "INFO" => LevelFilter::Info,
            "WARN" => LevelFilter::Warn,
            _ => LevelFilter::Error,
        },
        timezone: match zone {
            "UTC" | "" => TimeZone::UTC,
            "Local" => TimeZone::system(),
            name => TimeZone::get(name).map_err(unknown)?,
        },
        timestamps: !flags.switch("loggerDisableTimestamps"),
        to_stdout: flags.text("loggerOutput") == "stdout",
        errors_per_second: flags.number("loggerErrorsPerSecondLimit"),
        warnings_per_second: flags.number("loggerWarnsPerSecondLimit"),
    })
}
