//! Tombstones: what was deleted, and what had arrived before.
//!
//! A tombstone hides rows that arrived before it: those with a lower sequence number. Its record stands in the log; the manifest holds it from the next
//! publication on, until no part is left in which it hides something.

use std::sync::Arc;

use codec::bytes::{Malformed, Reader, put_len_prefixed, put_varint, put_zigzag};
use index::CompiledSelector;
use model::{MatchOp, Matcher, Selector, Tenant, TimeRange};
use part::PartMeta;

/// No selector of a delete is longer than this when written.
pub const TOMBSTONE_BYTES_MAX: usize = 1 << 20;

/// A deletion.
#[derive(Debug, Clone)]
pub struct Tombstone {
    /// It hides what has a lower sequence number.
    pub seq: u64,
    /// Whose series.
    pub tenant: Tenant,
    /// Which series.
    pub selector: Selector,
    /// Which of their rows.
    pub range: TimeRange,
    /// The selector, ready for searching.
    pub compiled: Arc<CompiledSelector>,
}

impl Tombstone {
    /// A tombstone, if its selector can be understood.
    pub fn new(seq: u64, tenant: Tenant, selector: Selector, range: TimeRange) -> Result<Self, String> {
        let compiled = CompiledSelector::compile(&selector).map_err(|error| error.to_string())?;
        Ok(Self { seq, tenant, selector, range, compiled: Arc::new(compiled) })
    }

    /// Whether rows of this part may be hidden.
    pub fn touches(&self, meta: &PartMeta) -> bool {
        self.seq > meta.seq_max && self.seq > meta.tombstones_applied && self.range.overlaps(meta.range)
    }

    /// Appends the bytes of the tombstone.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.seq);
        put_varint(out, u64::from(self.tenant.account));
        put_varint(out, u64::from(self.tenant.project));
        put_zigzag(out, self.range.min);
        put_zigzag(out, self.range.max);
        put_varint(out, self.selector.any_of.len() as u64);
        for set in &self.selector.any_of {
            put_varint(out, set.len() as u64);
            for matcher in set {
                out.push(op_number(matcher.op));
                put_len_prefixed(out, matcher.name.as_bytes());
                put_len_prefixed(out, matcher.value.as_bytes());
            }
        }
    }

    /// Reads what [`Tombstone::write`] wrote.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let seq = reader.varint()?;
        let mut number = || {
            let offset = reader.position();
            u32::try_from(reader.varint()?).map_err(|_| Malformed { what: "tenant out of range", offset })
        };
        let tenant = Tenant::new(number()?, number()?);
        let range = TimeRange::new(reader.zigzag()?, reader.zigzag()?);
        let mut any_of = Vec::new();
        for _ in 0..count(reader)? {
            let mut set = Vec::new();
            for _ in 0..count(reader)? {
                let op = read_op(reader)?;
                set.push(Matcher { op, name: text(reader)?, value: text(reader)? });
            }
            any_of.push(set);
        }
        let offset = reader.position();
        Self::new(seq, tenant, Selector { any_of }, range)
            .map_err(|_| Malformed { what: "a selector that cannot be understood", offset })
    }
}

/// A count that the bytes left can hold.
fn count(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    let offset = reader.position();
    let count = reader.varint()?;
    if count > reader.remaining() as u64 {
        return Err(Malformed { what: "more matchers than bytes", offset });
    }
    Ok(count)
}

fn text(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let offset = reader.position();
    let bytes = reader.len_prefixed(TOMBSTONE_BYTES_MAX)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Malformed { what: "text that is not UTF-8", offset })
}

fn op_number(op: MatchOp) -> u8 {
    match op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    }
}

fn read_op(reader: &mut Reader<'_>) -> Result<MatchOp, Malformed> {
    let offset = reader.position();
    match reader.u8()? {
        0 => Ok(MatchOp::Equal),
        1 => Ok(MatchOp::NotEqual),
        2 => Ok(MatchOp::Regex),
        3 => Ok(MatchOp::NotRegex),
        _ => Err(Malformed { what: "unknown comparison", offset }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_comes_back() {
        let selector = Selector {
            any_of: vec![
                vec![Matcher::equal("__name__", "up"), Matcher::new("job", MatchOp::NotRegex, "a|b")],
                vec![Matcher::new("pod", MatchOp::Regex, "x.*"), Matcher::new("z", MatchOp::NotEqual, "ü")],
            ],
        };
        let tombstone = Tombstone::new(9, Tenant::new(1, 2), selector, TimeRange::ALL).expect("it is understood");
        let mut bytes = Vec::new();
        tombstone.write(&mut bytes);
        let read = Tombstone::read(&mut Reader::new(&bytes)).expect("it comes back");
        assert_eq!((read.seq, read.tenant, &read.selector), (9, Tenant::new(1, 2), &tombstone.selector));
        assert_eq!(read.range, TimeRange::ALL);
        for cut in 0..bytes.len() {
            assert!(Tombstone::read(&mut Reader::new(&bytes[..cut])).is_err());
        }
    }
}
