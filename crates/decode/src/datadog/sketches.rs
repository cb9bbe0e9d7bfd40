//! Datadog's sketches: distributions in buckets, sent in protobuf beside series.
//!
//! ```text
//! SketchPayload   1 sketches*
//! Sketch          1 metric  2 host  4 tags*  7 dogsketches*
//! Dogsketch       1 seconds  2 count  3 min  4 max  6 sum  7 bucket numbers*  8 counts in buckets*
//! ```
//!
//! 1. A sketch becomes a summary, as in VictoriaMetrics: the metric with `quantile` for 0.5, 0.75, 0.9, 0.95 and 0.99, `_sum` and `_count`, a sample of
//!    each for every dogsketch.
//! 2. A bucket of number k reaches from γ^(k - bias) to γ times that, γ being 1 + 1/64; negative numbers stand for negative values, zero for zero.
//! 3. A quantile lies where its rank does, on a straight line through its bucket; the first bucket begins at the smallest value and the last one ends at
//!    the largest.

use super::{Datadog, protobuf::each_message, tag};
use crate::{
    Malformed,
    proto::{BYTES, FIXED64, Fields, Key, VARINT},
    rows::{NAME, ReadError, Rows, Sink, Skipped},
};

const SKETCH: u32 = 1;

const METRIC: u32 = 1;
const HOST: u32 = 2;
const TAG: u32 = 4;
const DOGSKETCH: u32 = 7;

const SECONDS: u32 = 1;
const COUNT: u32 = 2;
const MIN: u32 = 3;
const MAX: u32 = 4;
const SUM: u32 = 6;
const NUMBERS: u32 = 7;
const COUNTS: u32 = 8;

const QUANTILES: [(f64, &str); 5] = [(0.5, "0.5"), (0.75, "0.75"), (0.9, "0.9"), (0.95, "0.95"), (0.99, "0.99")];
/// How much wider each bucket is than the one before.
const GAMMA: f64 = 1.0 + 2.0 / 128.0;
/// The smallest value that has a bucket of its own.
const VALUE_MIN: f64 = 0.981e-9;
/// Buckets of a dogsketch; agents send a few thousand at most.
const BUCKETS_MAX: usize = 64 << 10;
/// The number of the bucket of what is too large.
const INFINITE: i64 = i16::MAX as i64;

/// One distribution.
#[derive(Debug, Default, Clone, PartialEq)]
struct Dogsketch {
    seconds: i64,
    count: i64,
    min: f64,
    max: f64,
    sum: f64,
    numbers: Vec<i64>,
    counts: Vec<u64>,
}

impl Datadog {
    /// Reads a body of sketches.
    pub async fn read_sketches<S: Sink>(
        &self,
        body: &[u8],
        rows: &mut Rows,
        sink: &mut S,
    ) -> Result<Skipped, ReadError<S::Error>> {
        each_message(body, SKETCH, rows, sink, |start, end, rows| {
            let sketch = Sketch::read(body, start, end)?;
            Ok(self.summary(&sketch, start, rows))
        })
        .await
    }

