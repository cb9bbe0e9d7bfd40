//! A JSON reader that is asked for what comes next, and never holds more than it was given.
//!
//! 1. The text is checked to be UTF-8 once. Strings without escapes are lent out of it, others are unescaped into a new one.
//! 2. Objects and arrays are read member by member; what nobody wants is skipped, to a limited depth.
//! 3. Numbers come as their text, so that everybody parses them as he needs them.

use std::{borrow::Cow, str};

use crate::Malformed;

/// Values nested deeper are refused.
const DEPTH_MAX: usize = 128;

/// What the next value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

/// Reads one text.
#[derive(Debug, Clone)]
pub(crate) struct Json<'a> {
    text: &'a str,
    at: usize,
}

/// Walks the members of an object or an array.
#[derive(Debug)]
pub(crate) struct Members {
    first: bool,
}

impl<'a> Json<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let not_utf8 = |error: str::Utf8Error| Malformed { what: "JSON that is not UTF-8", at: error.valid_up_to() };
        Ok(Self { text: str::from_utf8(bytes).map_err(not_utf8)?, at: 0 })
    }

    pub(crate) fn wrong<T>(&self, what: &'static str) -> Result<T, Malformed> {
        Err(Malformed { what, at: self.at })
    }

    /// The next byte that is no white space; 0 at the end.
    fn next_byte(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied().unwrap_or(0)
    }

    fn take(&mut self, byte: u8, what: &'static str) -> Result<(), Malformed> {
        if self.next_byte() != byte {
            return self.wrong(what);
        }
        self.at += 1;
        Ok(())
    }

    /// What comes next, which is not taken.
    pub(crate) fn peek(&mut self) -> Result<Kind, Malformed> {
        match self.next_byte() {
            b'{' => Ok(Kind::Object),
            b'[' => Ok(Kind::Array),
            b'"' => Ok(Kind::String),
            b'-' | b'0'..=b'9' => Ok(Kind::Number),
            b't' => Ok(Kind::True),
            b'f' => Ok(Kind::False),
            b'n' => Ok(Kind::Null),
            _ => self.wrong("a JSON value is missing"),
        }
    }

    /// Whether nothing but white space is left.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.next_byte() == 0 && self.at >= self.text.len()
    }

    /// Fails if something is left.
    pub(crate) fn end(&mut self) -> Result<(), Malformed> {
        if self.is_at_end() { Ok(()) } else { self.wrong("more behind the JSON value") }
    }

    /// Opens an object.
    pub(crate) fn object(&mut self) -> Result<Members, Malformed> {
        self.take(b'{', "want a JSON object")?;
        Ok(Members { first: true })
    }

    /// The key of the next member of an object, whose value has to be read then.
    pub(crate) fn key(&mut self, members: &mut Members) -> Result<Option<Cow<'a, str>>, Malformed> {
        if !self.next_member(members, b'}')? {
            return Ok(None);
        }
        let key = self.string()?;
        self.take(b':', "a colon is missing")?;
        Ok(Some(key))
    }

    /// Opens an array.
    pub(crate) fn array(&mut self) -> Result<Members, Malformed> {
        self.take(b'[', "want a JSON array")?;
        Ok(Members { first: true })
    }

    /// Whether there is another item, which has to be read then.
    pub(crate) fn item(&mut self, members: &mut Members) -> Result<bool, Malformed> {
        self.next_member(members, b']')
    }

    fn next_member(&mut self, members: &mut Members, end: u8) -> Result<bool, Malformed> {
        let byte = self.next_byte();
        if byte == end {
            self.at += 1;
            return Ok(false);
        }
        if !members.first {
            self.take(b',', "a comma is missing")?;
        }
        members.first = false;
        Ok(true)
    }

    /// A string.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        self.take(b'"', "want a JSON string")?;
        let start = self.at;
        let end = self.plain_end()?;
        if self.text.as_bytes()[end] == b'"' {
            self.at = end + 1;
            return Ok(Cow::Borrowed(&self.text[start..end]));
        }
        let mut owned = self.text[start..end].to_string();
        self.at = end;
        loop {
            self.escape(&mut owned)?;
            let start = self.at;
            let end = self.plain_end()?;
            owned.push_str(&self.text[start..end]);
            self.at = end;
            if self.text.as_bytes()[end] == b'"' {
                self.at = end + 1;
                return Ok(Cow::Owned(owned));
            }
        }
    }

    /// Where the next quote or escape stands.
    fn plain_end(&self) -> Result<usize, Malformed> {
        let rest = &self.text.as_bytes()[self.at..];
        match rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
            Some(len) if rest[len] >= 0x20 => Ok(self.at + len),
            Some(_) => self.wrong("control character in a JSON string"),
            None => self.wrong("JSON string without end"),
        }
    }

    fn escape(&mut self, into: &mut String) -> Result<(), Malformed> {
        let escaped = self.text.as_bytes().get(self.at + 1).copied().unwrap_or(0);
        let char = match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(into),
            _ => return self.wrong("unknown escape in a JSON string"),
        };
        into.push(char);
        self.at += 2;
        Ok(())
    }

    fn unicode_escape(&mut self, into: &mut String) -> Result<(), Malformed> {
        let unit = |at: usize| {
            let hex = self.text.as_bytes().get(at..at + 6)?;
            let digits = hex.strip_prefix(b"\\u")?;
            digits.iter().try_fold(0, |number, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))
        };
        let (char, len) = match unit(self.at) {
            Some(high @ 0xd800..0xdc00) => match unit(self.at + 6) {
                Some(low @ 0xdc00..0xe000) => (char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)), 12),
                _ => (None, 0),
            },
            Some(unit) => (char::from_u32(unit), 6),
            None => (None, 0),
        };
        let Some(char) = char else {
            return self.wrong("broken escape in a JSON string");
        };
        into.push(char);
        self.at += len;
        Ok(())
    }

    /// The text of a number.
    pub(crate) fn number(&mut self) -> Result<&'a str, Malformed> {
        if self.peek()? != Kind::Number {
            return self.wrong("want a JSON number");
        }
        let rest = &self.text[self.at..];
        let in_number = |byte: u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let len = rest.bytes().position(|byte| !in_number(byte)).unwrap_or(rest.len());
        self.at += len;
        Ok(&rest[..len])
    }

    /// Takes one of the words without quotes that JSON does not know, if `means` knows it.
    pub(crate) fn bare_word<T>(&mut self, means: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.next_byte();
        let rest = &self.text[self.at..];
        let in_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+');
        let word = &rest[..rest.bytes().position(|byte| !in_word(byte)).unwrap_or(rest.len())];
        if !word.trim_start_matches(['-', '+']).starts_with(|first: char| first.is_ascii_alphabetic()) {
            return None;
        }
        let meant = means(word)?;
        self.at += word.len();
        Some(meant)
    }

    /// A number as the nearest double.
    pub(crate) fn float(&mut self) -> Result<f64, Malformed> {
        let at = self.at;
        self.number()?.parse().map_err(|_| Malformed { what: "broken JSON number", at })
    }

    /// A whole number; one with a fraction or an exponent is cut to it.
    pub(crate) fn integer(&mut self) -> Result<i64, Malformed> {
        let at = self.at;
        let text = self.number()?;
        let whole = text.parse().ok().or_else(|| text.parse::<f64>().ok().map(|number| number as i64));
        whole.ok_or(Malformed { what: "broken JSON number", at })
    }

    /// A string or a number as a double; senders quote numbers at times.
    pub(crate) fn float_or_text(&mut self) -> Result<f64, Malformed> {
        if self.peek()? != Kind::String {
            return self.float();
        }
        let at = self.at;
        self.string()?.trim().parse().map_err(|_| Malformed { what: "a text that is no number", at })
    }

    /// `true`, `false` or `null`.
    fn word(&mut self, word: &'static str) -> Result<(), Malformed> {
        if !self.text[self.at..].starts_with(word) {
            return self.wrong("unknown JSON word");
        }
        self.at += word.len();
        Ok(())
    }

    /// Takes `null`, if that comes next.
    pub(crate) fn null(&mut self) -> Result<bool, Malformed> {
        let is_null = self.peek()? == Kind::Null;
        if is_null {
            self.word("null")?;
        }
        Ok(is_null)
    }

    /// Skips a value.
    pub(crate) fn skip(&mut self) -> Result<(), Malformed> {
        self.skip_nested(0)
    }

    fn skip_nested(&mut self, depth: usize) -> Result<(), Malformed> {
        if depth > DEPTH_MAX {
            return self.wrong("JSON nested too deep");
        }
        match self.peek()? {
            Kind::Object => {
                let mut members = self.object()?;
                while self.key(&mut members)?.is_some() {
                    self.skip_nested(depth + 1)?;
                }
                Ok(())
            }
            Kind::Array => {
                let mut members = self.array()?;
                while self.item(&mut members)? {
                    self.skip_nested(depth + 1)?;
                }
                Ok(())
            }
            Kind::String => self.string().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::True => self.word("true"),
            Kind::False => self.word("false"),
            Kind::Null => self.word("null"),
        }
    }
}

#[cfg(test)]
mod tests;
