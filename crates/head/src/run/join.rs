//! Joining runs into one: fewer places to look, and the fixed cost of an entry is paid once for more samples.

use model::{Columns, TimeRange};

use super::{Entries, GROUP_BITS, Group, PAGE_BITS, PAGE_GROUPS, Run, RunMeta, RunWriter, bits, times::COLUMNS_MAX};
use crate::SeqRange;

/// Whether the joined run could number its time columns. Each slot may get a column of its own that no input has.
pub(crate) fn can_join(runs: &[impl AsRef<Run>]) -> bool {
    let entries: usize = runs.iter().map(|run| run.as_ref().slot_count()).sum();
    entries <= COLUMNS_MAX
}

/// Joins runs of one cut. They stand in the order in which their rows arrived, and so do the rows of a slot afterwards. `goes_on` is asked before
/// each page of slots; nothing comes of the join once it says no.
pub(crate) fn join(runs: &[impl AsRef<Run>], mut goes_on: impl FnMut() -> bool) -> Option<Run> {
    let metas = || runs.iter().map(|run| run.as_ref().meta());
    let cut = metas().next().expect("BUG: nothing to join").cut;
    assert!(metas().all(|meta| meta.cut == cut), "BUG: runs are joined across a cut");
    let meta = RunMeta {
        times: metas().fold(TimeRange::EMPTY, |times, meta| times.cover(meta.times)),
        seqs: metas().fold(SeqRange::EMPTY, |seqs, meta| seqs.cover(meta.seqs)),
        cut,
    };
    let slots = runs.iter().map(|run| run.as_ref().slot_count()).max().unwrap_or(0);
    let mut writer = RunWriter::new(meta, slots);
    let mut rows = Columns::new();
    let pages = runs.iter().map(|run| run.as_ref().pages.len()).max().unwrap_or(0);
    for page in 0..pages {
        if !goes_on() {
            return None;
        }
        let groups: Vec<(&Run, &[Group])> =
            runs.iter().map(AsRef::as_ref).filter_map(|run| Some((run, run.page(page)?))).collect();
        if !groups.is_empty() {
            join_page(page, &groups, &mut rows, &mut writer);
        }
    }
    Some(writer.finish())
}

/// Joins one page of slots.
fn join_page(page: usize, runs: &[(&Run, &[Group])], rows: &mut Columns, writer: &mut RunWriter) {
    let mut inputs: Vec<(u16, Entries<'_>)> = Vec::with_capacity(runs.len());
    for place in 0..PAGE_GROUPS {
        inputs.clear();
        inputs.extend(runs.iter().map(|(run, groups)| (groups[place].present, Entries::new(run, groups[place]))));
        let first = ((page << PAGE_BITS | place) as u32) << GROUP_BITS;
        let any = inputs.iter().fold(0, |any, (present, _)| any | present);
        for slot in bits(any) {
            rows.clear();
            for (present, entries) in &mut inputs {
                if *present >> slot & 1 == 1 {
                    entries.read(rows);
                }
            }
            writer.push(first + slot, &rows.times, &rows.values);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn run(seq: u64, rows: &[(u32, &[i64])]) -> Arc<Run> {
        let meta = RunMeta { times: TimeRange::new(0, 100), seqs: SeqRange { min: seq, max: seq }, cut: 3 };
        let mut writer = RunWriter::new(meta, 0);
        for (slot, times) in rows {
            let values: Vec<f64> = times.iter().map(|time| *time as f64).collect();
            writer.push(*slot, times, &values);
        }
        Arc::new(writer.finish())
    }

    #[test]
    fn rows_of_a_slot_stay_in_order_of_arrival() {
        let runs =
            [run(1, &[(1, &[50]), (5000, &[1, 2])]), run(2, &[(0, &[9]), (1, &[10, 60])]), run(3, &[(1, &[55])])];
        assert!(join(&runs, || false).is_none());
        let joined = join(&runs, || true).expect("a join that goes on");
        let mut seen = Vec::new();
        joined.for_each(|slot, rows| seen.push((slot, rows.times.clone())));
        assert_eq!(seen, [(0, vec![9]), (1, vec![50, 10, 60, 55]), (5000, vec![1, 2])]);
        assert_eq!(joined.meta().seqs, SeqRange { min: 1, max: 3 });
        assert_eq!(joined.rows(), 7);
    }
}
