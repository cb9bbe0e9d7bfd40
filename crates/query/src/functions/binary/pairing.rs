//! Series of two sides by what they must have in common.

use hashbrown::HashMap;

use crate::{frame::Row, functions::group::Names, labels::LabelsWriter};

/// Series that match each other, by their places on both sides.
#[derive(Debug, Default)]
pub(super) struct Matched {
    pub(super) left: Vec<usize>,
    pub(super) right: Vec<usize>,
}

/// All groups of matching series, those of the left side first, in the order in which they are met.
pub(super) struct Pairing {
    pub(super) groups: Vec<Matched>,
    /// The group of every series of the left side.
    pub(super) left: Vec<usize>,
    /// The group of every series of the right side.
    pub(super) right: Vec<usize>,
}

impl Pairing {
    pub(super) fn new(signature: &Names, left: &[Row], right: &[Row]) -> Self {
        let mut numbers: HashMap<Box<str>, usize> = HashMap::with_capacity(left.len().max(right.len()));
        let mut groups: Vec<Matched> = Vec::new();
        let mut writer = LabelsWriter::default();
        let mut group_of = |row: &Row| {
            writer.clear();
            signature.write(row.labels.iter(), &mut writer);
            if let Some(number) = numbers.get(writer.key()) {
                return *number;
            }
            numbers.insert(writer.key().into(), numbers.len());
            numbers.len() - 1
        };
        let left: Vec<usize> = left.iter().map(&mut group_of).collect();
        let right: Vec<usize> = right.iter().map(&mut group_of).collect();
        groups.resize_with(numbers.len(), Matched::default);
        left.iter().enumerate().for_each(|(at, group)| groups[*group].left.push(at));
        right.iter().enumerate().for_each(|(at, group)| groups[*group].right.push(at));
        Self { groups, left, right }
    }
}
