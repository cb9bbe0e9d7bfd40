//! Attributes: names with values of any type, which become texts.

use std::{borrow::Cow, fmt::Write};

use crate::{
    Malformed,
    proto::{BYTES, FIXED64, Fields, VARINT},
};

const KEY: u32 = 1;
const VALUE: u32 = 2;

const STRING: u32 = 1;
const BOOL: u32 = 2;
const INT: u32 = 3;
const DOUBLE: u32 = 4;
const ARRAY: u32 = 5;
const MAP: u32 = 6;
const RAW: u32 = 7;

const ITEMS: u32 = 1;

/// Values nested deeper are refused.
const DEPTH_MAX: usize = 32;

/// A `KeyValue`: its name, and its value as text.
pub(super) fn attribute(body: &[u8], start: usize, end: usize) -> Result<(&[u8], Cow<'_, [u8]>), Malformed> {
    let (name, value) = halves(body, start, end)?;
    let Some((start, end)) = value else {
        return Ok((name, Cow::Borrowed(b"")));
    };
    if let Some(text) = plain_string(body, start, end)? {
        return Ok((name, Cow::Borrowed(text)));
    }
    let mut text = String::new();
    write_value(body, start, end, 0, false, &mut text)?;
    Ok((name, Cow::Owned(text.into_bytes())))
}

/// A name, and where the value is.
type Halves<'a> = (&'a [u8], Option<(usize, usize)>);

fn halves(body: &[u8], start: usize, end: usize) -> Result<Halves<'_>, Malformed> {
    let mut fields = Fields::new(body, start, end);
    let (mut name, mut value) = (&b""[..], None);
    while !fields.is_at_end() {
        let key = fields.key()?;
        match key.field {
            KEY | VALUE => {
                fields.expect(key, BYTES)?;
                let (start, end) = fields.extent()?;
                match key.field {
                    KEY => name = &body[start..end],
                    _ => value = Some((start, end)),
                }
            }
            _ => fields.skip(key)?,
        }
    }
    Ok((name, value))
}

/// The text of a value that is nothing but a string, which most are.
fn plain_string(body: &[u8], start: usize, end: usize) -> Result<Option<&[u8]>, Malformed> {
    let mut fields = Fields::new(body, start, end);
    if fields.is_at_end() {
        return Ok(Some(b""));
    }
    let key = fields.key()?;
    if key.field != STRING {
        return Ok(None);
    }
    fields.expect(key, BYTES)?;
    let text = fields.bytes()?;
    Ok(fields.is_at_end().then_some(text))
}

/// Writes a value; inside of others it is JSON.
fn write_value(
    body: &[u8],
    start: usize,
    end: usize,
    depth: usize,
    quoted: bool,
    out: &mut String,
) -> Result<(), Malformed> {
    if depth > DEPTH_MAX {
        return Err(Malformed { what: "attribute nested too deep", at: start });
    }
    const WRITE: &str = "BUG: writing to a string cannot fail";
    let mut fields = Fields::new(body, start, end);
    let mut any = false;
    while !fields.is_at_end() {
        let key = fields.key()?;
        any = true;
        match key.field {
            STRING | RAW => {
                fields.expect(key, BYTES)?;
                let bytes = fields.bytes()?;
                let text = if key.field == RAW { base64(bytes).into() } else { String::from_utf8_lossy(bytes) };
                if quoted { write_quoted(&text, out) } else { out.push_str(&text) }
            }
            BOOL => {
                fields.expect(key, VARINT)?;
                out.push_str(if fields.varint()? != 0 { "true" } else { "false" });
            }
            INT => {
                fields.expect(key, VARINT)?;
                write!(out, "{}", fields.varint()? as i64).expect(WRITE);
            }
            DOUBLE => {
                fields.expect(key, FIXED64)?;
                write!(out, "{}", f64::from_bits(fields.fixed64()?)).expect(WRITE);
            }
            ARRAY | MAP => {
                fields.expect(key, BYTES)?;
                let (start, end) = fields.extent()?;
                write_items(body, start, end, depth + 1, key.field == MAP, out)?;
            }
            _ => fields.skip(key)?,
        }
    }
    if !any && quoted {
        out.push_str("null");
    }
    Ok(())
}

fn write_items(
    body: &[u8],
    start: usize,
    end: usize,
    depth: usize,
    is_map: bool,
    out: &mut String,
) -> Result<(), Malformed> {
    let mut fields = Fields::new(body, start, end);
    out.push(if is_map { '{' } else { '[' });
    let mut first = true;
    while let Some((start, end)) = super::next(&mut fields, ITEMS)? {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        if is_map {
            let (name, value) = halves(body, start, end)?;
            write_quoted(&String::from_utf8_lossy(name), out);
            out.push(':');
            let (start, end) = value.unwrap_or((start, start));
            write_value(body, start, end, depth, true, out)?;
        } else {
            write_value(body, start, end, depth, true, out)?;
        }
    }
    out.push(if is_map { '}' } else { ']' });
    Ok(())
}

fn write_quoted(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..' ' => write!(out, "\\u{:04x}", u32::from(char)).expect("BUG: writing to a string cannot fail"),
            char => out.push(char),
        }
    }
    out.push('"');
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for n in 0..4 {
            let six = bits >> (18 - 6 * n) & 63;
            out.push(if n <= chunk.len() { char::from(ALPHABET[six as usize]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads() {
        for (bytes, want) in [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("\u{7ff}", "378=")] {
            assert_eq!(base64(bytes.as_bytes()), want);
        }
    }
}
