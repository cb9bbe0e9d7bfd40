//! The values of one slot in a run: a few bytes a sample at a few nanoseconds, every bit kept.
//!
//! An entry begins with a head byte. Its top bit says that the number of the entry's time column follows; the others how the values stand:
//!
//! 1. bits 0–2: how wide a difference is, by [`WIDTHS`]; the last class means that a byte with the width follows ([`UNSIGNED`]: none is negative);
//! 2. bits 3–5: bytes of the first value;
//! 3. bit 6: not plain integers; a kind byte follows the head: [`DECIMAL`] with the exponent of ten, or [`XOR`] with a shift, above the low bit.
//!
//! Then come the kind byte, the width byte, the first value, and the differences, packed in the order of samples, low bits first:
//!
//! - integers below 2^53: zigzag of the first, zigzag (or plain) differences;
//! - decimals: every value is exactly an integer divided by one power of ten; the integers are written as above;
//! - anything else: the top bytes of the first value's bits, then each value's bits XOR those before it, cut on both sides.
//!
//! Equal values have width 0 and cost nothing beyond the first. The length of an entry follows from its head and the number of samples, so
//! that entries can be stepped over without reading them.

/// Widths of differences in bits by class.
const WIDTHS: [u8; 7] = [0, 2, 4, 8, 12, 16, 24];
/// The narrowest class for so many bits.
const CLASS_OF_WIDTH: [u8; 65] = classes();
/// The class whose width stands in a byte of its own.
const CLASS_EXPLICIT: u8 = 7;
/// In the byte with the width: the differences are not zigzag.
const UNSIGNED: u8 = 0x80;
/// Differences of integers below 2^53, zigzag, are below 2^55.
const INT_WIDTH_MAX: u32 = 56;

const HEAD_OTHER: u8 = 0x40;
/// The number of the time column follows the head byte.
pub(super) const HEAD_TIMES: u8 = 0x80;
const DECIMAL: u8 = 0;
const XOR: u8 = 1;

/// Integers up to here are exact in a double, and so are their products with no more than rounding.
const INT_MAX: u64 = 1 << 53;
/// Exponents that are tried, smallest first: digits of decimal gauges, then milliseconds, microseconds and nanoseconds as seconds.
const EXPONENTS: [u8; 6] = [1, 2, 3, 4, 6, 9];
/// Below this, nine digits after the point leave an exact integer.
const FINEST_MAX: f64 = 9e6;
const POWERS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// What an entry takes besides its values: head, time column, kind, width, the first value's length, and the reach of the last store.
const ENTRY_BYTES_FIXED: usize = 1 + super::COLUMN_BYTES + 1 + 1 + 8 + 8;

const fn classes() -> [u8; 65] {
    let mut classes = [CLASS_EXPLICIT; 65];
    let mut class = WIDTHS.len();
    while class > 0 {
        class -= 1;
        let mut width = 0;
        while width <= WIDTHS[class] as usize {
            classes[width] = class as u8;
            width += 1;
        }
    }
    classes
}

/// Readers take 8 bytes at a time: so many zero bytes stand behind the last entry.
pub(super) const PADDING: usize = 8;

/// Writes entries; keeps its scratch memory.
#[derive(Debug, Default)]
pub(super) struct ValueWriter {
    ints: Vec<i64>,
    buffer: Vec<u8>,
}

