//! One table of bytes a sample and nanoseconds a sample for every class and effort: quicker than criterion and with the
//! sizes beside the speeds. Medians of several passes.

#[path = "classes/mod.rs"]
mod classes;

use std::hint::black_box;

use classes::{Class, columns};
use codec::{Effort, Scratch, decode_values, encode_values, encode_values_above};

const PASSES: usize = 9;

/// Processor time of this thread: other work on the machine must not show in the figures.
#[expect(unsafe_code, reason = "the standard library has no clock for the time of a thread")]
fn thread_nanos() -> u128 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours that lives through the call.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "threads have a clock");
    time.tv_sec as u128 * 1_000_000_000 + time.tv_nsec as u128
}

fn median(mut work: impl FnMut()) -> f64 {
    let mut nanos: Vec<u128> = (0..PASSES)
        .map(|_| {
            let before = thread_nanos();
            work();
            thread_nanos() - before
        })
        .collect();
    nanos.sort_unstable();
    nanos[PASSES / 2] as f64
}

struct Row {
    bytes: usize,
    encode_nanos: f64,
    decode_nanos: f64,
}

fn measure(blocks: &[Vec<f64>], effort: Effort, scratch: &mut Scratch) -> Row {
    let mut coded: Vec<Vec<u8>> = blocks.iter().map(|_| Vec::new()).collect();
    let encode_nanos = median(|| {
        for (block, out) in blocks.iter().zip(&mut coded) {
            out.clear();
            black_box(encode_values(block, effort, scratch, out));
        }
    });
    let mut values = Vec::new();
    let decode_nanos = median(|| {
        for (block, bytes) in blocks.iter().zip(&coded) {
            values.clear();
            decode_values(bytes, block.len(), scratch, &mut values).expect("just encoded");
            black_box(&values);
        }
    });
    Row { bytes: coded.iter().map(Vec::len).sum(), encode_nanos, decode_nanos }
}

/// Columns of a class in a mix of 100.
const fn share(class: Class) -> usize {
    match class {
        Class::Constant | Class::Counter => 35,
        Class::Bucket => 15,
        Class::Gauge => 10,
        Class::FullFloat => 5,
    }
}

fn above(buckets: &[Vec<f64>], effort: Effort, scratch: &mut Scratch) -> usize {
    let mut bytes = 0;
    for group in buckets.chunks(12) {
        let mut out = Vec::new();
        encode_values(&group[0], effort, scratch, &mut out);
        for pair in group.windows(2) {
            encode_values_above(&pair[1], &pair[0], effort, scratch, &mut out).expect("buckets are integers");
        }
        bytes += out.len();
    }
    bytes
}

fn main() {
    // `cargo test` runs benches once to see that they work. Words after `--` choose efforts, classes and block sizes.
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let chosen: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |kind: &[&str], name: String| {
        let asked = chosen.iter().any(|word| kind.contains(&word.as_str()));
        !asked || chosen.contains(&name)
    };
    let mut scratch = Scratch::new();
    for count in if quick { vec![240] } else { vec![8192, 1440, 240] } {
        let copies = if quick { 1 } else { (4 * 8192 / count).clamp(2, 40) };
        println!("blocks of {count}: bytes a sample, ns a sample encode / decode (million samples a second)");
        if !wanted(&["8192", "1440", "240"], count.to_string()) {
            continue;
        }
        for effort in [Effort::Flush, Effort::Merge, Effort::Cold] {
            if !wanted(&["Flush", "Merge", "Cold"], format!("{effort:?}")) {
                continue;
            }
            let mut all = Row { bytes: 0, encode_nanos: 0.0, decode_nanos: 0.0 };
            let mut samples = 0.0;
            for class in Class::ALL {
                if !wanted(&["Constant", "Counter", "Bucket", "Gauge", "FullFloat"], format!("{class:?}")) {
                    continue;
                }
                let blocks = columns(class, share(class) * if effort == Effort::Cold { 1 } else { copies }, count, 1);
                let row = measure(&blocks, effort, &mut scratch);
                let class_samples = (blocks.len() * count) as f64;
                print(&format!("{effort:?} {class:?}"), &row, class_samples);
                if class == Class::Bucket {
                    let bytes = above(&blocks, effort, &mut scratch);
                    println!("  {:22} {:7.4} B", "  above the lower one", bytes as f64 / class_samples);
                }
                all.bytes += row.bytes;
                all.encode_nanos += row.encode_nanos;
                all.decode_nanos += row.decode_nanos;
                samples += class_samples;
            }
            print(&format!("{effort:?} mix"), &all, samples);
        }
    }
}

fn print(name: &str, row: &Row, samples: f64) {
    let (encode, decode) = (row.encode_nanos / samples, row.decode_nanos / samples);
    println!(
        "  {name:22} {:7.4} B  {encode:6.2} / {decode:5.2} ns  ({:5.0} / {:5.0} M/s)",
        row.bytes as f64 / samples,
        1e3 / encode,
        1e3 / decode
    );
}
