//! The messages of the remote-read protocol, field by field.
//!
//! `ReadRequest { repeated Query queries = 1; repeated ResponseType accepted_response_types = 2 }`,
//! `Query { int64 start_timestamp_ms = 1; int64 end_timestamp_ms = 2; repeated LabelMatcher matchers = 3; ReadHints hints = 4 }`,
//! `LabelMatcher { Type type = 1; string name = 2; string value = 3 }`. Fields that are not known are stepped over.

use model::{MatchOp, Matcher, SeriesKey};

use crate::varint::put_varint;

/// Queries of a request.
const QUERIES_MAX: usize = 1000;
/// Matchers of a query.
const MATCHERS_MAX: usize = 1000;
/// The response type that means chunks in a stream.
const STREAMED_XOR_CHUNKS: u64 = 1;

/// What a reader asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ReadRequest {
    pub(super) queries: Vec<ReadQuery>,
    /// Whether it takes a stream of chunks more gladly than samples.
    pub(super) takes_chunks: bool,
}

/// A query of a reader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ReadQuery {
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) matchers: Vec<Matcher>,
}

/// A field's number and what it holds.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Skipped,
}

/// Reads a request.
pub(super) fn read(body: &[u8]) -> Result<ReadRequest, &'static str> {
    let mut request = ReadRequest::default();
    let mut first_type = None;
    each_field(body, |field, value| {
        match (field, value) {
            (1, Value::Bytes(query)) if request.queries.len() < QUERIES_MAX => request.queries.push(read_query(query)?),
            (1, Value::Bytes(_)) => return Err("too many queries"),
            (2, Value::Number(kind)) => first_type = first_type.or(Some(kind)),
            (2, Value::Bytes(mut packed)) if first_type.is_none() && !packed.is_empty() => {
                first_type = Some(varint(&mut packed)?);
            }
            _ => {}
        }
        Ok(())
    })?;
    // The types stand in the order in which the reader likes them; every other one is samples.
    request.takes_chunks = first_type == Some(STREAMED_XOR_CHUNKS);
    Ok(request)
}

fn read_query(body: &[u8]) -> Result<ReadQuery, &'static str> {
    let mut query = ReadQuery::default();
    each_field(body, |field, value| {
        match (field, value) {
            (1, Value::Number(start)) => query.start_ms = start as i64,
            (2, Value::Number(end)) => query.end_ms = end as i64,
            (3, Value::Bytes(matcher)) if query.matchers.len() < MATCHERS_MAX => {
                query.matchers.push(read_matcher(matcher)?);
            }
            (3, Value::Bytes(_)) => return Err("too many matchers"),
            _ => {}
        }
        Ok(())
    })?;
    Ok(query)
}

fn read_matcher(body: &[u8]) -> Result<Matcher, &'static str> {
    let (mut op, mut name, mut value_text) = (MatchOp::Equal, String::new(), String::new());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| "a matcher is not UTF-8");
    each_field(body, |field, value| {
        match (field, value) {
            (1, Value::Number(kind)) => {
                op = match kind {
                    0 => MatchOp::Equal,
                    1 => MatchOp::NotEqual,
                    2 => MatchOp::Regex,
                    3 => MatchOp::NotRegex,
                    _ => return Err("unknown type of matcher"),
                };
            }
            (2, Value::Bytes(bytes)) => name = text(bytes)?,
            (3, Value::Bytes(bytes)) => value_text = text(bytes)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(Matcher::new(name, op, value_text))
}

fn each_field<'a>(
    mut body: &'a [u8],
    mut take: impl FnMut(u64, Value<'a>) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    while !body.is_empty() {
        let key = varint(&mut body)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut body)?),
            2 => {
                let len = varint(&mut body)?;
                let len = usize::try_from(len).ok().filter(|len| *len <= body.len()).ok_or("length beyond the end")?;
                let (bytes, rest) = body.split_at(len);
                body = rest;
                Value::Bytes(bytes)
            }
            fixed @ (1 | 5) => {
                let len = if fixed == 1 { 8 } else { 4 };
                body = body.get(len..).ok_or("fixed number without end")?;
                Value::Skipped
            }
            _ => return Err("unknown kind of field"),
        };
        take(key >> 3, value)?;
    }
    Ok(())
}

