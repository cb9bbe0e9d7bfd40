//! What a remote-write body tells about metrics.

use std::{ops::Range, str};

use storage_api::MetricMetadata;

use crate::{
    Malformed,
    proto::{BYTES, Fields, VARINT},
};

const KIND: u32 = 1;
const FAMILY: u32 = 2;
const HELP: u32 = 4;
const UNIT: u32 = 5;

/// The names of the kinds by their numbers.
pub(super) const KINDS: &[&str] =
    &["unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];

/// Where the texts of an entry lie; they are checked to be UTF-8.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    kind: u32,
    family: Range<usize>,
    help: Range<usize>,
    unit: Range<usize>,
}

impl Place {
    pub(super) fn find(body: &[u8], start: usize, end: usize) -> Result<Self, Malformed> {
        let mut fields = Fields::new(body, start, end);
        let mut place = Self::default();
        while !fields.is_at_end() {
            let key = fields.key()?;
            match key.field {
                KIND => {
                    fields.expect(key, VARINT)?;
                    place.kind = fields.varint()? as u32;
                }
                FAMILY | HELP | UNIT => {
                    fields.expect(key, BYTES)?;
                    let (start, end) = fields.extent()?;
                    if str::from_utf8(&body[start..end]).is_err() {
                        return Err(Malformed { what: "metadata that is not UTF-8", at: start });
                    }
                    let text = match key.field {
                        FAMILY => &mut place.family,
                        HELP => &mut place.help,
                        _ => &mut place.unit,
                    };
                    *text = start..end;
                }
                _ => fields.skip(key)?,
            }
        }
        Ok(place)
    }

    pub(super) fn read<'a>(&self, body: &'a [u8]) -> MetricMetadata<'a> {
        let text = |range: &Range<usize>| str::from_utf8(&body[range.clone()]).unwrap_or("");
        let kind = usize::try_from(self.kind).ok().and_then(|kind| KINDS.get(kind)).unwrap_or(&KINDS[0]);
        MetricMetadata { metric: text(&self.family), kind, help: text(&self.help), unit: text(&self.unit) }
    }
}
