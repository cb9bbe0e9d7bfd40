//! Chunks of samples as Prometheus keeps them in its blocks.
//!
//! 1. Two bytes, big end first: how many samples.
//! 2. The first time as a signed varint and the first value's bits; the second time as the distance from the first, an unsigned varint.
//! 3. Every further time as the change of the distance: `0` for none; `10`, `110`, `1110` and 14, 17, 20 bits; `1111` and 64 bits.
//! 4. Every further value as the exclusive or with the one before: `0` if equal; `10` if its bits lie where those of the last one lay; `11`, five bits of
//!    leading zeros, six bits of length (0 for 64) and the bits otherwise.

use crate::varint::{put_varint, zigzag};

/// Samples of a chunk, as in Prometheus.
pub(super) const SAMPLES_PER_CHUNK: usize = 120;
/// Leading zeros have five bits.
const LEADING_MAX: u32 = 31;
/// Widths of a change of distance, each with the bits that announce it.
const WIDTHS: &[(u32, u64, u32)] = &[(14, 0b10, 2), (17, 0b110, 3), (20, 0b1110, 4)];

/// Writes bits, the highest first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Free bits in the last byte.
    free: u32,
}

impl Bits {
    fn put(&mut self, bits: u64, mut count: u32) {
        while count > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let taken = count.min(self.free);
            let part = bits >> (count - taken) & ((1 << taken) - 1);
            *self.bytes.last_mut().expect("BUG: a byte was just pushed") |= (part << (self.free - taken)) as u8;
            self.free -= taken;
            count -= taken;
        }
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.put(u64::from(*byte), 8));
    }
}

/// A chunk of at least one and at most [`SAMPLES_PER_CHUNK`] samples.
pub(super) fn encode(times: &[i64], values: &[f64]) -> Vec<u8> {
    assert!(!times.is_empty() && times.len() <= SAMPLES_PER_CHUNK && times.len() == values.len(), "BUG: no chunk");
    let mut bits = Bits { bytes: (times.len() as u16).to_be_bytes().to_vec(), free: 0 };
    let mut head = Vec::new();
    put_varint(&mut head, zigzag(times[0]));
    bits.put_bytes(&head);
    bits.put(values[0].to_bits(), 64);
    let mut window = None;
    let mut distance = 0u64;
    for index in 1..times.len() {
        let next = times[index].wrapping_sub(times[index - 1]) as u64;
        if index == 1 {
            head.clear();
            put_varint(&mut head, next);
            bits.put_bytes(&head);
        } else {
            put_change(&mut bits, next.wrapping_sub(distance) as i64);
        }
        distance = next;
        put_value(&mut bits, values[index - 1].to_bits() ^ values[index].to_bits(), &mut window);
    }
    bits.bytes
}

fn put_change(bits: &mut Bits, change: i64) {
    if change == 0 {
        return bits.put(0, 1);
    }
    for (width, mark, mark_bits) in WIDTHS {
        let half = 1i64 << (width - 1);
        if (1 - half..=half).contains(&change) {
            bits.put(*mark, *mark_bits);
            return bits.put(change as u64, *width);
        }
    }
    bits.put(0b1111, 4);
    bits.put(change as u64, 64);
}

/// `window` is leading and trailing zeros of the last value that named them.
fn put_value(bits: &mut Bits, difference: u64, window: &mut Option<(u32, u32)>) {
    if difference == 0 {
        return bits.put(0, 1);
    }
    let (leading, trailing) = (difference.leading_zeros().min(LEADING_MAX), difference.trailing_zeros());
    if let Some((lead, trail)) = *window
        && leading >= lead
        && trailing >= trail
    {
        bits.put(0b10, 2);
        return bits.put(difference >> trail, 64 - lead - trail);
    }
    *window = Some((leading, trailing));
    let len = 64 - leading - trailing;
    bits.put(0b11, 2);
    bits.put(u64::from(leading), 5);
    bits.put(u64::from(len & 63), 6);
    bits.put(difference >> trailing, len);
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads bits, the highest first.
    struct Reader<'a> {
        bytes: &'a [u8],
        at: usize,
    }

    impl Reader<'_> {
        fn take(&mut self, count: usize) -> u64 {
            let mut bits = 0;
            for _ in 0..count {
                bits = bits << 1 | u64::from(self.bytes[self.at / 8] >> (7 - self.at % 8) & 1);
                self.at += 1;
            }
            bits
        }

        fn varint(&mut self) -> u64 {
            let (mut number, mut shift) = (0, 0);
            loop {
                let byte = self.take(8);
                number |= (byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return number;
                }
            }
        }

        fn change(&mut self) -> i64 {
            let ones = (0..4).take_while(|_| self.take(1) == 1).count();
            let width = [0, 14, 17, 20, 64][ones];
            let bits = self.take(width);
            if width == 0 || width == 64 || bits <= 1 << (width - 1) { bits as i64 } else { bits as i64 - (1 << width) }
        }
    }

    /// What a reader makes of a chunk.
    pub(in crate::remote_read) fn decode(chunk: &[u8]) -> Vec<(i64, u64)> {
        let mut reader = Reader { bytes: chunk, at: 0 };
        let count = reader.take(16);
        let zigzag = reader.varint();
        let (mut time, mut value) = ((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64), reader.take(64));
        let mut samples = vec![(time, value)];
        let (mut distance, mut leading, mut trailing) = (0u64, 0, 0);
        for index in 1..count {
            distance = if index == 1 { reader.varint() } else { distance.wrapping_add(reader.change() as u64) };
            time = time.wrapping_add(distance as i64);
            if reader.take(1) == 1 {
                if reader.take(1) == 1 {
                    leading = reader.take(5) as usize;
                    let len = reader.take(6) as usize;
                    trailing = 64 - leading - if len == 0 { 64 } else { len };
                }
                value ^= reader.take(64 - leading - trailing) << trailing;
            }
            samples.push((time, value));
        }
        samples
    }

    #[test]
    fn a_chunk_of_a_prometheus_block() {
        // Two samples: time 1, value 1; 15 s later the same value: one bit.
        let chunk = encode(&[1, 15_001], &[1.0, 1.0]);
        assert_eq!(chunk, [0, 2, 2, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0x98, 0x75, 0]);
    }

    proptest! {
        #[test]
        fn chunks_are_read_back(
            start in -1_000_000_000_000i64..4_000_000_000_000,
            steps in proptest::collection::vec((prop_oneof![Just(15_000i64), 1..20_000i64, 1..100_000_000_000i64], any::<u64>(), 0..4u8), 0..SAMPLES_PER_CHUNK - 1),
        ) {
            let mut samples = vec![(start, 1.5f64)];
            for (distance, bits, kind) in steps {
                let (time, value) = *samples.last().expect("there is a first");
                let next = match kind { 0 => value, 1 => value + 1.0, 2 => (bits % 1000) as f64, _ => f64::from_bits(bits) };
                samples.push((time + distance, next));
            }
            let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
            let want: Vec<(i64, u64)> = samples.iter().map(|(time, value)| (*time, value.to_bits())).collect();
            prop_assert_eq!(decode(&encode(&times, &values)), want);
        }
    }
}
