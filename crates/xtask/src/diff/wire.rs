//! Remote write bodies.

/// Labels and samples of a series.
#[derive(Debug, Clone)]
pub struct Series {
    /// Names and values.
    pub labels: Vec<(String, String)>,
    /// Milliseconds and values.
    pub samples: Vec<(i64, f64)>,
}

const BYTES: u8 = 2;
const FIXED: u8 = 1;
const VARINT: u8 = 0;

/// A `WriteRequest`, packed.
pub fn body(series: &[Series]) -> Vec<u8> {
    let mut request = Vec::new();
    for one in series {
        let mut message = Vec::new();
        let mut labels = one.labels.clone();
        labels.sort();
        for (name, value) in &labels {
            let mut label = Vec::new();
            bytes(&mut label, 1, name.as_bytes());
            bytes(&mut label, 2, value.as_bytes());
            bytes(&mut message, 1, &label);
        }
        for (time, value) in &one.samples {
            let mut sample = vec![1 << 3 | FIXED];
            sample.extend_from_slice(&value.to_le_bytes());
            sample.push(2 << 3 | VARINT);
            varint(&mut sample, *time as u64);
            bytes(&mut message, 2, &sample);
        }
        bytes(&mut request, 1, &message);
    }
    snap::raw::Encoder::new().compress_vec(&request).expect("snappy packs everything")
}

fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    out.push(field << 3 | BYTES);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
