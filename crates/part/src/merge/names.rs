//! Which series is next in several parts, and in which of them it is.
//!
//! 1. Most series are in all parts, so equal ids come first: they spare the comparison of keys for order.
//! 2. Whether equal ids stand for one key is asked of the keys where their pieces meet for the first time. From then on the numbers that two parts have
//!    for family, origin and bound say so ([`KnownNumbers`]), and no key is made.

use std::cmp::Ordering;

use index::{KeyCursor, KeyNumbers, KnownNumbers};
use model::{SeriesId, SeriesKey};

use crate::{error::PartError, reader::Part};

/// A part's next series.
pub(super) struct NameCursor<'a> {
    part: &'a Part,
    keys: KeyCursor,
    pub(super) number: u32,
    pub(super) numbers: KeyNumbers,
    pub(super) id: SeriesId,
    done: bool,
    /// The key, if it was made.
    key: SeriesKey,
    key_made: bool,
    /// For each of the parts before this one what its numbers mean here.
    known: Vec<KnownNumbers>,
}

impl<'a> NameCursor<'a> {
    pub(super) fn open(part: &'a Part) -> Result<Self, PartError> {
        let mut cursor = Self {
            part,
            keys: part.labels().keys(0),
            number: 0,
            numbers: KeyNumbers { family: 0, origin: 0, bound: None },
            id: SeriesId(0),
            done: false,
            key: SeriesKey::default(),
            key_made: false,
            known: Vec::new(),
        };
        cursor.advance()?;
        Ok(cursor)
    }

    /// Goes to the next series.
    pub(super) fn advance(&mut self) -> Result<(), PartError> {
        self.key_made = false;
        match self.keys.next_numbers()? {
            Some((number, numbers)) => {
                (self.number, self.numbers) = (number, numbers);
                self.id = self.part.labels().id(number)?;
            }
            None => self.done = true,
        }
        Ok(())
    }

    fn make_key(&mut self) -> Result<(), PartError> {
        if !self.key_made {
            self.keys.last_key(&mut self.key)?;
            self.key_made = true;
        }
        Ok(())
    }

    /// Puts the key in the place of `key`.
    pub(super) fn put_key(&mut self, key: &mut SeriesKey) -> Result<(), PartError> {
        self.make_key()?;
        key.clone_from(&self.key);
        Ok(())
    }

    /// Whether this series, which has the same id, is the one of the cursor `number` `before` this.
    fn is(&mut self, before: &mut NameCursor<'_>, number: usize) -> Result<bool, PartError> {
        while self.known.len() <= number {
            self.known.push(KnownNumbers::default());
        }
        if self.known[number].get(before.numbers) == Some(self.numbers) {
            return Ok(true);
        }
        self.make_key()?;
        before.make_key()?;
        let same = self.key == before.key;
        if same {
            self.known[number].learn(before.numbers, self.numbers);
        }
        Ok(same)
    }
}

/// The first cursor with the least key; none when all are done.
pub(super) fn least(cursors: &mut [NameCursor<'_>]) -> Result<Option<usize>, PartError> {
    let mut least: Option<usize> = None;
    for at in 0..cursors.len() {
        if cursors[at].done {
            continue;
        }
        least = match least {
            None => Some(at),
            Some(best) if cursors[best].id == cursors[at].id => Some(best),
            Some(best) => {
                cursors[best].make_key()?;
                cursors[at].make_key()?;
                let greater = cursors[best].key.cmp(&cursors[at].key) == Ordering::Greater;
                Some(if greater { at } else { best })
            }
        };
    }
    Ok(least)
}

/// The cursors that stand on the series of cursor `least`, which is the first of them.
pub(super) fn members(cursors: &mut [NameCursor<'_>], least: usize, members: &mut Vec<usize>) -> Result<(), PartError> {
    members.clear();
    members.push(least);
    let id = cursors[least].id;
    let (before, behind) = cursors.split_at_mut(least + 1);
    let first = &mut before[least];
    for (at, cursor) in behind.iter_mut().enumerate() {
        if !cursor.done && cursor.id == id && cursor.is(first, least)? {
            members.push(least + 1 + at);
        }
    }
    Ok(())
}
