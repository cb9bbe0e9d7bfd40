//! Points of every kind, and the rows that they become.

use model::STALE_NAN_BITS;

use super::{EXPONENTIAL_HISTOGRAM, GAUGE, HISTOGRAM, Otlp, SUM, values};
use crate::{
    Malformed,
    proto::{BYTES, FIXED64, Fields, Key, VARINT},
    rows::{NAME, Rows, put_pair},
};

/// Set in the flags of a point that says that there is no value.
const NOT_RECORDED: u64 = 1;
const NANOSECONDS_PER_MS: u64 = 1_000_000;

/// A point, in memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Point {
    /// Labels, as pairs.
    labels: Vec<u8>,
    time: u64,
    flags: u64,
    value: Option<f64>,
    count: u64,
    sum: Option<f64>,
    scale: i64,
    zero_count: u64,
    zero_threshold: f64,
    /// Counts of a histogram's buckets; of an exponential one, those of positive values.
    counts: Vec<u64>,
    /// Bounds of a histogram, or quantiles of a summary.
    bounds: Vec<f64>,
    /// Values of a summary's quantiles.
    values: Vec<f64>,
    negative: Vec<u64>,
    positive_offset: i64,
    negative_offset: i64,
}

impl Point {
    fn clear(&mut self) {
        let Self { mut labels, mut counts, mut bounds, mut values, mut negative, .. } = std::mem::take(self);
        labels.clear();
        counts.clear();
        bounds.clear();
        values.clear();
        negative.clear();
        *self = Self { labels, counts, bounds, values, negative, ..Self::default() };
    }
}

/// What the fields of a point are numbered; 0 is none.
struct Numbers {
    attributes: u32,
    flags: u32,
}