impl ValueWriter {
    /// Writes an entry, with the number of its time column if it is not that of the entry before.
    #[inline]
    pub(super) fn write(&mut self, values: &[f64], column: Option<u32>, out: &mut Vec<u8>) {
        assert!(!values.is_empty(), "BUG: an entry without values");
        // Made in a buffer that is long enough from the start: so each part is one store, not a growing vector.
        let longest = ENTRY_BYTES_FIXED + values.len() * 8;
        if self.buffer.len() < longest {
            self.buffer.resize(longest.next_power_of_two(), 0);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut pen = Pen { bytes: &mut buffer, at: 1 };
        let times = match column {
            Some(column) => {
                pen.put(u64::from(column), super::COLUMN_BYTES);
                HEAD_TIMES
            }
            None => 0,
        };
        let form = if self.as_integers(values) {
            self.put_integers(None, &mut pen)
        } else if let Some(exponent) = self.as_decimals(values) {
            self.put_integers(Some(exponent), &mut pen)
        } else {
            put_bits(values, &mut pen)
        };
        pen.bytes[0] = times | form;
        let end = pen.at;
        out.extend_from_slice(&buffer[..end]);
        self.buffer = buffer;
    }

    #[inline]
    fn as_integers(&mut self, values: &[f64]) -> bool {
        self.ints.clear();
        self.ints.extend(values.iter().map(|value| *value as i64));
        let exact =
            |(int, value): (&i64, &f64)| (*int as f64).to_bits() == value.to_bits() && int.unsigned_abs() <= INT_MAX;
        self.ints.iter().zip(values).all(exact)
    }

    fn as_decimals(&mut self, values: &[f64]) -> Option<u8> {
        // What is exact with fewer digits is so with more, so one look tells most floats that are no decimals.
        let finest = if values[0].abs() < FINEST_MAX { EXPONENTS[EXPONENTS.len() - 1] } else { EXPONENTS[2] };
        self.scaled_by(finest, &values[..1]).then_some(())?;
        EXPONENTS.into_iter().find(|exponent| self.scaled_by(*exponent, values))
    }

    /// Collects the values times a power of ten; whether they are exactly those integers divided by it.
    fn scaled_by(&mut self, exponent: u8, values: &[f64]) -> bool {
        let power = POWERS[usize::from(exponent)];
        self.ints.clear();
        values.iter().all(|value| {
            let scaled = value * power;
            let int = (scaled + 0.5_f64.copysign(scaled)) as i64;
            self.ints.push(int);
            (int as f64 / power).to_bits() == value.to_bits() && int.unsigned_abs() <= INT_MAX
        })
    }

    /// Writes the collected integers; returns the form for the head.
    #[inline]
    fn put_integers(&self, exponent: Option<u8>, pen: &mut Pen<'_>) -> u8 {
        if let Some(exponent) = exponent {
            pen.put(u64::from(exponent << 1 | DECIMAL), 1);
        }
        let ints = self.ints.as_slice();
        let (mut zigzag_or, mut plain_or) = (0, 0);
        for pair in ints.windows(2) {
            let difference = pair[1] - pair[0];
            zigzag_or |= zigzag(difference);
            plain_or |= difference as u64;
        }
        let (class, unsigned, width) = choose_width(zigzag_or, plain_or, ints.len() - 1);
        if class == CLASS_EXPLICIT {
            pen.put(u64::from(width as u8 | if unsigned { UNSIGNED } else { 0 }), 1);
        }
        let first = zigzag(ints[0]);
        let first_bytes = bit_length(first).div_ceil(8);
        pen.put(first, first_bytes as usize);
        if width > 0 {
            let differences = ints.windows(2).map(|pair| pair[1] - pair[0]);
            pen.pack(
                differences.map(|difference| if unsigned { difference as u64 } else { zigzag(difference) }),
                width,
            );
        }
        let other = if exponent.is_some() { HEAD_OTHER } else { 0 };
        other | (first_bytes as u8) << 3 | class
    }
}

/// Chooses the class, whether to drop the sign, and the width.
#[inline]
fn choose_width(zigzag_or: u64, plain_or: u64, count: usize) -> (u8, bool, u32) {
    let exact = bit_length(zigzag_or);
    debug_assert!(exact <= INT_WIDTH_MAX, "BUG: a difference of {exact} bits");
    let unsigned = plain_or >> 63 == 0;
    let width_explicit = if unsigned { bit_length(plain_or) } else { exact };
    let class = CLASS_OF_WIDTH[exact as usize];
    if class != CLASS_EXPLICIT {
        let width = u32::from(WIDTHS[usize::from(class)]);
        if packed_bytes(count, width) <= packed_bytes(count, width_explicit) + 1 {
            return (class, false, width);
        }
    }
    (CLASS_EXPLICIT, unsigned, width_explicit)
}

/// Writes the bits of any values; returns the form for the head.
fn put_bits(values: &[f64], pen: &mut Pen<'_>) -> u8 {
    let differences = || values.windows(2).map(|pair| pair[0].to_bits() ^ pair[1].to_bits());
    let any = differences().fold(0, |any, difference| any | difference);
    let low_zeros = any.trailing_zeros().min(63);
    let width = if any == 0 { 0 } else { (bit_length(any) - low_zeros).next_multiple_of(8) };
    let shift = low_zeros.min(64 - width).min(63);
    pen.put(u64::from((shift as u8) << 1 | XOR), 1);
    let class = WIDTHS.iter().position(|have| u32::from(*have) == width).map_or(CLASS_EXPLICIT, |class| class as u8);
    if class == CLASS_EXPLICIT {
        pen.put(u64::from(width), 1);
    }
    let first = values[0].to_bits();
    let first_bytes = (8 - first.trailing_zeros() / 8).max(1);
    pen.put(first >> (64 - first_bytes * 8), first_bytes as usize);
    differences().for_each(|difference| pen.put(difference >> shift, width as usize / 8));
    HEAD_OTHER | (first_bytes as u8 - 1) << 3 | class
}

/// Writes into the room of one entry.
struct Pen<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Pen<'_> {
    /// Writes the low bytes of a number. What stands behind is overwritten by the next, or cut off.
    #[inline]
    fn put(&mut self, number: u64, bytes: usize) {
        self.bytes[self.at..self.at + 8].copy_from_slice(&number.to_le_bytes());
        self.at += bytes;
    }