    /// Writes a sketch as a summary.
    fn summary(&self, sketch: &Sketch<'_>, at: usize, rows: &mut Rows) -> Result<(), Malformed> {
        let name = if self.sanitize { super::sanitized(sketch.metric) } else { sketch.metric.to_vec() };
        if name.is_empty() {
            return Err(Malformed { what: "a sketch without a metric", at });
        }
        rows.label(b"host", sketch.host);
        sketch.tags.iter().for_each(|text| tag(text, rows));
        let shared = rows.prefix();
        for (quantile, text) in QUANTILES {
            rows.repeat(shared.clone());
            rows.label(NAME, &name);
            rows.label(b"quantile", text.as_bytes());
            sketch.dogsketches.iter().for_each(|one| self.sample(one.seconds as f64, one.quantile(quantile), rows));
            rows.finish()?;
        }
        type Total = fn(&Dogsketch) -> f64;
        let totals: [(&[u8], Total); 2] = [(b"_sum", |one| one.sum), (b"_count", |one| one.count as f64)];
        for (suffix, total) in totals {
            rows.repeat(shared.clone());
            rows.label_of_two(NAME, &name, suffix);
            sketch.dogsketches.iter().for_each(|one| self.sample(one.seconds as f64, total(one), rows));
            rows.finish()?;
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Sketch<'a> {
    metric: &'a [u8],
    host: &'a [u8],
    tags: Vec<&'a [u8]>,
    dogsketches: Vec<Dogsketch>,
}

impl<'a> Sketch<'a> {
    fn read(body: &'a [u8], start: usize, end: usize) -> Result<Self, Malformed> {
        let mut sketch = Self::default();
        let mut fields = Fields::new(body, start, end);
        while !fields.is_at_end() {
            let key = fields.key()?;
            if !matches!(key.field, METRIC | HOST | TAG | DOGSKETCH) {
                fields.skip(key)?;
                continue;
            }
            fields.expect(key, BYTES)?;
            let (start, end) = fields.extent()?;
            match key.field {
                METRIC => sketch.metric = &body[start..end],
                HOST => sketch.host = &body[start..end],
                TAG => sketch.tags.push(&body[start..end]),
                _ => sketch.dogsketches.push(Dogsketch::read(body, start, end)?),
            }
        }
        Ok(sketch)
    }
}

impl Dogsketch {
    fn read(body: &[u8], start: usize, end: usize) -> Result<Self, Malformed> {
        let mut one = Self::default();
        let mut fields = Fields::new(body, start, end);
        while !fields.is_at_end() {
            let key = fields.key()?;
            match key.field {
                SECONDS | COUNT => {
                    fields.expect(key, VARINT)?;
                    let number = fields.varint()? as i64;
                    *(if key.field == SECONDS { &mut one.seconds } else { &mut one.count }) = number;
                }
                MIN | MAX | SUM => {
                    fields.expect(key, FIXED64)?;
                    let value = f64::from_bits(fields.fixed64()?);
                    match key.field {
                        MIN => one.min = value,
                        MAX => one.max = value,
                        _ => one.sum = value,
                    }
                }
                NUMBERS => numbers(&mut fields, body, key, &mut one.numbers, |n| (n >> 1) as i64 ^ -((n & 1) as i64))?,
                COUNTS => numbers(&mut fields, body, key, &mut one.counts, |n| n)?,
                _ => fields.skip(key)?,
            }
        }
        if one.numbers.len() != one.counts.len() {
            return Err(Malformed { what: "a sketch with as many buckets as it has not counts", at: start });
        }
        Ok(one)
    }

    /// The value of a quantile between 0 and 1.
    fn quantile(&self, quantile: f64) -> f64 {
        if self.count <= 0 {
            return 0.0;
        }
        let rank = quantile * (self.count - 1) as f64;
        let mut seen = 0.0;
        for (at, (number, count)) in self.numbers.iter().zip(&self.counts).enumerate() {
            seen += *count as f64;
            if seen <= rank {
                continue;
            }
            let low = if at == 0 { self.min } else { lower_bound(*number) };
            let high = if at + 1 == self.numbers.len() { self.max } else { lower_bound(*number) * GAMMA };
            let share_low = (seen - rank) / *count as f64;
            return low * share_low + high * (1.0 - share_low);
        }
        self.max
    }
}

/// Adds numbers, which come one by one or many in a field.
fn numbers<T>(
    fields: &mut Fields<'_>,
    body: &[u8],
    key: Key,
    into: &mut Vec<T>,
    read: impl Fn(u64) -> T,
) -> Result<(), Malformed> {
    let mut push = |number| {
        into.push(read(number));
        into.len() <= BUCKETS_MAX
    };
    let too_many = |at| Malformed { what: "a sketch of too many buckets", at };
    if key.wire == VARINT {
        let number = fields.varint()?;
        return if push(number) { Ok(()) } else { Err(too_many(fields.at)) };
    }
    fields.expect(key, BYTES)?;
    let (start, end) = fields.extent()?;
    let mut packed = Fields::new(body, start, end);
    while !packed.is_at_end() {
        if !push(packed.varint()?) {
            return Err(too_many(start));
        }
    }
    Ok(())
}

/// Where a bucket begins, seen from zero.
fn lower_bound(number: i64) -> f64 {
    let size = number.unsigned_abs() as i64;
    let bound = match size {
        0 => 0.0,
        size if size >= INFINITE => f64::INFINITY,
        size => GAMMA.powf((size - bias()) as f64),
    };
    if number < 0 { -bound } else { bound }
}

/// The number of the bucket that begins at one.
fn bias() -> i64 {
    1 - (VALUE_MIN.ln() / GAMMA.ln()).floor() as i64
}

#[cfg(test)]
mod tests {
    use super::{super::Version, *};
    use crate::rows::tests::{Batches, ready, show};

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    fn double(number: u8, value: f64) -> Vec<u8> {
        [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
    }

    fn varint(mut number: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
        out
    }

    fn read(body: &[u8]) -> Result<(Vec<String>, u64), ReadError<()>> {
        let (mut rows, mut batches) = (Rows::default(), Batches::default());
        let reader = Datadog::new(Version::Two, 99, true);
        let skipped = ready(reader.read_sketches(body, &mut rows, &mut batches))?;
        Ok((show(&rows), skipped.points))
    }

    #[test]
    fn a_sketch_becomes_a_summary() {
        let one = [&[8, 7, 16, 1][..], &double(3, 4.0), &double(4, 4.0), &double(6, 4.0)].concat();
        let buckets = [field(7, &varint(2 * 1472)), vec![8 << 3, 1]].concat();
        let sketch = |name: &[u8]| {
            [
                field(1, name),
                field(2, b"h"),
                field(4, b"env:prod"),
                field(4, b"host:x"),
                field(7, &[&one[..], &buckets].concat()),
            ]
            .concat()
        };
        let body = [field(1, &sketch(b"a!b")), field(2, b"more"), field(1, &sketch(b""))].concat();
        let (rows, skipped) = read(&body).expect("a good body");
        let labels = "host=h,env=prod,exported_host=x,__name__=a_b";
        let mut want: Vec<String> =
            QUANTILES.iter().map(|(_, text)| format!("{labels},quantile={text} 4@7000")).collect();
        want.extend([format!("{labels}_sum 4@7000"), format!("{labels}_count 1@7000")]);
        assert_eq!((rows, skipped), (want, 1));
        assert!(read(&body[..body.len() - 3]).is_err());
        let uneven = field(1, &[field(1, b"m"), field(7, &[&one[..], &[8 << 3, 1]].concat())].concat());
        assert!(read(&uneven).is_err());
    }

    #[test]
    fn quantiles_lie_in_their_buckets() {
        let sketch = Dogsketch {
            min: 8.0,
            max: 20.0,
            count: 17,
            counts: vec![0, 0, 1, 0, 1, 4, 6, 1, 2, 0, 1, 0, 1],
            numbers: vec![0, 1472, 1473, 1479, 1480, 1503, 1504, 1512, 1513, 1514, 1515, 1531, 1532],
            ..Dogsketch::default()
        };
        // What VictoriaMetrics says of the same sketch, within what its own tests allow.
        for (quantile, want) in [(0.1, 8.96), (0.5, 13.01), (0.75, 14.96), (0.9, 14.96), (0.95, 15.43), (0.99, 15.43)] {
            let value = sketch.quantile(quantile);
            assert!((value - want).abs() < 0.4, "{quantile}: {value}, want {want}");
        }
        assert_eq!(Dogsketch::default().quantile(0.5), 0.0);
        assert_eq!((lower_bound(0), lower_bound(bias()), lower_bound(-bias())), (0.0, 1.0, -1.0));
        assert_eq!(lower_bound(INFINITE), f64::INFINITY);
    }
}
