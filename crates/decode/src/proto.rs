//! The wire format of protocol buffers: varints, field keys, lengths, and skipping what is not known.

use crate::Malformed;

/// How a field's bytes are laid out.
pub(crate) const VARINT: u8 = 0;
pub(crate) const FIXED64: u8 = 1;
pub(crate) const BYTES: u8 = 2;
const GROUP_START: u8 = 3;
const GROUP_END: u8 = 4;
const FIXED32: u8 = 5;

/// Groups nested deeper are refused; nobody sends any.
const GROUP_DEPTH_MAX: u32 = 100;

/// Reads fields from a stretch of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    body: &'a [u8],
    /// The next byte.
    pub(crate) at: usize,
    end: usize,
}

/// The key of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) field: u32,
    pub(crate) wire: u8,
}

impl<'a> Fields<'a> {
    /// The fields of `body[at..end]`.
    pub(crate) fn new(body: &'a [u8], at: usize, end: usize) -> Self {
        debug_assert!(at <= end && end <= body.len());
        Self { body, at, end }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.end
    }

    /// Where the stretch ends.
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    fn rest(&self) -> &'a [u8] {
        &self.body[self.at..self.end]
    }

    fn wrong<T>(&self, what: &'static str) -> Result<T, Malformed> {
        Err(Malformed { what, at: self.at })
    }

    pub(crate) fn key(&mut self) -> Result<Key, Malformed> {
        let start = self.at;
        let number = self.varint()?;
        let key = Key { field: (number >> 3) as u32, wire: (number & 7) as u8 };
        if number > u64::from(u32::MAX) || key.field == 0 {
            return Err(Malformed { what: "wrong field number", at: start });
        }
        Ok(key)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        match self.rest() {
            [byte, ..] if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            // The length of a series with its labels.
            [low, high, ..] if *high < 0x80 => {
                self.at += 2;
                Ok(u64::from(low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for (n, byte) in self.rest().iter().take(10).enumerate() {
            // The tenth byte holds the one bit that is left.
            if n == 9 && *byte > 1 {
                return self.wrong("number over 64 bits");
            }
            number |= u64::from(byte & 0x7f) << (7 * n);
            if *byte < 0x80 {
                self.at += n + 1;
                return Ok(number);
            }
        }
        self.wrong("number without end")
    }

    pub(crate) fn fixed64(&mut self) -> Result<u64, Malformed> {
        let Some(bytes) = self.rest().first_chunk::<8>() else {
            return self.wrong("fixed number without end");
        };
        self.at += 8;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// Start and end of a length-delimited field's bytes, which are stepped over.
    pub(crate) fn extent(&mut self) -> Result<(usize, usize), Malformed> {
        let key_end = self.at;
        let len = self.varint()?;
        let start = self.at;
        if len > (self.end - start) as u64 {
            return Err(Malformed { what: "length beyond the end", at: key_end });
        }
        self.at = start + len as usize;
        Ok((start, self.at))
    }

    /// The bytes of a length-delimited field.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        self.extent().map(|(start, end)| &self.body[start..end])
    }

    /// Fails if a known field does not have the wire type that it must have.
    pub(crate) fn expect(&self, key: Key, wire: u8) -> Result<(), Malformed> {
        if key.wire == wire { Ok(()) } else { self.wrong("field of another type") }
    }

    /// Steps over a field that is not known.
    pub(crate) fn skip(&mut self, key: Key) -> Result<(), Malformed> {
        self.skip_nested(key, 0)
    }

    fn skip_nested(&mut self, key: Key, depth: u32) -> Result<(), Malformed> {
        match key.wire {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            BYTES => self.extent().map(drop),
            FIXED32 if self.end - self.at >= 4 => {
                self.at += 4;
                Ok(())
            }
            GROUP_START if depth < GROUP_DEPTH_MAX => loop {
                let inner = self.key()?;
                if inner.wire == GROUP_END {
                    return if inner.field == key.field { Ok(()) } else { self.wrong("end of another group") };
                }
                self.skip_nested(inner, depth + 1)?;
            },
            FIXED32 => self.wrong("fixed number without end"),
            _ => self.wrong("unknown wire type"),
        }
    }
}

/// Appends a varint.
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            let mut fields = Fields::new(&bytes, 0, bytes.len());
            assert_eq!(fields.varint(), Ok(number));
            assert!(fields.is_at_end());
            for cut in 0..bytes.len() {
                assert!(Fields::new(&bytes, 0, cut).varint().is_err());
            }
        }
        let over = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert_eq!(Fields::new(&over, 0, 10).varint(), Err(Malformed { what: "number over 64 bits", at: 0 }));
    }

    #[test]
    fn unknown_fields_are_stepped_over() {
        // varint, fixed64, bytes, fixed32, a group with a group inside
        let bytes = [0x78, 5, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7a, 2, 9, 9, 0x7d, 1, 2, 3, 4, 0x7b, 0x0b, 0x0c, 0x7c];
        let mut fields = Fields::new(&bytes, 0, bytes.len());
        let mut count = 0;
        while !fields.is_at_end() {
            let key = fields.key().expect("a key");
            fields.skip(key).expect("a field");
            count += 1;
        }
        assert_eq!(count, 5);
        let deep = vec![0x7b; 1000];
        let mut fields = Fields::new(&deep, 0, deep.len());
        let key = fields.key().expect("a key");
        assert!(fields.skip(key).is_err());
    }
}