    /// Packs numbers of up to [`INT_WIDTH_MAX`] bits, low bits first, up to a whole byte.
    #[inline]
    fn pack(&mut self, numbers: impl Iterator<Item = u64>, width: u32) {
        let (mut pending, mut bits) = (0, 0);
        for number in numbers {
            pending |= number << bits;
            bits += width;
            self.put(pending, bits as usize / 8);
            // Fewer than 8 bits are left.
            pending = if bits / 8 < 8 { pending >> (bits / 8 * 8) } else { 0 };
            bits %= 8;
        }
        self.put(pending, usize::from(bits > 0));
    }
}

/// How the values of an entry stand, read from its head.
#[derive(Debug, Clone, Copy)]
struct Form {
    kind: Option<u8>,
    first_bytes: usize,
    width: u32,
    unsigned: bool,
    /// Where the first value stands.
    start: usize,
}

impl Form {
    /// Reads the form from an entry's head; `at` is the byte behind it and its time column.
    #[inline]
    fn read(bytes: &[u8], head: u8, mut at: usize) -> Self {
        let kind = (head & HEAD_OTHER != 0).then(|| {
            at += 1;
            bytes[at - 1]
        });
        let is_bits = kind.is_some_and(|kind| kind & 1 == XOR);
        let (width, unsigned) = match head & 7 {
            CLASS_EXPLICIT => {
                at += 1;
                (u32::from(bytes[at - 1] & !UNSIGNED), bytes[at - 1] & UNSIGNED != 0)
            }
            class => (u32::from(WIDTHS[usize::from(class)]), false),
        };
        let first_bytes = usize::from(head >> 3 & 7) + usize::from(is_bits);
        Self { kind, first_bytes, width, unsigned, start: at }
    }

    fn end(&self, count: usize) -> usize {
        self.start + self.first_bytes + packed_bytes(count - 1, self.width)
    }
}

/// Where the entry of `count` samples ends whose head is `head` and whose form begins at `at`.
#[inline]
pub(super) fn skip(bytes: &[u8], head: u8, at: usize, count: usize) -> usize {
    Form::read(bytes, head, at).end(count)
}

/// Adds the values of the entry to `out`; returns where it ends.
#[inline]
pub(super) fn read(bytes: &[u8], head: u8, at: usize, count: usize, out: &mut Vec<f64>) -> usize {
    let form = Form::read(bytes, head, at);
    let first = word(bytes, form.start) & low_mask(form.first_bytes as u32 * 8);
    let differences = form.start + form.first_bytes;
    match form.kind {
        None => put_ints(bytes, &form, first, differences, count, |int| int as f64, out),
        Some(kind) if kind & 1 == DECIMAL => {
            let power = POWERS[usize::from(kind >> 1)];
            put_ints(bytes, &form, first, differences, count, |int| int as f64 / power, out);
        }
        Some(kind) => {
            let mut value = if form.first_bytes == 8 { first } else { first << (64 - form.first_bytes * 8) };
            out.push(f64::from_bits(value));
            for i in 1..count {
                value ^= number(bytes, differences, i - 1, form.width) << (kind >> 1);
                out.push(f64::from_bits(value));
            }
        }
    }
    form.end(count)
}

#[inline]
fn put_ints(
    bytes: &[u8],
    form: &Form,
    first: u64,
    differences: usize,
    count: usize,
    to_value: impl Fn(i64) -> f64,
    out: &mut Vec<f64>,
) {
    let mut int = unzigzag(first);
    if form.width == 0 {
        out.extend(std::iter::repeat_n(to_value(int), count));
        return;
    }
    let next = |i| {
        let coded = number(bytes, differences, i, form.width);
        int += if form.unsigned { coded as i64 } else { unzigzag(coded) };
        to_value(int)
    };
    out.push(to_value(unzigzag(first)));
    out.extend((0..count - 1).map(next));
}

