//! Log lines as VictoriaMetrics writes them, behind the `log` facade that every crate uses.
//!
//! Default: `2026-01-02T03:04:05.678Z<TAB>info<TAB>crates/store/src/open.rs:12<TAB>message`. With `-loggerFormat=json` the same as an object with
//! `ts`, `level`, `caller`, `msg`. Lines are cut at 64 KiB. Errors and warnings may be bounded per second and place in the code; how many were
//! left out is said in the next line that this place may write.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    io::Write as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use basalt_http::{MetricsSource, MetricsText};
use jiff::{Timestamp, tz::TimeZone};
use log::{Level, LevelFilter, Metadata, Record};

use crate::machine::VERSION;

/// No line is longer, whatever its message.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Places in the code whose rates are remembered.
const PLACES_MAX: usize = 4096;

/// How to log.
#[derive(Debug, Clone)]
pub struct Logging {
    pub json: bool,
    pub level: LevelFilter,
    pub timezone: TimeZone,
    pub timestamps: bool,
    pub to_stdout: bool,
    pub errors_per_second: u64,
    pub warnings_per_second: u64,
    pub json_names: JsonNames,
}

/// What the fields of JSON lines are called.
#[derive(Debug, Clone)]
pub struct JsonNames([(&'static str, String); 4]);

impl Default for JsonNames {
    fn default() -> Self {
        Self(["ts", "level", "caller", "msg"].map(|field| (field, field.to_string())))
    }
}

impl JsonNames {
    /// Gives a field another name; false if there is no such field.
    pub fn rename(&mut self, field: &str, name: &str) -> bool {
        let known = self.0.iter_mut().find(|(known, _)| *known == field && !name.is_empty());
        known.is_some_and(|known| {
            known.1 = name.to_string();
            true
        })
    }

    /// A line; fields without a value are left away.
    fn line(&self, values: [Option<&str>; 4]) -> String {
        let field =
            |((_, name), value): (&(&str, String), Option<&str>)| Some(format!("{}:{}", quote(name), quote(value?)));
        let fields: Vec<String> = self.0.iter().zip(values).filter_map(field).collect();
        format!("{{{}}}\n", fields.join(","))
    }
}

/// Starts to log. Panics are logged as well from now on.
pub fn start(logging: &Logging) {
    log::set_max_level(logging.level);
    let logger = Logger { logging: logging.clone(), rates: Mutex::default() };
    if log::set_boxed_logger(Box::new(logger)).is_err() {
        return;
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or(("?", 0), |location| (location.file(), location.line()));
        let message = panic.payload_as_str().unwrap_or("panic without a message");
        let arguments = format_args!("panic: {message}");
        let record =
            Record::builder().level(Level::Error).file(Some(place.0)).line(Some(place.1)).args(arguments).build();
        log::logger().log(&record);
    }));
}

/// How many lines each place in the code has written, by its level.
#[derive(Debug, Clone, Copy)]
pub struct Messages;

/// One log for the process, one count of it.
static MESSAGES: Mutex<BTreeMap<(Level, String, u32), u64>> = Mutex::new(BTreeMap::new());

impl Messages {
    fn count(self, record: &Record<'_>) {
        let mut messages = MESSAGES.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (record.level(), record.file().unwrap_or("?").to_string(), record.line().unwrap_or(0));
        if messages.len() < PLACES_MAX || messages.contains_key(&place) {
            *messages.entry(place).or_default() += 1;
        }
    }
}

impl MetricsSource for Messages {
    fn write_metrics(&self, out: &mut MetricsText) {
        let messages = MESSAGES.lock().unwrap_or_else(PoisonError::into_inner);
        for ((level, file, line), count) in &*messages {
            let level = level.as_str().to_lowercase();
            let labels = format!("{{app_version={VERSION:?}, level={level:?}, location=\"{file}:{line}\"}}");
            out.line(format_args!("vm_log_messages_total{labels}"), count);
        }
    }
}

struct Logger {
    logging: Logging,
    rates: Mutex<HashMap<(String, u32), Rate>>,
}

#[derive(Debug)]
struct Rate {
    second: Instant,
    lines: u64,
    left_out: u64,
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.logging.level
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let Some(left_out) = self.admit(record) else {
            return;
        };
        Messages.count(record);
        let mut message = record.args().to_string();
        if left_out > 0 {
            write!(message, " ({left_out} lines of this place were left out before)").expect("BUG: strings take all");
        }
        let line = self.logging.line(Timestamp::now(), record, &message);
        // There is nowhere to report that the log itself cannot be written.
        let _ = if self.logging.to_stdout {
            std::io::stdout().write_all(line.as_bytes())
        } else {
            std::io::stderr().write_all(line.as_bytes())
        };
    }

    fn flush(&self) {}
}

