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

    /// Counts what was left out of a part.
    pub(crate) fn merge(&mut self, part: Self) {
        self.points += part.points;
        self.refused.merge(&part.refused);
        self.first = self.first.take().or(part.first);
    }

    /// Reads a value of a JSON text into rows. If it is whole but not as wanted, it is counted and left out; if not, the text is broken.
    pub(crate) fn attempt(
        &mut self,
        json: &mut Json<'_>,
        rows: &mut Rows,
        read: impl FnOnce(&mut Json<'_>, &mut Rows) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mark = rows.mark();
        if self.attempt_value(json, |json| read(json, rows))?.is_none() {
            rows.rewind(mark);
        }
        Ok(())
    }

    /// The same for a value that does not go into rows itself.
    pub(crate) fn attempt_value<'a, T>(
        &mut self,
        json: &mut Json<'a>,
        read: impl FnOnce(&mut Json<'a>) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        let mut before = json.clone();
        match read(json) {
            Ok(value) => Ok(Some(value)),
            Err(why) => {
                before.skip()?;
                *json = before;
                self.add(why);
                Ok(None)
            }
        }
    }
}
