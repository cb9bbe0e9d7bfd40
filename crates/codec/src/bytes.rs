//! Bounded reading and writing of little-endian numbers, varints and length-prefixed bytes.
//!
//! 1. A [`Reader`] walks a slice once and never reads behind its end: every step either advances or says
//!    [`Malformed`] with the offset where it stood.
//! 2. Varints are LEB128, at most ten bytes for 64 bits and nineteen for 128. There is one encoding per number:
//!    an overlong one is refused, so that equal content means equal bytes.
//! 3. Nothing here allocates while reading; a length is checked against what is left before it is believed.

use std::fmt;

/// The bytes do not follow the format; says which piece and where it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// The piece that could not be read, as a noun phrase.
    pub what: &'static str,
    /// Byte offset inside the slice given to the reader.
    pub offset: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed {} at byte {}", self.what, self.offset)
    }
}

impl std::error::Error for Malformed {}

/// The most bytes of a 64-bit varint.
pub const VARINT_BYTES_MAX: usize = 10;
/// The most bytes of a 128-bit varint.
pub const VARINT128_BYTES_MAX: usize = 19;

/// Walks a slice of bytes from front to back.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Offset of the next byte.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// How many bytes are left.
    pub const fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Whether everything has been read.
    pub const fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The bytes that are left, without taking them.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    /// The error for a piece at the present position.
    pub const fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { what, offset: self.position }
    }

    /// Refuses bytes that nobody asked for.
    pub fn finish(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(self.malformed("end of input")) }
    }

    /// The next `n` bytes.
    #[inline]
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        if n > self.remaining() {
            return Err(self.malformed("byte run"));
        }
        let taken = &self.bytes[self.position..self.position + n];
        self.position += n;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        match self.rest().first_chunk::<N>() {
            Some(chunk) => {
                self.position += N;
                Ok(*chunk)
            }
            None => Err(self.malformed("fixed-size number")),
        }
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, little-endian.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes, little-endian.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little-endian.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Sixteen bytes, little-endian.
    #[inline]
    pub fn u128(&mut self) -> Result<u128, Malformed> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    /// The bit pattern of a float, eight bytes little-endian.
    #[inline]
    pub fn f64(&mut self) -> Result<f64, Malformed> {
        Ok(f64::from_bits(self.u64()?))
    }

    /// An unsigned LEB128 number.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        match self.bytes.get(self.position) {
            Some(&byte) if byte < 0x80 => {
                self.position += 1;
                Ok(u64::from(byte))
            }
            _ => {
                let wide = self.varint_long(VARINT_BYTES_MAX)?;
                u64::try_from(wide).map_err(|_| self.malformed("varint"))
            }
        }
    }

    /// An unsigned LEB128 number that must not exceed `max`; `what` names it in the error.
    #[inline]
    pub fn varint_max(&mut self, max: u64, what: &'static str) -> Result<u64, Malformed> {
        let start = self.position;
        let value = self.varint()?;
        if value > max {
            return Err(Malformed { what, offset: start });
        }
        Ok(value)
    }

    /// A signed number, zigzag in LEB128.
    #[inline]
    pub fn zigzag(&mut self) -> Result<i64, Malformed> {
        Ok(unzigzag(self.varint()?))
    }

    /// An unsigned LEB128 number of up to 128 bits.
    pub fn varint128(&mut self) -> Result<u128, Malformed> {
        self.varint_long(VARINT128_BYTES_MAX)
    }

    /// A signed number of up to 128 bits, zigzag in LEB128.
    pub fn zigzag128(&mut self) -> Result<i128, Malformed> {
        let folded = self.varint128()?;
        Ok((folded >> 1) as i128 ^ -((folded & 1) as i128))
    }

    /// Bytes behind their varint length, which must not exceed `max`.
    pub fn len_prefixed(&mut self, max: usize) -> Result<&'a [u8], Malformed> {
        let length = self.varint_max(max as u64, "length prefix")?;
        self.bytes(length as usize)
    }

    fn varint_long(&mut self, bytes_max: usize) -> Result<u128, Malformed> {
        let mut value = 0_u128;
        for (index, &byte) in self.rest().iter().take(bytes_max).enumerate() {
            let shift = 7 * index as u32;
            let low = u128::from(byte & 0x7f);
            if (low << shift) >> shift != low {
                break;
            }
            value |= low << shift;
            if byte < 0x80 {
                if byte == 0 && index > 0 {
                    break;
                }
                self.position += index + 1;
                return Ok(value);
            }
        }
        Err(self.malformed("varint"))
    }
}

