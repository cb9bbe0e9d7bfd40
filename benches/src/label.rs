//! Labels in the form in which remote write carries them.
//!
//! A label is kept as the bytes of its `Label` message inside a `TimeSeries` message (tag and length included), so that
//! a body is written by copying. [`decode`] takes such a fragment apart again.

/// Field 1 of `TimeSeries` and of `WriteRequest`, length-delimited.
pub(crate) const FIELD_1_BYTES: u8 = 0x0a;
/// Field 2, length-delimited.
pub(crate) const FIELD_2_BYTES: u8 = 0x12;

/// Appends the fragment of one label. Names and values are shorter than 128 bytes each or take two-byte lengths.
pub(crate) fn encode(name: &str, value: &[u8], out: &mut Vec<u8>) {
    assert!(!name.is_empty() && !value.is_empty(), "an empty label is no label");
    let inner = 1 + varint_length(name.len()) + name.len() + 1 + varint_length(value.len()) + value.len();
    out.push(FIELD_1_BYTES);
    varint(inner as u64, out);
    out.push(FIELD_1_BYTES);
    varint(name.len() as u64, out);
    out.extend_from_slice(name.as_bytes());
    out.push(FIELD_2_BYTES);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Name and value of a fragment that [`encode`] wrote.
pub(crate) fn decode(fragment: &[u8]) -> (&str, &str) {
    let (_, at) = length_at(fragment, 1);
    let (name, rest) = text_at(fragment, at);
    let (value, _) = text_at(fragment, rest);
    (name, value)
}

fn text_at(fragment: &[u8], tag_at: usize) -> (&str, usize) {
    let (length, at) = length_at(fragment, tag_at + 1);
    let text = std::str::from_utf8(&fragment[at..at + length]).expect("labels are written as UTF-8");
    (text, at + length)
}

fn length_at(fragment: &[u8], at: usize) -> (usize, usize) {
    let low = usize::from(fragment[at]);
    if low < 0x80 { (low, at + 1) } else { ((low & 0x7f) | usize::from(fragment[at + 1]) << 7, at + 2) }
}

/// Appends a protobuf varint.
pub(crate) fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn varint_length(length: usize) -> usize {
    assert!(length < 1 << 14, "a label is shorter than 16 KiB");
    if length < 0x80 { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_comes_back() {
        for length in [1, 60, 127, 128, 300] {
            let value = "v".repeat(length);
            let mut fragment = Vec::new();
            encode("pod", value.as_bytes(), &mut fragment);
            assert_eq!(decode(&fragment), ("pod", value.as_str()));
        }
    }
}
