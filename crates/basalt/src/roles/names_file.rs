//! The statistics of metric names on disk (`-storage.trackMetricNamesStats`), so that they outlive a restart.
//!
//! They are written when the process stops, and each minute if they changed. After a kill the requests of the last minute are missing: they are
//! statistics, and nothing waits for them. A file that cannot be read is reported, and counting begins anew.

use std::{path::Path, sync::Arc, time::Duration};

use basalt_http::Stop;
use disk::{Disk, publish_file};
use serve::NamesStats;
use tokio::task::spawn_blocking;

/// The file in the data folder.
const FILE: &str = "metric_names";
/// The names are bounded by their memory, and take less as text.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// They are written after this, if they changed.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Clone)]
pub struct NamesFile {
    disk: Arc<dyn Disk>,
    /// What is written.
    pub stats: Arc<NamesStats>,
}

impl NamesFile {
    /// Reads the statistics of the process before this one.
    pub fn open(disk: Arc<dyn Disk>, now_ms: i64) -> Self {
        let stats = read(&*disk).unwrap_or_else(|why| {
            log::error!("cannot read the statistics of metric names in {FILE:?}, counting begins anew: {why}");
            None
        });
        Self { disk, stats: Arc::new(stats.unwrap_or_else(|| NamesStats::new(now_ms))) }
    }

    /// Writes them, if they changed.
    pub fn save(&self) {
        let Some(text) = self.stats.to_text() else { return };
        if let Err(why) = publish_file(&*self.disk, Path::new(FILE), text.as_bytes()) {
            log::error!("cannot write the statistics of metric names: {why}");
        }
    }

    /// Writes them from time to time.
    pub async fn run(self, mut stop: Stop) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SAVE_EVERY) => {}
                () = stop.stopped() => return,
            }
            let file = self.clone();
            if spawn_blocking(move || file.save()).await.is_err() {
                return log::error!("the task that writes the statistics of metric names ended in a panic");
            }
        }
    }
}

fn read(disk: &dyn Disk) -> Result<Option<NamesStats>, String> {
    let path = Path::new(FILE);
    if !disk.exists(path).map_err(|why| why.to_string())? {
        return Ok(None);
    }
    let text = disk.read(path, FILE_BYTES_MAX).map_err(|why| why.to_string())?;
    let text = String::from_utf8(text).map_err(|why| why.to_string())?;
    NamesStats::from_text(&text).map(Some)
}
