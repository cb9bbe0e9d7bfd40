//! Columns of partial results as bytes.
//!
//! Each number is told from the one before it by what differs in its bits: a byte that says how many whole bytes are zero at both ends, and the bytes between
//! them. So many equal numbers in a row are one byte and their count: groups without samples, counts that stay.
//!
//! ```text
//! number: | leading zero bytes × 16 + trailing zero bytes u8 | the bytes between |        run: | 0xff u8 | length varint |
//! ```

use codec::bytes::{Malformed, Reader, put_varint};

const RUN: u8 = 0xff;

/// Appends a column.
pub fn pack(numbers: &[f64], out: &mut Vec<u8>) {
    let mut before = 0_u64;
    let mut at = 0;
    while at < numbers.len() {
        let bits = numbers[at].to_bits();
        let differs = bits ^ before;
        if differs == 0 {
            let run = numbers[at..].iter().take_while(|number| number.to_bits() == before).count();
            out.push(RUN);
            put_varint(out, run as u64);
            at += run;
            continue;
        }
        let (leading, trailing) = (differs.leading_zeros() / 8, differs.trailing_zeros() / 8);
        out.push((leading * 16 + trailing) as u8);
        let bytes = differs.to_be_bytes();
        out.extend_from_slice(&bytes[leading as usize..8 - trailing as usize]);
        before = bits;
        at += 1;
    }
}

/// Reads a column of `count` numbers, which must be all of the bytes.
pub fn unpack(bytes: &[u8], count: usize) -> Result<Vec<f64>, Malformed> {
    let mut reader = Reader::new(bytes);
    let mut numbers = Vec::with_capacity(count);
    let mut before = 0_u64;
    while numbers.len() < count {
        let control = reader.u8()?;
        if control == RUN {
            let run = reader.varint_max((count - numbers.len()) as u64, "length of a run")? as usize;
            if run == 0 {
                return Err(reader.malformed("run of nothing"));
            }
            numbers.resize(numbers.len() + run, f64::from_bits(before));
            continue;
        }
        let (leading, trailing) = (usize::from(control >> 4), usize::from(control & 15));
        if leading + trailing > 7 {
            return Err(reader.malformed("number without bytes"));
        }
        let mut differs = [0; 8];
        differs[leading..8 - trailing].copy_from_slice(reader.bytes(8 - leading - trailing)?);
        before ^= u64::from_be_bytes(differs);
        numbers.push(f64::from_bits(before));
    }
    reader.finish()?;
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers() -> impl Strategy<Value = Vec<u64>> {
        let some = prop_oneof![
            any::<u64>(),
            (0..9_u32).prop_map(|small| f64::from(small).to_bits()),
            Just(0x7ff0_0000_0000_0002),
            Just(0)
        ];
        prop::collection::vec((some, 1..5_usize), 0..60)
            .prop_map(|runs| runs.into_iter().flat_map(|(bits, times)| vec![bits; times]).collect())
    }

    proptest! {
        #[test]
        fn columns_come_back_to_the_bit(bits in numbers(), cut: prop::sample::Index) {
            let column: Vec<f64> = bits.iter().map(|bits| f64::from_bits(*bits)).collect();
            let mut packed = Vec::new();
            pack(&column, &mut packed);
            prop_assert!(packed.len() <= 9 * column.len());
            let back = unpack(&packed, column.len()).expect("it comes back");
            prop_assert_eq!(back.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), bits);
            if !packed.is_empty() {
                prop_assert!(unpack(&packed[..cut.index(packed.len())], column.len()).is_err());
            }
        }
    }

    #[test]
    fn what_stays_costs_next_to_nothing() {
        let mut packed = Vec::new();
        pack(&[5.0; 1000], &mut packed);
        assert!(packed.len() <= 8, "{packed:?}");
        assert!(unpack(&[RUN, 0], 1).is_err() && unpack(&[0x44, 1], 1).is_err() && unpack(&[RUN, 2], 1).is_err());
    }
}