/// Folds the sign into the lowest bit, so that small numbers of either sign become small.
#[inline(always)]
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Undoes [`zigzag`].
#[inline(always)]
pub const fn unzigzag(folded: u64) -> i64 {
    (folded >> 1) as i64 ^ -((folded & 1) as i64)
}

/// Appends an unsigned LEB128 number.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, value: u64) {
    let mut left = value;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

/// Appends a signed number, zigzag in LEB128.
#[inline]
pub fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, zigzag(value));
}

/// Appends an unsigned LEB128 number of up to 128 bits.
pub fn put_varint128(out: &mut Vec<u8>, value: u128) {
    let mut left = value;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

/// Appends a signed number of up to 128 bits, zigzag in LEB128.
pub fn put_zigzag128(out: &mut Vec<u8>, value: i128) {
    put_varint128(out, ((value << 1) ^ (value >> 127)) as u128);
}

/// Appends the length of `bytes` as a varint, then the bytes.
pub fn put_len_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// How many bytes [`put_varint`] takes for this number.
pub const fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fixed_numbers_are_little_endian_and_bounded() {
        let bytes: Vec<u8> = (1..=31).collect();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(0x0302));
        assert_eq!(reader.u32(), Ok(0x0706_0504));
        assert_eq!(reader.u64(), Ok(0x0f0e_0d0c_0b0a_0908));
        assert_eq!(reader.u128().unwrap() & 0xff, 0x10);
        assert!(reader.is_empty());
        assert_eq!(reader.finish(), Ok(()));
        let error = reader.u8().unwrap_err();
        assert_eq!(error.offset, 31);
        assert_eq!(error.to_string(), "malformed fixed-size number at byte 31");
    }

    #[test]
    fn varints_refuse_overlong_and_overflowing() {
        for bad in [
            &[0x80, 0x00][..],
            &[0x80][..],
            &[][..],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02][..],
            &[0xff; 11][..],
        ] {
            let mut reader = Reader::new(bad);
            assert_eq!(reader.varint().unwrap_err().offset, reader.position(), "{bad:?}");
        }
        let mut all_ones = Vec::new();
        put_varint128(&mut all_ones, u128::MAX);
        assert_eq!(all_ones.len(), VARINT128_BYTES_MAX);
        assert_eq!(Reader::new(&all_ones).varint128(), Ok(u128::MAX));
        *all_ones.last_mut().unwrap() = 0x07;
        assert!(Reader::new(&all_ones).varint128().is_err());
    }

    #[test]
    fn length_prefix_is_checked_before_it_is_believed() {
        let mut out = Vec::new();
        put_len_prefixed(&mut out, b"name");
        assert_eq!(Reader::new(&out).len_prefixed(4), Ok(&b"name"[..]));
        assert!(Reader::new(&out).len_prefixed(3).is_err());
        assert!(Reader::new(&out[..4]).len_prefixed(100).is_err());
    }

    proptest! {
        #[test]
        fn varints_round_trip(value: u64, shift in 0_u32..64, signed: i64, wide: i128) {
            let value = value >> shift;
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(out.len(), varint_len(value));
            put_zigzag(&mut out, signed);
            put_zigzag128(&mut out, wide);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert_eq!(reader.zigzag(), Ok(signed));
            prop_assert_eq!(reader.zigzag128(), Ok(wide));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn readers_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), n: usize) {
            let mut reader = Reader::new(&bytes);
            while reader.varint().is_ok() {}
            let _ = reader.varint128();
            let _ = reader.len_prefixed(n);
            let _ = reader.bytes(n);
            prop_assert!(reader.position() <= bytes.len());
        }
    }
}
