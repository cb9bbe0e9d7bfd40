//! Copies of what belongs to some shards, from store to store: see `storage-api`, `copying`.

mod give;
mod take;

use std::fmt::Display;

use model::TimeRange;
use part::{
    PartMeta, WriterOptions,
    merge::{MergeInput, merge_parts},
};
use storage_api::AdminError;

use crate::{
    inner::Inner,
    partitioned_writer::{PartitionedWriter, SPLIT_WRITERS_MAX, WritePlan},
};

impl Inner {
    /// Writes what nothing hides in a part into parts that no manifest names yet. Its blocks are taken over as they stand.
    fn rewrite(&self, input: MergeInput, options: WriterOptions) -> Result<Vec<PartMeta>, AdminError> {
        let failed = |error: &dyn Display| AdminError::Failed(format!("cannot copy a part: {error}"));
        let now = self.clock.now_ms();
        let keep = TimeRange::new(self.oldest_kept(now), i64::MAX);
        let plan = WritePlan { options, keep, now, writers_max: SPLIT_WRITERS_MAX };
        let mut writer = PartitionedWriter::new(&*self.disk, &self.next_part, plan);
        let why = match merge_parts(&[input], &|| self.is_closing(), &mut writer) {
            Ok(Some(_)) => return writer.finish().map_err(|error| failed(&error)),
            Ok(None) => AdminError::Unavailable("the storage is closing".into()),
            Err(error) => failed(&error),
        };
        // What cannot be removed now is swept away at the next start.
        let _ = writer.abandon();
        Err(why)
    }
}