impl Otlp<'_> {
    /// Reads a point of a kind.
    pub(super) fn read_point(&mut self, kind: u32, body: &[u8], start: usize, end: usize) -> Result<(), Malformed> {
        self.point.clear();
        let numbers = match kind {
            GAUGE | SUM => Numbers { attributes: 7, flags: 8 },
            HISTOGRAM => Numbers { attributes: 9, flags: 10 },
            EXPONENTIAL_HISTOGRAM => Numbers { attributes: 1, flags: 10 },
            _ => Numbers { attributes: 7, flags: 8 },
        };
        let mut fields = Fields::new(body, start, end);
        while !fields.is_at_end() {
            let key = fields.key()?;
            match key.field {
                field if field == numbers.attributes => {
                    fields.expect(key, BYTES)?;
                    let (start, end) = fields.extent()?;
                    let (name, value) = values::attribute(body, start, end)?;
                    let name = self.label_name(name);
                    put_pair(&mut self.point.labels, &name, &value);
                }
                field if field == numbers.flags => self.point.flags = varint(&mut fields, key)?,
                3 => self.point.time = fixed64(&mut fields, key)?,
                _ => match kind {
                    GAUGE | SUM => self.point.number_field(&mut fields, key)?,
                    HISTOGRAM => self.point.histogram_field(&mut fields, key, body)?,
                    EXPONENTIAL_HISTOGRAM => self.point.exponential_field(&mut fields, key, body)?,
                    _ => self.point.summary_field(&mut fields, key, body)?,
                },
            }
        }
        Ok(())
    }

    /// Writes the rows of the point that was read last.
    pub(super) fn write_point(&self, kind: u32, name: &[u8], rows: &mut Rows) -> Result<(), Malformed> {
        let wrong = |what| Err(Malformed { what, at: 0 });
        if name.is_empty() {
            return wrong("a metric without a name");
        }
        match kind {
            GAUGE | SUM => match self.point.value {
                Some(value) => self.row(rows, name, b"", None, value),
                None if self.point.flags & NOT_RECORDED != 0 => self.row(rows, name, b"", None, 0.0),
                None => wrong("a point without a value"),
            },
            HISTOGRAM => self.write_histogram(name, rows),
            EXPONENTIAL_HISTOGRAM => self.write_exponential(name, rows),
            _ => self.write_summary(name, rows),
        }
    }

    fn row(
        &self,
        rows: &mut Rows,
        name: &[u8],
        suffix: &[u8],
        label: Option<(&[u8], &str)>,
        value: f64,
    ) -> Result<(), Malformed> {
        rows.label_of_two(NAME, name, suffix);
        rows.encoded(&self.resource);
        rows.encoded(&self.point.labels);
        if let Some((name, value)) = label {
            rows.label(name, value.as_bytes());
        }
        let time = i64::try_from(self.point.time / NANOSECONDS_PER_MS).unwrap_or(i64::MAX);
        let stale = self.point.flags & NOT_RECORDED != 0;
        rows.sample(
            if time == 0 { self.now } else { time },
            if stale { f64::from_bits(STALE_NAN_BITS) } else { value },
        );
        rows.finish()
    }

    fn write_histogram(&self, name: &[u8], rows: &mut Rows) -> Result<(), Malformed> {
        let Point { counts, bounds, count, sum, .. } = &self.point;
        self.row(rows, name, b"_count", None, *count as f64)?;
        if let Some(sum) = sum {
            self.row(rows, name, b"_sum", None, *sum)?;
        }
        if counts.is_empty() && bounds.is_empty() {
            // Without buckets, all values are in the one that is always there.
            return self.row(rows, name, b"_bucket", Some((b"le", "+Inf")), *count as f64);
        }
        if counts.len() != bounds.len() + 1 {
            return Err(Malformed { what: "a histogram with as many bounds as buckets", at: 0 });
        }
        let mut below = 0u64;
        for (n, count) in counts.iter().enumerate() {
            below = below.saturating_add(*count);
            let bound = bounds.get(n).map_or("+Inf".to_string(), |bound| decimal(*bound));
            self.row(rows, name, b"_bucket", Some((b"le", &bound)), below as f64)?;
        }
        Ok(())
    }

    fn write_summary(&self, name: &[u8], rows: &mut Rows) -> Result<(), Malformed> {
        let Point { bounds, values, count, sum, .. } = &self.point;
        self.row(rows, name, b"_sum", None, sum.unwrap_or(0.0))?;
        self.row(rows, name, b"_count", None, *count as f64)?;
        for (quantile, value) in bounds.iter().zip(values) {
            self.row(rows, name, b"", Some((b"quantile", &decimal(*quantile))), *value)?;
        }
        Ok(())
    }

    /// Buckets of an exponential histogram end at powers of `2^(2^-scale)`; those that hold something become ranges.
    fn write_exponential(&self, name: &[u8], rows: &mut Rows) -> Result<(), Malformed> {
        let point = &self.point;
        self.row(rows, name, b"_count", None, point.count as f64)?;
        let Some(sum) = point.sum else {
            // Without a sum the buckets are no histogram in the sense of Prometheus.
            return Ok(());
        };
        self.row(rows, name, b"_sum", None, sum)?;
        let mut bucket = |low: f64, high: f64, count: u64| {
            let range = format!("{}...{}", scientific(low), scientific(high));
            self.row(rows, name, b"_bucket", Some((b"vmrange", &range)), count as f64)
        };
        if point.zero_count > 0 {
            bucket(0.0, point.zero_threshold, point.zero_count)?;
        }
        let step = (-(point.scale as f64)).exp2();
        let bound = |offset: i64, n: usize| ((offset as f64 + n as f64) * step).exp2();
        for (n, count) in point.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            bucket(bound(point.positive_offset, n), bound(point.positive_offset, n + 1), *count)?;
        }
        for (n, count) in point.negative.iter().enumerate().filter(|(_, count)| **count > 0) {
            bucket(-bound(point.negative_offset, n + 1), -bound(point.negative_offset, n), *count)?;
        }
        Ok(())
    }
}

impl Point {
    fn number_field(&mut self, fields: &mut Fields<'_>, key: Key) -> Result<(), Malformed> {
        match key.field {
            4 => self.value = Some(f64::from_bits(fixed64(fields, key)?)),
            6 => self.value = Some(fixed64(fields, key)? as i64 as f64),
            _ => fields.skip(key)?,
        }
        Ok(())
    }

    fn histogram_field(&mut self, fields: &mut Fields<'_>, key: Key, body: &[u8]) -> Result<(), Malformed> {
        match key.field {
            4 => self.count = fixed64(fields, key)?,
            5 => self.sum = Some(f64::from_bits(fixed64(fields, key)?)),
            6 => each_fixed64(fields, key, body, |count| self.counts.push(count))?,
            7 => each_fixed64(fields, key, body, |bound| self.bounds.push(f64::from_bits(bound)))?,
            _ => fields.skip(key)?,
        }
        Ok(())
    }

