//! Points of a body that could not be read, while the others were.

use storage_api::Refusals;

use super::Rows;
use crate::{Malformed, json::Json};

/// How many there are, and what is wrong with the first.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Points that were left out.
    pub points: u64,
    /// Why the first was.
    pub first: Option<Malformed>,
    /// Points that were left out for reasons that have names.
    pub refused: Refusals,
}

impl Skipped {
    /// Counts a point.
    pub(crate) fn add(&mut self, why: Malformed) {
        self.points += 1;
        self.first.get_or_insert(why);
    }

    /// Reads a value of a JSON text into rows. If it is whole but not as wanted, it is counted and left out; if not, the text is broken.
    pub(crate) fn attempt(
        &mut self,
        json: &mut Json<'_>,
        rows: &mut Rows,
        read: impl FnOnce(&mut Json<'_>, &mut Rows) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let (mark, mut before) = (rows.mark(), json.clone());
        if let Err(why) = read(json, rows) {
            rows.rewind(mark);
            before.skip()?;
            *json = before;
            self.add(why);
        }
        Ok(())
    }
}
