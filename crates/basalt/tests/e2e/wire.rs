//! Remote-write bodies, written by hand so that a test knows every byte.

use crate::ledger::{Labels, Ledger};

/// Labels from pairs.
pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// A body under construction, and the ledger of what is in it.
#[derive(Debug, Default)]
pub struct BodyWriter {
    pub body: Vec<u8>,
    pub ledger: Ledger,
}

impl BodyWriter {
    /// Adds a series with its samples.
    pub fn series(&mut self, labels: &Labels, samples: &[(i64, f64)]) -> &mut Self {
        self.body.extend(series(labels, samples.iter().copied()));
        for (time, value) in samples {
            self.ledger.add(labels, *time, *value);
        }
        self
    }
}

/// A series as it stands in a body.
pub fn series(labels: &Labels, samples: impl Iterator<Item = (i64, f64)>) -> Vec<u8> {
    let mut inner = Vec::new();
    for (name, value) in labels {
        let label = [field(0x0a, name.as_bytes()), field(0x12, value.as_bytes())].concat();
        inner.extend(field(0x0a, &label));
    }
    let mut sample = Vec::new();
    for (time, value) in samples {
        sample.clear();
        sample.push(0x09);
        sample.extend_from_slice(&value.to_le_bytes());
        sample.push(0x10);
        varint(time as u64, &mut sample);
        inner.push(0x12);
        varint(sample.len() as u64, &mut inner);
        inner.extend_from_slice(&sample);
    }
    field(0x0a, &inner)
}

/// A length-delimited field.
pub fn field(key: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![key];
    varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