impl Logger {
    /// Whether the line may be written, and how many of its place were left out before it.
    fn admit(&self, record: &Record<'_>) -> Option<u64> {
        let limit = match record.level() {
            Level::Error => self.logging.errors_per_second,
            Level::Warn => self.logging.warnings_per_second,
            _ => 0,
        };
        if limit == 0 {
            return Some(0);
        }
        let mut rates = self.rates.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if rates.len() >= PLACES_MAX {
            rates.clear();
        }
        let place = (record.file().unwrap_or("").to_string(), record.line().unwrap_or(0));
        let rate = rates.entry(place).or_insert_with(|| Rate { second: Instant::now(), lines: 0, left_out: 0 });
        if rate.second.elapsed() >= Duration::from_secs(1) {
            rate.second = Instant::now();
            rate.lines = 0;
        }
        rate.lines += 1;
        if rate.lines > limit {
            rate.left_out += 1;
            return None;
        }
        Some(std::mem::take(&mut rate.left_out))
    }
}

impl Logging {
    fn line(&self, now: Timestamp, record: &Record<'_>, message: &str) -> String {
        let level = match record.level() {
            Level::Error => "error",
            Level::Warn => "warn",
            _ => "info",
        };
        let file = record.file().map_or("?", own_path);
        let caller = format!("{file}:{}", record.line().unwrap_or(0));
        let time = if self.timestamps { self.time(now) } else { String::new() };
        let mut cut = message.len().min(LINE_BYTES_MAX / 2);
        while !message.is_char_boundary(cut) {
            cut -= 1;
        }
        let message = &message[..cut];
        match (self.json, self.timestamps) {
            (true, _) => {
                let time = self.timestamps.then_some(time.as_str());
                self.json_names.line([time, Some(level), Some(&caller), Some(message)])
            }
            (false, true) => format!("{time}\t{level}\t{caller}\t{}\n", one_line(message)),
            (false, false) => format!("{level}\t{caller}\t{}\n", one_line(message)),
        }
    }

    fn time(&self, now: Timestamp) -> String {
        let local = now.to_zoned(self.timezone.clone());
        let offset = if local.offset().is_zero() { "Z" } else { "%:z" };
        local.strftime(&format!("%Y-%m-%dT%H:%M:%S%.3f{offset}")).to_string()
    }
}

/// The path from the workspace's root, or from the library's for code of others.
fn own_path(path: &str) -> &str {
    match path.rfind("/registry/src/") {
        Some(at) => path[at..].splitn(5, '/').last().unwrap_or(path),
        None => path,
    }
}

fn one_line(message: &str) -> String {
    message.replace('\n', "\\n")
}

fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c)).expect("BUG: strings take all"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logging() -> Logging {
        Logging {
            json: false,
            level: LevelFilter::Info,
            timezone: TimeZone::UTC,
            timestamps: true,
            to_stdout: false,
            errors_per_second: 2,
            warnings_per_second: 0,
            json_names: JsonNames::default(),
        }
    }

    fn line(logging: &Logging, message: &str) -> String {
        let now = Timestamp::from_millisecond(1_767_323_045_678).expect("in range");
        let record = Record::builder().level(Level::Warn).file(Some("crates/x/src/y.rs")).line(Some(7)).build();
        logging.line(now, &record, message)
    }

    #[test]
    fn lines_look_as_victoriametrics_writes_them() {
        assert_eq!(line(&logging(), "a\nb"), "2026-01-02T03:04:05.678Z\twarn\tcrates/x/src/y.rs:7\ta\\nb\n");
        let json = Logging { json: true, ..logging() };
        assert_eq!(
            line(&json, "say \"hi\"\n"),
            "{\"ts\":\"2026-01-02T03:04:05.678Z\",\"level\":\"warn\",\"caller\":\"crates/x/src/y.rs:7\",\"msg\":\"say \\\"hi\\\"\\n\"}\n"
        );
        let mut names = JsonNames::default();
        assert!(names.rename("msg", "message") && names.rename("ts", "t") && !names.rename("nothing", "x"));
        let renamed = Logging { json: true, timestamps: false, json_names: names.clone(), ..logging() };
        assert_eq!(line(&renamed, "a"), "{\"level\":\"warn\",\"caller\":\"crates/x/src/y.rs:7\",\"message\":\"a\"}\n");
        assert!(line(&Logging { json: true, json_names: names, ..logging() }, "a").starts_with("{\"t\":\"2026-"));
        let shanghai = TimeZone::get("Asia/Shanghai").expect("the time zones are built in");
        assert!(line(&Logging { timezone: shanghai, ..logging() }, "").starts_with("2026-01-02T11:04:05.678+08:00\t"));
        assert!(line(&logging(), &"€".repeat(LINE_BYTES_MAX)).len() < LINE_BYTES_MAX);
    }

    #[test]
    fn a_place_may_log_so_many_errors_a_second() {
        let logger = Logger { logging: logging(), rates: Mutex::default() };
        let record = Record::builder().level(Level::Error).file(Some("a.rs")).line(Some(1)).build();
        let admitted: Vec<_> = (0..4).map(|_| logger.admit(&record)).collect();
        assert_eq!(admitted, [Some(0), Some(0), None, None]);
        let elsewhere = Record::builder().level(Level::Error).file(Some("a.rs")).line(Some(2)).build();
        assert_eq!(logger.admit(&elsewhere), Some(0));
    }

    #[test]
    fn paths_of_libraries_are_cut() {
        assert_eq!(own_path("/where/registry/src/index/hyper-1.0/src/a.rs"), "hyper-1.0/src/a.rs");
        assert_eq!(own_path("crates/store/src/lib.rs"), "crates/store/src/lib.rs");
    }
}
