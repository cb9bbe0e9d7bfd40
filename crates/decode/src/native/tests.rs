//! Blocks as VictoriaMetrics writes them.

use super::*;
use crate::rows::tests::show;

/// An export of VictoriaMetrics 1.79.5: three series, one with escapes, one constant, one with values of every size.
pub(crate) const EXPORT: &[u8] = b"\0\0\0\0\0\0\0\0\0\0\x03\x44\x0d\x05\xcc\xb6\
    \0\0\0\x13na\x01job\x01x\x01inst\x01a\x001b\x01\
    \0\0\0\x25\x80\xa0\xab\xfe\xf9\x62\xc8\x01\x07\x03\x05\x06\x0a\xd0\x0f\0\0\xe8\x07\xcf\x0f\xe8\x07\
    \x0d\xac\x02\x64\x95\x01\xde\x98\x01\x97\xa7\x01\xf8\x0a\
    \0\0\0\x06const\x01\0\0\0\x0f\x80\xa0\xab\xfe\xf9\x62\x0a\x03\0\x02\x03\x02\xd0\x0f\0\
    \0\0\0\x04big\x01\0\0\0\x2a\x80\xa0\xab\xfe\xf9\x62\x80\x80\xa0\xf6\xf4\xac\xdb\xe0\x1b\x03\xb4\x04\x02\x05\x02\xd0\x0f\
    \x12\xff\xff\x9f\xf6\xf4\xac\xdb\xe0\x1b\x80\x80\xa0\xf6\xf4\xac\xdb\xe0\x1b";

fn read(mut bytes: &[u8]) -> Result<(Vec<String>, usize), Malformed> {
    let (mut native, mut rows) = (Native::default(), Rows::default());
    loop {
        let taken = native.read(bytes, &mut rows)?;
        if taken == 0 {
            return Ok((show(&rows), bytes.len()));
        }
        bytes = &bytes[taken..];
    }
}

#[test]
fn an_export_of_victoriametrics_is_read() {
    let (rows, left) = read(EXPORT).expect("a good export");
    let at = |ms: i64| 1_700_000_000_000 + ms;
    let values = [(1.0, 0), (2.5, 1000), (3.0, 2000), (2.25, 3000), (100.0, 4500), (-7.0, 5000), (0.0, 6000)];
    let samples: Vec<_> = values.iter().map(|(value, ms)| format!("{value}@{}", at(*ms))).collect();
    let big = 1e300f64.to_string();
    let want = [
        format!("__name__=na,job=x,inst=a\u{1}b {}", samples.join(" ")),
        format!("__name__=const 5@{} 5@{} 5@{}", at(0), at(1000), at(2000)),
        format!("__name__=big {big}@{} 0@{} 0@{}", at(0), at(1000), at(2000)),
    ];
    assert_eq!((rows, left), (want.to_vec(), 0));
    let (rows, left) = read(&EXPORT[..EXPORT.len() - 1]).expect("a good start");
    assert_eq!((rows.len(), left), (2, 53));
}

fn body(name: &[u8], block: &[u8]) -> Vec<u8> {
    let range = [0u64.to_be_bytes(), (2_000_000_000_000u64 * 2).to_be_bytes()].concat();
    let part = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    [range, part(name), part(block)].concat()
}

#[test]
fn both_heads_are_known_and_values_are_the_nearest() {
    // First time 1, last time 3, first value 5, two rows, power -1, constant steps of 2, constant.
    let wide = [2, 6, 10, 2, 1, STEPS, CONSTANT, 64, 1, 4, 0];
    const STEPS: u8 = 2;
    const CONSTANT: u8 = 3;
    assert_eq!(read(&body(b"m\x01", &wide)).expect("a good body").0, ["__name__=m 0.5@1 0.5@3"]);
    let narrow = [2, 10, 2, 1, STEPS, CONSTANT, 1, 4, 0];
    assert_eq!(read(&body(b"m\x01", &narrow)).expect("a good body").0, ["__name__=m 0.5@1 0.5@3"]);
    let outside = [1, 10, 2, 1, STEPS, CONSTANT, 1, 4, 0];
    assert_eq!(read(&body(b"m\x01", &outside)).expect("a good body").0, ["__name__=m 0.5@1"]);
    assert_eq!(value(3, -1), 0.3);
    assert_eq!(value(30_000_000_000_000_004, -17), 0.30000000000000004);
    assert_eq!(value(5, -324), 5e-324);
    assert_eq!(value(-17, 300), -17e300);
    assert_eq!(value(STALE, 0).to_bits(), STALE_NAN_BITS);
    assert_eq!([value(PLUS_INFINITY, 3), value(MINUS_INFINITY, -3)], [f64::INFINITY, f64::NEG_INFINITY]);
}

#[test]
fn broken_bodies_are_refused() {
    let good = [2, 10, 2, 1, 2, 3, 1, 4, 0];
    for (name, block) in [
        (&b"m"[..], &good[..]),
        (b"m\x01a\x01", &good),
        (b"m\x00x\x01", &good),
        (b"m\x01", &good[..8]),
        (b"m\x01", &[2, 10, 0, 1, 2, 3, 1, 4, 0]),
        (b"m\x01", &[2, 10, 2, 1, 9, 3, 1, 4, 0]),
        (b"m\x01", &[2, 10, 2, 1, 2, 3, 1, 4, 0, 0]),
        (b"m\x01", &[2, 10, 0xff, 0xff, 0x7f, 1, 2, 3, 1, 4, 0]),
        (b"m\x01", &[2, 10, 2, 1, 4, 3, 1, 4, 0]),
        (b"m\x01", b""),
    ] {
        assert!(read(&body(name, block)).is_err(), "{name:?} {block:?}");
    }
    let long = [&[0; 16][..], &[0, 0x20, 0, 0]].concat();
    assert!(read(&long).is_err_and(|error| error.what.contains("1 MiB")));
}