fn varint(body: &mut &[u8]) -> Result<u64, &'static str> {
    let mut number = 0u64;
    for (n, byte) in body.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * n);
        if *byte < 0x80 {
            *body = &body[n + 1..];
            return Ok(number);
        }
    }
    Err("number without end")
}

/// Appends a field with a number; zero is the default and is left out.
pub(super) fn put_number(out: &mut Vec<u8>, field: u64, number: u64) {
    if number != 0 {
        put_varint(out, field << 3);
        put_varint(out, number);
    }
}

/// Appends a field with bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends the labels of a series, by name, as field 1: `Label { string name = 1; string value = 2 }`.
pub(super) fn put_labels(out: &mut Vec<u8>, key: &SeriesKey) {
    let mut labels: Vec<_> = key.labels().collect();
    labels.sort_by(|one, other| one.0.cmp(&other.0));
    let mut label = Vec::new();
    for (name, value) in labels {
        label.clear();
        put_bytes(&mut label, 1, name.as_bytes());
        put_bytes(&mut label, 2, value.as_bytes());
        put_bytes(out, 1, &label);
    }
}

/// Takes `data` as an unpacked request: whatever it is, nothing panics and the result is bounded.
pub(crate) fn fuzz_read_request(data: &[u8]) {
    if let Ok(request) = read(data) {
        assert!(request.queries.len() <= QUERIES_MAX);
        assert!(request.queries.iter().all(|query| query.matchers.len() <= MATCHERS_MAX));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A request as a reader writes it.
    pub(in crate::remote_read) fn request(
        start: i64,
        end: i64,
        matchers: &[(u64, &str, &str)],
        types: &[u8],
    ) -> Vec<u8> {
        let mut query = Vec::new();
        put_number(&mut query, 1, start as u64);
        put_number(&mut query, 2, end as u64);
        for (kind, name, value) in matchers {
            let mut matcher = Vec::new();
            put_number(&mut matcher, 1, *kind);
            put_bytes(&mut matcher, 2, name.as_bytes());
            put_bytes(&mut matcher, 3, value.as_bytes());
            put_bytes(&mut query, 3, &matcher);
        }
        // Hints, with a fixed number that nobody knows.
        put_bytes(&mut query, 4, &[0x08, 0x01, 0x31, 1, 2, 3, 4, 5, 6, 7, 8]);
        let mut body = Vec::new();
        put_bytes(&mut body, 1, &query);
        if !types.is_empty() {
            put_bytes(&mut body, 2, types);
        }
        body
    }

    #[test]
    fn requests_are_read() {
        let body = request(-5, 10, &[(0, "__name__", "up"), (3, "job", "a.*")], &[1, 0]);
        let read = read(&body).expect("a good request");
        assert!(read.takes_chunks);
        let want = ReadQuery {
            start_ms: -5,
            end_ms: 10,
            matchers: vec![Matcher::equal("__name__", "up"), Matcher::new("job", MatchOp::NotRegex, "a.*")],
        };
        assert_eq!(read.queries, [want]);
        assert!(!super::read(&request(0, 1, &[], &[0, 1])).expect("good").takes_chunks);
        assert!(!super::read(&request(0, 1, &[], &[])).expect("good").takes_chunks);
        assert!(super::read(&body[..body.len() - 3]).is_err());
        assert!(super::read(&request(0, 1, &[(9, "a", "b")], &[])).is_err());
    }

    #[test]
    fn fuzzed_requests_break_nothing() {
        let corpus = [request(-5, 10, &[(0, "__name__", "up"), (3, "job", "a.*")], &[1, 0]), request(0, 1, &[], &[])];
        testkit::fuzz::run("read request", &corpus, std::time::Duration::from_secs(1), fuzz_read_request);
    }
}
