//! Numbers as text, without the detour over formatting machinery: answers of range queries consist of little else.
//!
//! 1. A whole number up to 2^53 is written digit by digit.
//! 2. Anything else goes through the shortest digits that read back to the same bits; they are laid out anew as each rival lays them out:
//!    VictoriaMetrics never with an exponent, Prometheus with one below 1e-6 and from 1e21 on.
//! 3. What is no number has the names that both use: `NaN`, `+Inf`, `-Inf`.

/// Whole numbers up to this stand in a float exactly.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
/// From here on Prometheus writes an exponent.
const LARGE: f64 = 1e21;
/// Below this, too.
const SMALL: f64 = 1e-6;
/// Digits of the shortest form of any float.
const DIGITS_MAX: usize = 17;

/// How a number is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Always `0.000…` and `1000…`.
    Plain,
    /// With an exponent for very small and very large numbers.
    Exponent,
}

/// Appends a value.
pub fn put_float(out: &mut Vec<u8>, value: f64, layout: Layout) {
    if value.abs() < WHOLE_MAX && value == value.trunc() {
        if value == 0.0 && value.is_sign_negative() {
            out.push(b'-');
        }
        return put_integer(out, value as i64);
    }
    if !value.is_finite() {
        let name: &[u8] = match value {
            _ if value.is_nan() => b"NaN",
            _ if value > 0.0 => b"+Inf",
            _ => b"-Inf",
        };
        return out.extend_from_slice(name);
    }
    let digits = Digits::of(value);
    if value < 0.0 {
        out.push(b'-');
    }
    let with_exponent = layout == Layout::Exponent && !(SMALL..LARGE).contains(&value.abs());
    if with_exponent { digits.put_exponent(out) } else { digits.put_plain(out) }
}

/// Appends milliseconds as seconds with the digits that are needed.
pub fn put_seconds(out: &mut Vec<u8>, ms: i64) {
    put_seconds_with(out, ms, false);
}

/// Appends milliseconds as seconds, whole or with three digits.
pub fn put_seconds_padded(out: &mut Vec<u8>, ms: i64) {
    put_seconds_with(out, ms, true);
}

fn put_seconds_with(out: &mut Vec<u8>, ms: i64, padded: bool) {
    if ms < 0 {
        out.push(b'-');
    }
    let ms = ms.unsigned_abs();
    put_whole(out, ms / 1000);
    let fraction = ms % 1000;
    if fraction == 0 {
        return;
    }
    let digits = [100, 10, 1].map(|unit| b'0' + (fraction / unit % 10) as u8);
    let kept = if padded { 3 } else { digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1) };
    out.push(b'.');
    out.extend_from_slice(&digits[..kept]);
}

/// Appends a whole number with sign.
pub fn put_integer(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    put_whole(out, number.unsigned_abs());
}

