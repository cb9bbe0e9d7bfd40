//! The text of a selector, read piece by piece.

use super::SelectorError;

/// Where we are in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn at_end(&self) -> bool {
        self.rest().is_empty()
    }

    pub(super) fn wrong<T>(&self, what: &str) -> Result<T, SelectorError> {
        Err(SelectorError { what: what.to_string(), at: self.at })
    }

    pub(super) fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    pub(super) fn sees(&self, token: &str) -> bool {
        self.rest().starts_with(token)
    }

    pub(super) fn eat(&mut self, token: &str) -> bool {
        let sees = self.sees(token);
        self.at += if sees { token.len() } else { 0 };
        sees
    }

    /// Whether a word that separates comes next: not the start of a longer name, nor a label of that name.
    pub(super) fn sees_word(&self, word: &str) -> bool {
        let Some(start) = self.rest().get(..word.len()).filter(|start| start.eq_ignore_ascii_case(word)) else {
            return false;
        };
        let behind = &self.rest()[start.len()..];
        !behind.starts_with(is_name) && !behind.trim_start().starts_with(['=', '!'])
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let sees = self.sees_word(word);
        self.at += if sees { word.len() } else { 0 };
        sees
    }

    pub(super) fn at_quote(&self) -> bool {
        self.rest().starts_with(['"', '\'', '`'])
    }

    pub(super) fn at_name(&self) -> bool {
        self.next().is_some_and(|c| is_name(c) && !c.is_ascii_digit() || c == '\\')
    }

    /// A name without quotes; a backslash lets any character in.
    pub(super) fn name(&mut self) -> Result<String, SelectorError> {
        if !self.at_name() {
            return self.wrong("want a name");
        }
        let mut name = String::new();
        while let Some(c) = self.next() {
            if c == '\\' {
                self.at += 1;
                let Some(escaped) = self.next() else {
                    return self.wrong("nothing behind a backslash");
                };
                name.push(escaped);
                self.at += escaped.len_utf8();
            } else if is_name(c) {
                name.push(c);
                self.at += c.len_utf8();
            } else {
                break;
            }
        }
        Ok(name)
    }

    /// A string in quotes.
    pub(super) fn string(&mut self) -> Result<String, SelectorError> {
        let start = self.at;
        let Some(quote) = self.next() else {
            return self.wrong("want a string");
        };
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let Some(c) = self.next() else {
                return Err(SelectorError { what: "string without end".to_string(), at: start });
            };
            if c == '\\' && quote != '`' {
                self.escape(&mut out)?;
                continue;
            }
            self.at += c.len_utf8();
            if c == quote {
                break;
            }
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        String::from_utf8(out).map_err(|_| SelectorError { what: "string that is not UTF-8".to_string(), at: start })
    }

    /// An escape of Go's strings.
    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), SelectorError> {
        let bytes = self.rest().as_bytes();
        let (kind, digits) = (bytes.get(1).copied().unwrap_or(0), &bytes[bytes.len().min(2)..]);
        let simple = match kind {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'\\' | b'"' | b'\'' => kind,
            b'x' => return self.number(out, digits, 2, 16),
            b'u' => return self.number(out, digits, 4, 16),
            b'U' => return self.number(out, digits, 8, 16),
            b'0'..=b'7' => return self.number(out, &bytes[1..], 3, 8),
            _ => return self.wrong("unknown escape"),
        };
        out.push(simple);
        self.at += 2;
        Ok(())
    }

    /// `\x41` and `\101` name bytes, `\u00e4` and `\U000000e4` characters.
    fn number(&mut self, out: &mut Vec<u8>, digits: &[u8], count: usize, radix: u32) -> Result<(), SelectorError> {
        let text = digits.get(..count).and_then(|digits| str::from_utf8(digits).ok());
        let well_formed = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(number) = well_formed.and_then(|text| u32::from_str_radix(text, radix).ok()) else {
            return self.wrong("unknown escape");
        };
        if count < 4 {
            let Ok(byte) = u8::try_from(number) else {
                return self.wrong("unknown escape");
            };
            out.push(byte);
        } else {
            let Some(c) = char::from_u32(number) else {
                return self.wrong("unknown escape");
            };
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        self.at += count + if radix == 8 { 1 } else { 2 };
        Ok(())
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | ':' | '.')
}
