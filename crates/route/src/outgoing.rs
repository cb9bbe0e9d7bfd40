//! Rows on their way to one node, under slots of the head.

use model::{Sample, Tenant, TimeRange};
use storage_api::MetricMetadata;

/// What a sender told about a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The metric family.
    pub metric: String,
    /// `counter`, `gauge`, …
    pub kind: String,
    /// The help text.
    pub help: String,
    /// The unit.
    pub unit: String,
}

impl From<&MetricMetadata<'_>> for Told {
    fn from(told: &MetricMetadata<'_>) -> Self {
        let [metric, kind, help, unit] = [told.metric, told.kind, told.help, told.unit].map(str::to_string);
        Self { metric, kind, help, unit }
    }
}

impl Told {
    /// The same, borrowed.
    pub fn borrowed(&self) -> MetricMetadata<'_> {
        MetricMetadata { metric: &self.metric, kind: &self.kind, help: &self.help, unit: &self.unit }
    }
}

/// A run of samples of one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutRow {
    /// The head's slot of the series.
    pub slot: u32,
    /// End of its samples; they start where those of the row before end.
    pub samples_end: u32,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// Whose rows.
    pub tenant: Tenant,
    /// The rows.
    pub rows: Vec<OutRow>,
    /// The samples of all rows.
    pub samples: Vec<Sample>,
    /// What senders told.
    pub metadata: Vec<Told>,
}

impl Outgoing {
    /// Nothing yet.
    pub fn of(tenant: Tenant) -> Self {
        Self { tenant, ..Self::default() }
    }

    /// Makes room for so many rows and samples, so that they are not copied while they become more.
    pub fn reserve(&mut self, rows: usize, samples: usize) {
        self.rows.reserve(rows);
        self.samples.reserve(samples);
    }

    /// Adds a run of samples; it joins the row before if that is of the same series.
    pub fn push(&mut self, slot: u32, samples: &[Sample]) {
        match samples {
            // Most runs are one sample, for which copying a run costs three times as much.
            [one] => self.samples.push(*one),
            run => self.samples.extend_from_slice(run),
        }
        let samples_end = self.samples.len() as u32;
        match self.rows.last_mut() {
            Some(last) if last.slot == slot => last.samples_end = samples_end,
            _ => self.rows.push(OutRow { slot, samples_end }),
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.metadata.is_empty()
    }

    /// The times of the samples.
    pub fn range(&self) -> TimeRange {
        let mut range = TimeRange::EMPTY;
        self.samples.iter().for_each(|sample| range.include(sample.time));
        range
    }

    /// Memory taken.
    pub fn bytes(&self) -> usize {
        let told: usize = self
            .metadata
            .iter()
            .map(|told| told.metric.len() + told.kind.len() + told.help.len() + told.unit.len())
            .sum();
        Self::bytes_of(self.rows.len(), self.samples.len()) + self.metadata.len() * size_of::<Told>() + told
    }

    /// Memory that so many rows with so many samples take.
    pub fn bytes_of(rows: usize, samples: usize) -> usize {
        rows * size_of::<OutRow>() + samples * size_of::<Sample>()
    }

    /// Each row with its samples.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[Sample])> {
        let mut start = 0;
        self.rows.iter().map(move |row| {
            let end = row.samples_end as usize;
            let samples = &self.samples[start..end];
            start = end;
            (row.slot, samples)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_one_series_are_one_row() {
        let sample = |time| Sample { time, value: 1.0 };
        let mut out = Outgoing::of(Tenant::DEFAULT);
        assert!(out.is_empty() && out.range().is_empty());
        out.push(3, &[sample(1)]);
        out.push(3, &[sample(9), sample(5)]);
        out.push(4, &[sample(2)]);
        let rows: Vec<_> = out.iter().map(|(slot, samples)| (slot, samples.len())).collect();
        assert_eq!((rows, out.range()), (vec![(3, 3), (4, 1)], TimeRange::new(1, 9)));
    }
}