    fn exponential_field(&mut self, fields: &mut Fields<'_>, key: Key, body: &[u8]) -> Result<(), Malformed> {
        match key.field {
            4 => self.count = fixed64(fields, key)?,
            5 => self.sum = Some(f64::from_bits(fixed64(fields, key)?)),
            6 => self.scale = zigzag(varint(fields, key)?),
            7 => self.zero_count = fixed64(fields, key)?,
            8 => self.positive_offset = buckets(fields, key, body, &mut self.counts)?,
            9 => self.negative_offset = buckets(fields, key, body, &mut self.negative)?,
            14 => self.zero_threshold = f64::from_bits(fixed64(fields, key)?),
            _ => fields.skip(key)?,
        }
        Ok(())
    }

    fn summary_field(&mut self, fields: &mut Fields<'_>, key: Key, body: &[u8]) -> Result<(), Malformed> {
        match key.field {
            4 => self.count = fixed64(fields, key)?,
            5 => self.sum = Some(f64::from_bits(fixed64(fields, key)?)),
            6 => {
                fields.expect(key, BYTES)?;
                let (start, end) = fields.extent()?;
                let mut inner = Fields::new(body, start, end);
                let mut halves = [0.0; 2];
                while !inner.is_at_end() {
                    let key = inner.key()?;
                    match key.field {
                        half @ (1 | 2) => halves[half as usize - 1] = f64::from_bits(fixed64(&mut inner, key)?),
                        _ => inner.skip(key)?,
                    }
                }
                self.bounds.push(halves[0]);
                self.values.push(halves[1]);
            }
            _ => fields.skip(key)?,
        }
        Ok(())
    }
}

/// Reads the counts of exponential buckets; gives the offset of the first.
fn buckets(fields: &mut Fields<'_>, key: Key, body: &[u8], counts: &mut Vec<u64>) -> Result<i64, Malformed> {
    fields.expect(key, BYTES)?;
    let (start, end) = fields.extent()?;
    let mut inner = Fields::new(body, start, end);
    let mut offset = 0;
    while !inner.is_at_end() {
        let key = inner.key()?;
        match key.field {
            1 => offset = zigzag(varint(&mut inner, key)?),
            2 if key.wire == VARINT => counts.push(inner.varint()?),
            2 => {
                inner.expect(key, BYTES)?;
                let (start, end) = inner.extent()?;
                let mut packed = Fields::new(body, start, end);
                while !packed.is_at_end() {
                    counts.push(packed.varint()?);
                }
            }
            _ => inner.skip(key)?,
        }
    }
    Ok(offset)
}

/// Reads numbers that stand packed or one by one.
fn each_fixed64(fields: &mut Fields<'_>, key: Key, body: &[u8], mut take: impl FnMut(u64)) -> Result<(), Malformed> {
    if key.wire == FIXED64 {
        take(fields.fixed64()?);
        return Ok(());
    }
    fields.expect(key, BYTES)?;
    let (start, end) = fields.extent()?;
    let mut packed = Fields::new(body, start, end);
    while !packed.is_at_end() {
        take(packed.fixed64()?);
    }
    Ok(())
}

fn fixed64(fields: &mut Fields<'_>, key: Key) -> Result<u64, Malformed> {
    fields.expect(key, FIXED64)?;
    fields.fixed64()
}

fn varint(fields: &mut Fields<'_>, key: Key) -> Result<u64, Malformed> {
    fields.expect(key, VARINT)?;
    fields.varint()
}

fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// The shortest decimal of a bound, without exponent.
fn decimal(number: f64) -> String {
    match number {
        f64::INFINITY => "+Inf".to_string(),
        f64::NEG_INFINITY => "-Inf".to_string(),
        number => number.to_string(),
    }
}

/// Four digits and an exponent of at least two, as ranges have them.
fn scientific(number: f64) -> String {
    let text = format!("{number:.3e}");
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return decimal(number);
    };
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_written_as_others_write_them() {
        for (number, want) in [
            (0.0, "0.000e+00"),
            (1.0, "1.000e+00"),
            (1.0904, "1.090e+00"),
            (2.5e-7, "2.500e-07"),
            (1e300, "1.000e+300"),
        ] {
            assert_eq!(scientific(number), want);
        }
        assert_eq!(scientific(f64::INFINITY), "+Inf");
        assert_eq!([decimal(0.5), decimal(10.0), decimal(1e21)], ["0.5", "10", "1000000000000000000000"]);
        assert_eq!([zigzag(0), zigzag(1), zigzag(2)], [0, -1, 1]);
    }
}
