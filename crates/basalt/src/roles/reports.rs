//! What a storage node keeps of the reports of inserts: whether it may call itself complete (see `route`).
//!
//! The names of inserts are kept on disk, because a node that forgot one would take itself for complete while that one still holds rows for it.

use std::{path::Path, sync::Arc, time::Instant};

use disk::{Disk, publish_file};
use model::{SHARDS, TimeRange};
use parking_lot::Mutex;
use route::{Complete, Standing};
use storage_api::{Admin, BoxFuture, InsertError, InsertReport, ReportAnswer, ShardSet, TakeReports};
use tokio::task::spawn_blocking;

use crate::cluster;

/// The file with the names, one a line, in hexadecimal digits.
const FILE: &str = "inserts";
/// So many inserts fit in the file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// See the module.
pub struct Reports {
    standing: Mutex<Standing>,
    began: Instant,
    disk: Arc<dyn Disk>,
    admin: Arc<dyn Admin>,
}

impl Reports {
    /// Reads the names of the inserts that were heard of before.
    pub fn open(disk: Arc<dyn Disk>, admin: Arc<dyn Admin>) -> Result<Self, String> {
        let failed = |why: &dyn std::fmt::Display| format!("cannot read the names of inserts in {FILE:?}: {why}");
        let path = Path::new(FILE);
        let text = match disk.exists(path).map_err(|why| failed(&why))? {
            true => disk.read(path, FILE_BYTES_MAX).map_err(|why| failed(&why))?,
            false => Vec::new(),
        };
        let text = String::from_utf8(text).map_err(|why| failed(&why))?;
        let names = text.lines().map(|line| u128::from_str_radix(line, 16)).collect::<Result<Vec<_>, _>>();
        let names = names.map_err(|why| failed(&why))?;
        let standing = Standing::new(cluster::epoch(), &names);
        Ok(Self { standing: Mutex::new(standing), began: Instant::now(), disk, admin })
    }

    /// Of which shards this node has all that was acknowledged with a time in the range.
    pub fn complete(&self, range: TimeRange) -> ShardSet {
        let now = self.began.elapsed();
        let standing = self.standing.lock();
        let mut shards = ShardSet::empty();
        for shard in 0..SHARDS as u16 {
            match standing.complete(now, shard) {
                Complete::Yes => shards.insert(shard),
                Complete::Except(missing) if !missing.overlaps(range) => shards.insert(shard),
                Complete::Except(_) | Complete::Unknown => {}
            }
        }
        shards
    }

    /// Whether an insert keeps rows for this node, or may.
    pub fn is_catching_up(&self) -> bool {
        self.standing.lock().is_catching_up(self.began.elapsed())
    }
}

impl TakeReports for Reports {
    fn take_report<'a>(&'a self, report: &'a InsertReport) -> BoxFuture<'a, Result<ReportAnswer, InsertError>> {
        Box::pin(async move {
            let read_only = self.admin.stats().read_only.then(|| "the storage is in read-only mode".to_string());
            let (answer, names) = {
                let mut standing = self.standing.lock();
                let (answer, changed) = standing.take(self.began.elapsed(), report, read_only);
                (answer, changed.then(|| standing.remembered()))
            };
            let Some(names) = names else { return Ok(answer) };
            let text: String = names.iter().map(|name| format!("{name:032x}\n")).collect();
            let disk = Arc::clone(&self.disk);
            let writing = spawn_blocking(move || publish_file(&*disk, Path::new(FILE), text.as_bytes()));
            let failed =
                |why: &dyn std::fmt::Display| InsertError::NotDurable(format!("cannot remember an insert: {why}"));
            writing.await.map_err(|why| failed(&why))?.map_err(|why| failed(&why))?;
            Ok(answer)
        })
    }
}
