//! Every row that comes in, in the log (`-logIngestedRows`): for who looks for the sender of a sample, or for what a sender really sends.
//!
//! Rows are shown as the store will have them, after relabeling; one that is dropped or refused as its sender wrote it. It costs much and is meant for
//! minutes.

use std::fmt::Write;

use model::KeyBuilder;
use storage_api::{Batch, Resolved};

use crate::{new_series::shown, rules::Ruled};

/// Samples of a row that are shown.
const SAMPLES_MAX: usize = 1000;

/// Logs the rows of a batch.
pub fn log_rows(batch: &Batch<'_>, encoding: &Ruled<'_>, protocol: &str) {
    let mut samples = batch.samples;
    for series in batch.series {
        let before = batch.samples.len() - samples.len();
        let (row, rest) = samples.split_at((series.samples_end as usize).saturating_sub(before).min(samples.len()));
        samples = rest;
        let start = series.labels_start as usize;
        let Some(bytes) = batch.bytes.get(start..start + series.labels_len as usize) else { return };
        let mut labels = KeyBuilder::new();
        let resolved = encoding.resolve_quietly(bytes, &mut labels);
        if resolved != Resolved::Keep {
            labels.clear();
            encoding.read(bytes, &mut labels);
        }
        let mut text = shown(&labels);
        for sample in row.iter().take(SAMPLES_MAX) {
            write!(text, " {}@{}", sample.value, sample.time).expect("BUG: writing to a string cannot fail");
        }
        let end = match resolved {
            Resolved::Keep => "ingested".to_string(),
            Resolved::Drop => "dropped by rules,".to_string(),
            Resolved::Refuse(why) => format!("refused as {},", why.name()),
        };
        log::info!("{end} by {protocol} for {}: {text}", batch.tenant);
    }
}
