//! Columns of whole numbers.

use super::unzigzag;

const ZSTD_DIFFERENCES_2: u8 = 1;
const STEPS: u8 = 2;
const CONSTANT: u8 = 3;
const ZSTD_DIFFERENCES: u8 = 4;
const DIFFERENCES_2: u8 = 5;
const DIFFERENCES: u8 = 6;

/// A varint is no longer.
const VARINT_BYTES_MAX: usize = 10;

/// Bytes that are read from the front.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn byte(&mut self) -> Result<u8, &'static str> {
        let (first, rest) = self.0.split_first().ok_or("a block that is cut")?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn varint(&mut self) -> Result<u64, &'static str> {
        let mut number = 0;
        for n in 0..VARINT_BYTES_MAX {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << (7 * n);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number without end")
    }

    pub(super) fn signed(&mut self) -> Result<i64, &'static str> {
        self.varint().map(unzigzag)
    }

    /// As many bytes as the number before them says.
    pub(super) fn prefixed(&mut self) -> Result<&'a [u8], &'static str> {
        let len = usize::try_from(self.varint()?).map_err(|_| "a column that is cut")?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or("a column that is cut")?;
        self.0 = rest;
        Ok(taken)
    }
}

/// Reads `rows` numbers, of which the first is known.
pub(super) fn read_column(
    bytes: &[u8],
    kind: u8,
    first: i64,
    rows: usize,
    into: &mut Vec<i64>,
) -> Result<(), &'static str> {
    into.clear();
    match kind {
        CONSTANT if bytes.is_empty() => into.resize(rows, first),
        STEPS => {
            let mut bytes = Bytes(bytes);
            let step = bytes.signed()?;
            if !bytes.0.is_empty() {
                return Err("a column of steps with more than its step");
            }
            into.extend((0..rows as i64).map(|n| first.wrapping_add(step.wrapping_mul(n))));
        }
        DIFFERENCES => differences(bytes, first, rows, into)?,
        DIFFERENCES_2 => differences_2(bytes, first, rows, into)?,
        ZSTD_DIFFERENCES | ZSTD_DIFFERENCES_2 if !bytes.is_empty() => {
            let unpacked = zstd::bulk::decompress(bytes, rows * VARINT_BYTES_MAX);
            let unpacked = unpacked.map_err(|_| "a column that cannot be unpacked")?;
            match kind {
                ZSTD_DIFFERENCES => differences(&unpacked, first, rows, into)?,
                _ => differences_2(&unpacked, first, rows, into)?,
            }
        }
        _ => return Err("a column of an unknown kind"),
    }
    Ok(())
}

fn differences(bytes: &[u8], first: i64, rows: usize, into: &mut Vec<i64>) -> Result<(), &'static str> {
    let (mut bytes, mut number) = (Bytes(bytes), first);
    into.push(number);
    for _ in 1..rows {
        number = number.wrapping_add(bytes.signed()?);
        into.push(number);
    }
    if bytes.0.is_empty() { Ok(()) } else { Err("a column with more numbers than samples") }
}

fn differences_2(bytes: &[u8], first: i64, rows: usize, into: &mut Vec<i64>) -> Result<(), &'static str> {
    let (mut bytes, mut number, mut step) = (Bytes(bytes), first, 0i64);
    into.push(number);
    for _ in 1..rows {
        step = step.wrapping_add(bytes.signed()?);
        number = number.wrapping_add(step);
        into.push(number);
    }
    if bytes.0.is_empty() { Ok(()) } else { Err("a column with more numbers than samples") }
}