/// Appends a whole number.
pub fn put_whole(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    while number >= 100 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if number >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[number as usize]);
    } else {
        at -= 1;
        digits[at] = b'0' + number as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// The digits of the numbers up to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < pairs.len() {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// A finite number as a mantissa, which does not end in zeros, and a power of ten.
pub fn decimal(value: f64) -> (i64, i32) {
    if value == 0.0 {
        return (0, 0);
    }
    let digits = Digits::of(value);
    let mantissa = digits.digits[..digits.len].iter().fold(0, |all, digit| all * 10 + i64::from(digit - b'0'));
    (if value < 0.0 { -mantissa } else { mantissa }, digits.point - digits.len as i32)
}

/// A number `0.d₁d₂d₃… · 10^point`.
struct Digits {
    digits: [u8; DIGITS_MAX],
    len: usize,
    point: i32,
}

impl Digits {
    /// The shortest digits of a finite number other than zero.
    fn of(value: f64) -> Self {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value).trim_start_matches('-');
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().expect("BUG: an exponent is a number");
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut found = Self { digits: [0; DIGITS_MAX], len: 0, point: exponent + whole.len() as i32 };
        for digit in whole.bytes().chain(fraction.bytes()) {
            if found.len == 0 && digit == b'0' {
                found.point -= 1;
            } else if found.len < DIGITS_MAX {
                found.digits[found.len] = digit;
                found.len += 1;
            }
        }
        while found.len > 1 && found.digits[found.len - 1] == b'0' {
            found.len -= 1;
        }
        found
    }

    fn put_plain(&self, out: &mut Vec<u8>) {
        let digits = &self.digits[..self.len];
        if self.point <= 0 {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + self.point.unsigned_abs() as usize, b'0');
            out.extend_from_slice(digits);
        } else if self.point as usize >= self.len {
            out.extend_from_slice(digits);
            out.resize(out.len() + (self.point as usize - self.len), b'0');
        } else {
            let (whole, fraction) = digits.split_at(self.point as usize);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    }

    /// `1.5e-07`: at least two digits of exponent.
    fn put_exponent(&self, out: &mut Vec<u8>) {
        out.push(self.digits[0]);
        if self.len > 1 {
            out.push(b'.');
            out.extend_from_slice(&self.digits[1..self.len]);
        }
        let exponent = self.point - 1;
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        if exponent.abs() < 10 {
            out.push(b'0');
        }
        put_whole(out, u64::from(exponent.unsigned_abs()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("numbers are ASCII")
    }

    #[test]
    fn both_layouts() {
        for (value, plain, exponent) in [
            (0.0, "0", "0"),
            (-0.0, "-0", "-0"),
            (1.0, "1", "1"),
            (-17.25, "-17.25", "-17.25"),
            (0.1, "0.1", "0.1"),
            (1e-6, "0.000001", "0.000001"),
            (9.5e-7, "0.00000095", "9.5e-07"),
            (1e-10, "0.0000000001", "1e-10"),
            (123456789.125, "123456789.125", "123456789.125"),
            (1e20, "100000000000000000000", "100000000000000000000"),
            (1e21, "1000000000000000000000", "1e+21"),
            (-1.5e300, &format!("-15{}", "0".repeat(299)), "-1.5e+300"),
            (9_007_199_254_740_993.0, "9007199254740992", "9007199254740992"),
            (f64::NAN, "NaN", "NaN"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf"),
        ] {
            assert_eq!(text_of(|out| put_float(out, value, Layout::Plain)), plain);
            assert_eq!(text_of(|out| put_float(out, value, Layout::Exponent)), exponent);
        }
    }

    #[test]
    fn between_two_equally_near_the_even_digit_is_taken() {
        let half_way = 4_501_100_869_362_137.0 / -4.0;
        assert_eq!(text_of(|out| put_float(out, half_way, Layout::Plain)), "-1125275217340534.2");
    }

    #[test]
    fn times_are_seconds() {
        for (ms, short, padded) in [
            (0, "0", "0"),
            (1500, "1.5", "1.500"),
            (-1, "-0.001", "-0.001"),
            (1_700_000_000_120, "1700000000.12", "1700000000.120"),
            (60_000, "60", "60"),
        ] {
            assert_eq!(text_of(|out| put_seconds(out, ms)), short);
            assert_eq!(text_of(|out| put_seconds_padded(out, ms)), padded);
        }
    }

    proptest! {
        #[test]
        fn finite_values_read_back_to_the_bit(bits in any::<u64>(), near in -1e6..1e6f64, digits in 0..8u32) {
            let scale = 10f64.powi(digits as i32);
            for value in [f64::from_bits(bits), near, (near * scale).round() / scale] {
                if !value.is_finite() {
                    continue;
                }
                for layout in [Layout::Plain, Layout::Exponent] {
                    let text = text_of(|out| put_float(out, value, layout));
                    prop_assert_eq!(text.parse::<f64>().expect("a number").to_bits(), value.to_bits(), "{}", text);
                }
                // Equally short; between two that are equally near, ours takes the even digit as Go does.
                let ours = text_of(|out| put_float(out, value, Layout::Plain));
                prop_assert_eq!(ours.len(), format!("{value}").len(), "{}", ours);
            }
        }

        #[test]
        fn integers_read_back(number in any::<i64>()) {
            prop_assert_eq!(text_of(|out| put_integer(out, number)), number.to_string());
        }
    }
}
