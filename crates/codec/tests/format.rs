//! Blocks as they were written when a form of the format was new: they must be read for ever.
//!
//! `tests/blocks.txt` has one block a line: name, kind, hexadecimal bytes. What a name stands for is computed here, with
//! integers only. `UPDATE_EXPECT=1` appends the lines that are missing; lines that are there are never changed, whatever
//! the encoder makes of the same values today.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use codec::bytes::Reader;
use codec::{
    Effort, Scratch, Summary, ValueCodec, decode_times, decode_values, decode_values_above, encode_times,
    encode_values, encode_values_above, summarize,
};

/// Well-mixed bits.
fn noise(index: u64) -> u64 {
    let mixed = (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 29)
}

/// The sum of twelve even numbers below `below`: a bell.
fn bell(index: u64, below: u64) -> u64 {
    (0..12).map(|part| noise(index * 12 + part) % below).sum()
}

fn running_sum(count: u64, delta: impl Fn(u64) -> u64) -> Vec<f64> {
    let mut total = 0;
    (0..count)
        .map(|index| {
            total += delta(index);
            total as f64
        })
        .collect()
}

fn columns() -> Vec<(&'static str, Vec<f64>)> {
    let stale = f64::from_bits(codec::STALE_NAN_BITS);
    let mut patched = running_sum(300, |index| noise(index) % 50);
    patched[0] = -0.0;
    patched[7..20].fill(f64::NAN);
    patched[150] = f64::INFINITY;
    patched[200] = f64::from_bits(0x7ff8_dead_beef_0001);
    patched[299] = stale;
    let mut reset = running_sum(400, |index| noise(index) % 1000);
    reset[222..].iter_mut().for_each(|value| *value -= 100_000.0);
    vec![
        ("constant", vec![42.25; 100]),
        ("constant-raw", vec![stale; 3]),
        ("counter", running_sum(700, |index| bell(index, 100))),
        ("counter-idle", running_sum(2600, |index| u64::from(index % 900 == 5))),
        (
            "counter-bursts",
            running_sum(600, |index| if noise(index).is_multiple_of(3) { noise(index) >> 50 } else { 0 }),
        ),
        ("counter-reset", reset),
        ("parabola", (0..2100_u64).map(|index| (index * index * 3) as f64).collect()),
        ("pages", (0..300).map(|index| (noise(index) % 64 * 4096) as f64).collect()),
        ("decimals", (0..400).map(|index| bell(index, 200) as f64 / 100.0).collect()),
        ("huge", (0..50).map(|index| (noise(index) % 1000) as f64 * 1e20).collect()),
        ("patched", patched),
        ("floats", (0..260).map(|index| f64::from_bits(noise(index) >> 12 | 0x3ff0_0000_0000_0000)).collect()),
        ("any-bits", (0..60).map(|index| f64::from_bits(noise(index))).collect()),
        ("bell-floats", (0..520).map(|index| f64::from_bits((0x3ff << 52) + bell(index, 1 << 30))).collect()),
        ("far-apart", (0..600).map(|index| [1.0, 7e7, 3e9, 1e12][noise(index) as usize % 4]).collect()),
        ("odd-multiples", (0..400).map(|index| (noise(index) % 100) as f64 * std::f64::consts::PI).collect()),
        ("bucket", running_sum(500, |index| bell(index, 20) + noise(index) % 3)),
    ]
}

fn timestamps() -> Vec<(&'static str, Vec<i64>)> {
    let start = 1_753_000_000_123;
    let grid = |count: i64| (0..count).map(move |index| start + index * 15_000);
    vec![
        ("single", vec![start]),
        ("aligned", grid(5000).collect()),
        ("gaps", grid(500).filter(|time| time / 15_000 % 31 != 7).collect()),
        ("jittered", grid(600).map(|time| time + (noise(time as u64) % 11) as i64).collect()),
        (
            "no-grid",
            (0..300)
                .scan(start, |time, index| {
                    *time += (noise(index) % 9000) as i64;
                    Some(*time)
                })
                .collect(),
        ),
    ]
}

fn lower_bucket() -> Vec<f64> {
    running_sum(500, |index| bell(index, 20))
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/blocks.txt")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |index: usize| u8::from_str_radix(&text[index..index + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digit).collect()
}

/// Every block that there should be, as the encoder writes it now.
fn blocks() -> Vec<(String, Vec<u8>)> {
    let mut scratch = Scratch::new();
    let mut blocks = Vec::new();
    for (name, values) in columns() {
        for effort in [Effort::Flush, Effort::Merge, Effort::Cold] {
            let mut bytes = Vec::new();
            encode_values(&values, effort, &mut scratch, &mut bytes);
            blocks.push((format!("{name} values-{effort:?}"), bytes));
        }
        let mut bytes = Vec::new();
        summarize(&values).write(&mut bytes);
        blocks.push((format!("{name} summary"), bytes));
    }
    for effort in [Effort::Flush, Effort::Merge] {
        let mut bytes = Vec::new();
        let values = &columns().pop().expect("the bucket is last").1;
        encode_values_above(values, &lower_bucket(), effort, &mut scratch, &mut bytes).expect("buckets are integers");
        blocks.push((format!("bucket above-{effort:?}"), bytes));
    }
    for (name, times) in timestamps() {
        let mut bytes = Vec::new();
        encode_times(&times, &mut bytes);
        blocks.push((format!("{name} times"), bytes));
    }
    blocks
}

fn read(name: &str, kind: &str, bytes: &[u8]) {
    let mut scratch = Scratch::new();
    if kind == "times" {
        let expected = timestamps().into_iter().find(|(other, _)| *other == name).expect("a known name").1;
        let mut times = Vec::new();
        decode_times(bytes, expected.len(), &mut times).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(times, expected, "{name}");
        return;
    }
    let expected = columns().into_iter().find(|(other, _)| *other == name).expect("a known name").1;
    if kind == "summary" {
        let summary = Summary::read(&mut Reader::new(bytes)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(summary, summarize(&expected), "{name}");
        return;
    }
    let mut values = Vec::new();
    let decoded = if kind.starts_with("above") {
        decode_values_above(bytes, &lower_bucket(), &mut scratch, &mut values)
    } else {
        decode_values(bytes, expected.len(), &mut scratch, &mut values)
    };
    decoded.unwrap_or_else(|error| panic!("{name} {kind}: {error}"));
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&values), bits(&expected), "{name} {kind}");
}

#[test]
fn every_block_ever_written_is_read() {
    let mut text = fs::read_to_string(file()).unwrap_or_default();
    let known = |text: &str, key: &str| text.lines().any(|line| line.starts_with(&format!("{key} ")));
    for (key, bytes) in blocks() {
        if !known(&text, &key) {
            assert!(std::env::var_os("UPDATE_EXPECT").is_some(), "no block {key}; UPDATE_EXPECT=1 writes it");
            text.push_str(&format!("{key} {}\n", hex(&bytes)));
        }
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(file(), &text).expect("the file of blocks can be written");
    }
    let mut codecs = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, kind, bytes] = fields[..] else { panic!("a line is name, kind, bytes: {line}") };
        let bytes = unhex(bytes);
        if kind.starts_with("values") {
            codecs.extend(ValueCodec::of(&bytes));
        }
        read(name, kind, &bytes);
    }
    for codec in ValueCodec::ALL {
        assert!(codecs.contains(&codec), "no block is {codec:?}");
    }
}
