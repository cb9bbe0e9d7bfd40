//! Who gets what is replayed.

/// Gets what is replayed. Several threads call at once; only tombstones and metadata come one after the other.
pub trait ReplaySink: Sync {
    /// Canonical keys of series in a segment. For each, in their order, a number of the sink's own is to be appended
    /// to `slots_out`; samples come under these numbers. [`crate::NO_SLOT`] means that the samples are not wanted.
    ///
    /// A key comes once in every segment that has samples of it, and numbers need not differ between segments.
    fn define(&self, keys: &mut dyn Iterator<Item = &[u8]>, slots_out: &mut Vec<u32>);

    /// Samples, in three columns of equal length that are not empty.
    fn samples(&self, slots: &[u32], times: &[i64], values: &[f64]);

    /// A deletion. All samples logged before it have been given, none that were logged later.
    fn tombstone(&self, bytes: &[u8]);

    /// Metadata of metrics, in the order in which it was logged.
    fn metadata(&self, bytes: &[u8]);
}
