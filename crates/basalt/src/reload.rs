//! What can be read anew while the process runs: by SIGHUP and `/-/reload`.
//!
//! A file that cannot be understood changes nothing: what holds goes on to hold, the log and the answer say what is wrong, and
//! `vm_relabel_config_last_reload_successful` turns 0.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use basalt_http::{Counter, MetricsSource, MetricsText};
use receive::Receiver;
use relabel::Relabeler;

use crate::files;

/// Everything that can be read anew.
pub struct Reloads {
    relabel_config: String,
    receiver: Arc<Receiver>,
    reloads: Counter,
    errors: Counter,
    last_successful: AtomicBool,
    last_success_unix_seconds: AtomicU64,
}

/// Reads the rules of relabeling; none without a file.
pub fn read_relabeling(path: &str) -> Result<Option<Arc<Relabeler>>, String> {
    if path.is_empty() {
        return Ok(None);
    }
    let failed = |why: String| format!("cannot load -relabelConfig: {why}");
    let text = files::read_text(path, relabel::CONFIG_BYTES_MAX, &|name| std::env::var(name).ok()).map_err(failed)?;
    let selector = |text: &str| serve::selector::parse(text).map_err(|error| error.to_string());
    let relabeler = Relabeler::parse(path, &text, &selector).map_err(|error| failed(error.to_string()))?;
    Ok(Some(Arc::new(relabeler)))
}

impl Reloads {
    /// What was read at the start is taken for good.
    pub fn new(relabel_config: String, receiver: Arc<Receiver>) -> Self {
        Self {
            relabel_config,
            receiver,
            reloads: Counter::default(),
            errors: Counter::default(),
            last_successful: AtomicBool::new(true),
            last_success_unix_seconds: AtomicU64::new(unix_seconds()),
        }
    }

    /// Reads everything anew; the error says what stays as it was, and why.
    pub fn reload(&self) -> Result<(), String> {
        if self.relabel_config.is_empty() {
            log::info!("asked to reload; there is nothing to reload");
            return Ok(());
        }
        self.reloads.add(1);
        let read = read_relabeling(&self.relabel_config);
        self.last_successful.store(read.is_ok(), Ordering::Relaxed);
        match read {
            Ok(relabeler) => {
                let rules = relabeler.as_ref().map_or(0, |relabeler| relabeler.len());
                self.receiver.relabel(relabeler);
                self.last_success_unix_seconds.store(unix_seconds(), Ordering::Relaxed);
                log::info!("successfully reloaded -relabelConfig={:?}; rules: {rules}", self.relabel_config);
                Ok(())
            }
            Err(why) => {
                self.errors.add(1);
                log::error!("{why}; the rules that were read before stay");
                Err(why)
            }
        }
    }
}

impl MetricsSource for Reloads {
    fn write_metrics(&self, out: &mut MetricsText) {
        out.line("vm_relabel_config_reloads_total", self.reloads.get());
        out.line("vm_relabel_config_reloads_errors_total", self.errors.get());
        let successful = self.last_successful.load(Ordering::Relaxed);
        out.line("vm_relabel_config_last_reload_successful", u8::from(successful));
        let seconds = self.last_success_unix_seconds.load(Ordering::Relaxed);
        out.line("vm_relabel_config_last_reload_success_timestamp_seconds", seconds);
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