#[inline]
fn number(bytes: &[u8], start: usize, i: usize, width: u32) -> u64 {
    let bit = i * width as usize;
    word(bytes, start + bit / 8) >> (bit % 8) & low_mask(width)
}

#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    u64::from_le_bytes(eight.expect("BUG: an entry beyond its run"))
}

#[inline]
fn low_mask(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

#[inline]
fn packed_bytes(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

#[inline]
fn bit_length(number: u64) -> u32 {
    64 - number.leading_zeros()
}

#[inline]
fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

#[inline]
fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes, reads back, and returns the bytes that the entry took.
    fn round_trip(values: &[f64]) -> usize {
        let mut bytes = vec![0xee; 3];
        let mut writer = ValueWriter::default();
        writer.write(values, Some(0x0003_0201), &mut bytes);
        let end = bytes.len();
        writer.write(&[1.0], None, &mut bytes);
        bytes.extend([0; PADDING]);
        assert_eq!(bytes[3] & HEAD_TIMES, HEAD_TIMES);
        assert_eq!(bytes[4..4 + super::super::COLUMN_BYTES], [1, 2, 3]);
        let mut back = Vec::new();
        let at = 4 + super::super::COLUMN_BYTES;
        assert_eq!(read(&bytes, bytes[3], at, values.len(), &mut back), end);
        assert_eq!(skip(&bytes, bytes[3], at, values.len()), end);
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(values));
        end - at
    }

    #[test]
    fn the_common_shapes_are_small() {
        assert_eq!(round_trip(&[0.0; 20]), 0);
        assert_eq!(round_trip(&[1.0; 20]), 1);
        assert_eq!(round_trip(&[100.0, 101.0, 102.0, 101.0]), 1 + 1);
        assert_eq!(round_trip(&[1e9, 1e9 + 100.0]), 4 + 1);
        assert_eq!(round_trip(&[12.5, 12.25, 12.75]), 1 + 2 + 2);
        assert_eq!(round_trip(&[f64::NAN; 5]), 1 + 2);
        assert!(round_trip(&[std::f64::consts::PI, std::f64::consts::E]) <= 2 + 8 + 8);
    }

    #[test]
    fn odd_values_keep_their_bits() {
        let stale = f64::from_bits(model::STALE_NAN_BITS);
        round_trip(&[-0.0]);
        round_trip(&[0.0, -0.0, 0.0]);
        round_trip(&[1.0, stale]);
        round_trip(&[0.1, stale, 0.1, f64::INFINITY, f64::NEG_INFINITY]);
        round_trip(&[f64::from_bits(u64::MAX), f64::from_bits(1), f64::from_bits(0), f64::MIN_POSITIVE]);
        let limit = INT_MAX as f64;
        round_trip(&[limit, -limit, limit, 0.0]);
        round_trip(&[limit * 2.0, i64::MAX as f64, i64::MIN as f64, u64::MAX as f64, 1e300]);
        round_trip(&[-9_007_199_254_740_991.0 / 1e9, 9_007_199_254_740_991.0 / 1e9]);
    }

    fn any_shape() -> impl Strategy<Value = Vec<f64>> {
        let length = 1..40_usize;
        prop_oneof![
            prop::collection::vec(any::<u64>().prop_map(f64::from_bits), length.clone()),
            prop::collection::vec((-300_i64..300).prop_map(|int| int as f64), length.clone()),
            prop::collection::vec(any::<i64>().prop_map(|int| (int >> 10) as f64), length.clone()),
            (prop::collection::vec(0..5_000_i64, length.clone()), 0..10_usize, any::<i32>()).prop_map(
                |(steps, power, start)| {
                    let sum = steps.iter().scan(i64::from(start), |sum, step| {
                        *sum += step;
                        Some(*sum)
                    });
                    sum.map(|int| int as f64 / POWERS[power]).collect()
                }
            ),
            (any::<f64>(), prop::collection::vec(0..4_u64, length)).prop_map(|(value, steps)| steps
                .iter()
                .map(|step| f64::from_bits(value.to_bits() ^ step << 20))
                .collect()),
        ]
    }

    proptest! {
        #[test]
        fn every_bit_comes_back(values in any_shape()) {
            round_trip(&values);
        }
    }
}
