//! Amazon Firehose's form of other protocols: records in base64 inside of JSON.
//!
//! ```text
//! {"requestId":"…","timestamp":1700000000000,"records":[{"data":"<base64>"},…]}
//! ```
//!
//! The bytes of all records, one behind the other, are the body. CloudWatch's metric streams put before each message its length as a varint; others send
//! one bare message. A message of OpenTelemetry begins with the key of its only field, so that the two can be told apart.

use crate::{Malformed, base64_decode, json::Json, proto::Fields};

/// What the first byte of a message of OpenTelemetry is: the key of field 1.
const BARE: u8 = 0x0a;

/// Reads the bytes of all records.
pub fn read(body: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut json = Json::new(body)?;
    let mut bytes = Vec::new();
    let mut members = json.object()?;
    while let Some(key) = json.key(&mut members)? {
        if key != "records" {
            json.skip()?;
            continue;
        }
        if json.null()? {
            continue;
        }
        let mut records = json.array()?;
        while json.item(&mut records)? {
            let mut members = json.object()?;
            while let Some(key) = json.key(&mut members)? {
                if key != "data" {
                    json.skip()?;
                    continue;
                }
                let text = json.string()?;
                match base64_decode(&text) {
                    Some(data) => bytes.extend_from_slice(&data),
                    None => return json.wrong("data that are no base64"),
                }
            }
        }
    }
    json.end()?;
    Ok(bytes)
}

/// Where the messages of OpenTelemetry are in the bytes of records.
pub fn messages(bytes: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    if let Some(whole) = prefixed(bytes) {
        return Ok(whole);
    }
    if bytes.first().is_some_and(|byte| *byte != BARE) {
        return Err(Malformed { what: "records that are no messages of OpenTelemetry", at: 0 });
    }
    Ok(vec![bytes])
}

/// The messages if each has its length before it and begins as a message does.
fn prefixed(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Fields::new(bytes, 0, bytes.len());
    let mut found = Vec::new();
    while !fields.is_at_end() {
        let message = fields.bytes().ok()?;
        if message.first().is_some_and(|byte| *byte != BARE) {
            return None;
        }
        found.push(message);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_joined() {
        let body =
            br#"{"requestId":"x","timestamp":5,"records":[{"data":"SGVsbG8sIA==","k":[1]},{"data":"d29ybGQh"}]}"#;
        assert_eq!(read(body), Ok(b"Hello, world!".to_vec()));
        assert_eq!(read(br#"{"records":null}"#), Ok(vec![]));
        for broken in
            [&b""[..], b"[]", br#"{"records":[{"data":"?"}]}"#, br#"{"records":[{"data":5}]}"#, br#"{"records":{"#]
        {
            assert!(read(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn lengths_before_messages_are_found() {
        assert_eq!(messages(&[3, 0x0a, 1, 9, 0, 2, 0x0a, 0]), Ok(vec![&[0x0a, 1, 9][..], &[], &[0x0a, 0]]));
        assert_eq!(messages(&[0x0a, 1, 9]), Ok(vec![&[0x0a, 1, 9][..]]), "a bare message");
        assert_eq!(messages(&[]), Ok(vec![]));
        assert!(messages(&[5, 0x0a]).is_err());
        // A message of ten bytes looks like the key of a bare one, and is told apart by what its own first byte is.
        let ten = [&[10, 0x0a, 8][..], &[0; 8]].concat();
        assert_eq!(messages(&ten), Ok(vec![&ten[1..]]));
    }
}
