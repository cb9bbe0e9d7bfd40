//! Quoted texts and names with escapes.
//!
//! A text knows the escapes of Go, inside backquotes none. Escapes can spell bytes that are no UTF-8; each such byte stands as one character
//! of a private range ([`stray_char`]), so that a text stays a `String` and its printed form is what was read.
//! A name may hold `\` in front of a character that names have not, `\xhh` and `\uhhhh`.

/// The first character for bytes that are no UTF-8: byte `b` is `STRAY + b`.
const STRAY: u32 = 0x10_ff00;

/// The character that stands for a byte (128 or more) that is no UTF-8.
fn stray_char(byte: u8) -> char {
    char::from_u32(STRAY + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The byte that a character of a text stands for, if an escape made it and it is no UTF-8. No label may have such a name or value.
pub fn stray_byte(letter: char) -> Option<u8> {
    let byte = (letter as u32).checked_sub(STRAY)?;
    u8::try_from(byte).ok().filter(|byte| *byte >= 0x80)
}

/// The text at the begin of `text` and the length of its quoted form; else the length and what is wrong.
pub(super) fn unquote(text: &str) -> Result<(String, usize), (usize, String)> {
    let quote = text.chars().next().unwrap_or('"');
    if quote == '`' {
        let end = text[1..].find('`').ok_or((text.len(), "unterminated raw text".to_string()))?;
        return Ok((text[1..=end].to_string(), end + 2));
    }
    let mut bytes = Vec::new();
    let mut at = 1;
    loop {
        let Some(letter) = text[at..].chars().next() else { return Err((at, "unterminated text".to_string())) };
        at += letter.len_utf8();
        match letter {
            '\n' => return Err((at - 1, "unterminated text: a line ends in it".to_string())),
            '\\' => at += escape(&text[at..], &mut bytes).ok_or_else(|| (at, unknown_escape(&text[at..])))?,
            _ if letter == quote => return Ok((joined(&bytes), at)),
            _ => bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

fn unknown_escape(rest: &str) -> String {
    match rest.chars().next() {
        Some(letter) => format!("unknown escape \\{letter} in a text"),
        None => "unterminated text".to_string(),
    }
}

/// What stands behind a backslash; gives its length.
fn escape(rest: &str, into: &mut Vec<u8>) -> Option<usize> {
    let simple = match rest.as_bytes().first()? {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        quoted @ (b'\\' | b'\'' | b'"') => *quoted,
        b'x' => return byte_escape(rest.get(1..3)?, 16, into).map(|()| 3),
        b'0'..=b'7' => return byte_escape(rest.get(..3)?, 8, into).map(|()| 3),
        b'u' => return char_escape(rest.get(1..5)?, into).map(|()| 5),
        b'U' => return char_escape(rest.get(1..9)?, into).map(|()| 9),
        _ => return None,
    };
    into.push(simple);
    Some(1)
}

fn byte_escape(digits: &str, radix: u32, into: &mut Vec<u8>) -> Option<()> {
    digits.chars().all(|digit| digit.is_digit(radix)).then_some(())?;
    into.push(u8::from_str_radix(digits, radix).ok()?);
    Some(())
}

fn char_escape(digits: &str, into: &mut Vec<u8>) -> Option<()> {
    digits.chars().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
    let letter = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
    into.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    Some(())
}

fn joined(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| stray_char(*byte)));
    }
    text
}

/// Whether a name may begin with it.
pub(crate) fn is_name_start(letter: char) -> bool {
    letter.is_alphabetic() || letter == '_' || letter == ':'
}

/// Whether a name may go on with it.
pub(crate) fn is_name_continue(letter: char) -> bool {
    is_name_start(letter) || letter.is_ascii_digit() || letter == '.'
}

/// The length of the name at the begin of `text`, if there is one; without colons if `in_window`.
pub(super) fn name_length(text: &str, in_window: bool) -> Option<usize> {
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        let belongs = if at == 0 { is_name_start(letter) } else { is_name_continue(letter) };
        if belongs && !(in_window && letter == ':') {
            at += letter.len_utf8();
            continue;
        }
        let escaped = text[at..].strip_prefix('\\').and_then(name_escape);
        let Some((_, length)) = escaped else { break };
        at += 1 + length;
    }
    (at > 0).then_some(at)
}

/// The character that stands behind a backslash in a name, and its length.
fn name_escape(rest: &str) -> Option<(char, usize)> {
    let letter = rest.chars().next()?;
    let digits = match letter {
        'x' | 'X' => 2,
        'u' | 'U' => 4,
        _ if letter.is_control() => return None,
        _ => return Some((letter, letter.len_utf8())),
    };
    let hex = rest.get(1..1 + digits).filter(|hex| hex.chars().all(|digit| digit.is_ascii_hexdigit()))?;
    let letter = char::from_u32(u32::from_str_radix(hex, 16).ok()?)?;
    Some((letter, 1 + digits))
}

/// A name without its escapes.
pub(crate) fn unescape_name(written: &str) -> String {
    let mut name = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(letter) = rest.chars().next() {
        let length = match rest.strip_prefix('\\').and_then(name_escape) {
            Some((escaped, length)) => {
                name.push(escaped);
                1 + length
            }
            None => {
                name.push(letter);
                letter.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_with_all_escapes() {
        let cases = [
            (r#""plain""#, "plain"),
            (r#"'it\'s "x"'"#, "it's \"x\""),
            (r#""\a\b\f\n\r\t\v\\""#, "\x07\x08\x0c\n\r\t\x0b\\"),
            (r#""\x41\101\u0414\U0001F600""#, "AA\u{414}\u{1f600}"),
            (r#""\xd0\x94""#, "\u{414}"),
            ("`raw \\n \" '\nline`", "raw \\n \" '\nline"),
            ("\"\"", ""),
            ("``", ""),
        ];
        for (written, text) in cases {
            assert_eq!(unquote(written), Ok((text.to_string(), written.len())), "{written}");
        }
    }

    #[test]
    fn broken_texts() {
        for written in
            ["\"open", "'open", "`open", "\"a\nb\"", r#""\q""#, r#""\x4""#, r#""\400""#, r#""\ud800""#, "\"\\"]
        {
            assert!(unquote(written).is_err(), "{written}");
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_are_kept() {
        let (text, _) = unquote(r#""a\xc5z\xff""#).unwrap();
        let strays: Vec<_> = text.chars().map(stray_byte).collect();
        assert_eq!(strays, [None, Some(0xc5), None, Some(0xff)]);
    }

    #[test]
    fn names() {
        let whole = [
            ("foo", "foo"),
            (":a:b", ":a:b"),
            ("температура", "температура"),
            (r"foo\-bar", "foo-bar"),
            (r"\1st", "1st"),
            (r"a\x2cb", "a,b"),
            (r"a\u0414", "a\u{414}"),
            ("a.b.c", "a.b.c"),
        ];
        for (written, name) in whole {
            assert_eq!(name_length(written, false), Some(written.len()), "{written}");
            assert_eq!(unescape_name(written), name);
        }
        assert_eq!(name_length("a:b", true), Some(1));
        assert_eq!(name_length("1a", false), None);
        assert_eq!(name_length(r"\x", false), None);
    }
}
