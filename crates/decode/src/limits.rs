//! Limits on the labels of a series.

use model::KeyBuilder;
use storage_api::{Refusal, Resolved};

/// The longest labels that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelLimits {
    /// Labels of a series, its name included.
    pub labels_max: usize,
    /// Bytes of a label name.
    pub name_bytes_max: usize,
    /// Bytes of a label value.
    pub value_bytes_max: usize,
}

impl Default for LabelLimits {
    fn default() -> Self {
        Self { labels_max: 40, name_bytes_max: 256, value_bytes_max: 4096 }
    }
}

impl LabelLimits {
    /// Adds a label from outside; the error says why its series is refused.
    pub(crate) fn push(&self, labels: &mut KeyBuilder, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        if value.is_empty() {
            return Ok(());
        }
        if name.is_empty() {
            return Err(Refusal::InvalidLabels);
        }
        if name.len() > self.name_bytes_max {
            return Err(Refusal::LongLabelName);
        }
        if value.len() > self.value_bytes_max {
            return Err(Refusal::LongLabelValue);
        }
        let utf8 = |bytes| std::str::from_utf8(bytes).map_err(|_| Refusal::InvalidUtf8);
        labels.push(utf8(name)?, utf8(value)?);
        if labels.len() > self.labels_max {
            return Err(Refusal::TooManyLabels);
        }
        Ok(())
    }

    /// The verdict on labels that were all pushed.
    pub(crate) fn finish(&self, labels: &KeyBuilder) -> Resolved {
        if labels.is_empty() {
            return Resolved::Refuse(Refusal::NoLabels);
        }
        // Senders sort their labels; only if one did not, every pair is compared (they are few, see `labels_max`).
        let ascend = labels.iter().map(|(name, _)| name).is_sorted_by(|one, next| one < next);
        let twice =
            || labels.iter().enumerate().any(|(n, (name, _))| labels.iter().skip(n + 1).any(|other| other.0 == name));
        if !ascend && twice() { Resolved::Refuse(Refusal::InvalidLabels) } else { Resolved::Keep }
    }
}
