//! Version 2 in protobuf.

use super::{Datadog, tag};
use crate::{
    Malformed,
    proto::{BYTES, FIXED64, Fields, VARINT},
    rows::{ReadError, Rows, Sink, Skipped},
};

const SERIES: u32 = 1;

const RESOURCE: u32 = 1;
const METRIC: u32 = 2;
const TAG: u32 = 3;
const POINT: u32 = 4;
const SOURCE_TYPE: u32 = 7;

/// What became of a message: whether its rows stand there, or why they cannot; the outer error says that the body is broken.
pub(super) type Read = Result<Result<(), Malformed>, Malformed>;

/// Makes rows of each message of a repeated field of a body. One that cannot become rows is left out, and said why.
pub(super) async fn each_message<S: Sink>(
    body: &[u8],
    field: u32,
    rows: &mut Rows,
    sink: &mut S,
    mut read: impl FnMut(usize, usize, &mut Rows) -> Read,
) -> Result<Skipped, ReadError<S::Error>> {
    let mut skipped = Skipped::default();
    let mut fields = Fields::new(body, 0, body.len());
    while !fields.is_at_end() {
        let key = fields.key()?;
        if key.field != field {
            fields.skip(key)?;
            continue;
        }
        fields.expect(key, BYTES)?;
        let (start, end) = fields.extent()?;
        let mark = rows.mark();
        if let Err(why) = read(start, end, rows)? {
            rows.rewind(mark);
            skipped.add(why);
        }
        if rows.is_full() {
            sink.flush(rows).await.map_err(ReadError::Sink)?;
        }
    }
    Ok(skipped)
}

impl Datadog {
    /// Reads a body in protobuf.
    pub async fn read_protobuf<S: Sink>(
        &self,
        body: &[u8],
        rows: &mut Rows,
        sink: &mut S,
    ) -> Result<Skipped, ReadError<S::Error>> {
        each_message(body, SERIES, rows, sink, |start, end, rows| {
            let named = self.protobuf_series(body, start, end, rows)?;
            Ok(finish(named, start, rows))
        })
        .await
    }

    /// Reads a series; says whether it has a name.
    fn protobuf_series(&self, body: &[u8], start: usize, end: usize, rows: &mut Rows) -> Result<bool, Malformed> {
        let mut fields = Fields::new(body, start, end);
        let mut named = false;
        while !fields.is_at_end() {
            let key = fields.key()?;
            if !matches!(key.field, RESOURCE | METRIC | TAG | POINT | SOURCE_TYPE) {
                fields.skip(key)?;
                continue;
            }
            fields.expect(key, BYTES)?;
            let (start, end) = fields.extent()?;
            match key.field {
                METRIC => named = self.name(&body[start..end], rows),
                TAG => tag(&body[start..end], rows),
                SOURCE_TYPE => rows.label(b"source_type_name", &body[start..end]),
                RESOURCE => {
                    let (kind, name) = two_texts(body, start, end)?;
                    if !kind.is_empty() {
                        rows.label(kind, name);
                    }
                }
                _ => {
                    let (value, seconds) = point(body, start, end)?;
                    self.sample(seconds as f64, value, rows);
                }
            }
        }
        Ok(named)
    }
}

fn finish(named: bool, at: usize, rows: &mut Rows) -> Result<(), Malformed> {
    if named { rows.finish() } else { Err(Malformed { what: "a series without a metric", at }) }
}

/// The fields 1 and 2 of a message of texts.
fn two_texts(body: &[u8], start: usize, end: usize) -> Result<(&[u8], &[u8]), Malformed> {
    let mut fields = Fields::new(body, start, end);
    let mut texts = [&b""[..]; 2];
    while !fields.is_at_end() {
        let key = fields.key()?;
        match key.field {
            field @ (1 | 2) => {
                fields.expect(key, BYTES)?;
                texts[field as usize - 1] = fields.bytes()?;
            }
            _ => fields.skip(key)?,
        }
    }
    Ok((texts[0], texts[1]))
}

/// Value and seconds.
fn point(body: &[u8], start: usize, end: usize) -> Result<(f64, i64), Malformed> {
    let mut fields = Fields::new(body, start, end);
    let mut point = (0.0, 0);
    while !fields.is_at_end() {
        let key = fields.key()?;
        match key.field {
            1 => {
                fields.expect(key, FIXED64)?;
                point.0 = f64::from_bits(fields.fixed64()?);
            }
            2 => {
                fields.expect(key, VARINT)?;
                point.1 = fields.varint()? as i64;
            }
            _ => fields.skip(key)?,
        }
    }
    Ok(point)
}

#[cfg(test)]
mod tests {
    use super::{super::Version, *};
    use crate::rows::tests::{Batches, ready, show};

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    fn read(body: &[u8]) -> Result<(Vec<String>, u64), ReadError<()>> {
        let (mut rows, mut batches) = (Rows::default(), Batches::default());
        let reader = Datadog::new(Version::Two, 99, true);
        let skipped = ready(reader.read_protobuf(body, &mut rows, &mut batches))?;
        Ok((show(&rows), skipped.points))
    }

    #[test]
    fn agents_speak_protobuf() {
        let point = [&[0x09][..], &1.5f64.to_le_bytes(), &[0x10, 7]].concat();
        let host = [field(1, b"host"), field(2, b"h")].concat();
        let series = [
            field(1, &host),
            field(2, b"a!b"),
            field(3, b"env:prod"),
            field(4, &point),
            field(4, &[0x09, 0, 0, 0, 0, 0, 0, 0, 0]),
            field(7, b"s"),
        ];
        let nameless = field(4, &point);
        let body = [field(1, &series.concat()), field(1, &nameless), field(9, b"x")].concat();
        let (rows, skipped) = read(&body).expect("a good body");
        assert_eq!(rows, ["host=h,__name__=a_b,env=prod,source_type_name=s 1.5@7000 0@99"]);
        assert_eq!(skipped, 1);
        assert!(read(&body[..body.len() / 2]).is_err());
    }
}
