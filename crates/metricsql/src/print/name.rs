//! Names and texts.

use crate::{
    lex::{is_name_continue, is_name_start, stray_byte},
    names::is_reserved,
};

/// A text in double quotes, with escapes where they are needed.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            _ => match stray_byte(letter) {
                Some(byte) => quoted.push_str(&format!("\\x{byte:02x}")),
                None if letter.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", letter as u32)),
                None if letter.is_control() => quoted.push_str(&format!("\\u{:04x}", letter as u32)),
                None => quoted.push(letter),
            },
        }
    }
    quoted.push('"');
    quoted
}

/// The name of a function or template; characters that names have not are escaped.
pub(super) fn name(name: &str) -> String {
    let mut written = String::with_capacity(name.len());
    for (at, letter) in name.chars().enumerate() {
        let belongs = if at == 0 { is_name_start(letter) } else { is_name_continue(letter) };
        match letter {
            _ if belongs => written.push(letter),
            _ if letter.is_control() => written.push_str(&format!("\\u{:04x}", letter as u32)),
            // These begin a number behind a backslash.
            'x' | 'X' | 'u' | 'U' => written.push_str(&format!("\\u{:04x}", letter as u32)),
            _ => written.extend(['\\', letter]),
        }
    }
    written
}

/// The name of a label, quoted if it is none of the plain ones.
pub(super) fn label(label: &str) -> String {
    if is_plain(label, false) { label.to_string() } else { quote(label) }
}

/// Whether a metric may be written in front of the braces.
pub(super) fn is_plain_metric(metric: &str) -> bool {
    is_plain(metric, true) && !is_reserved(metric)
}

fn is_plain(name: &str, colons: bool) -> bool {
    let begins = name.starts_with(|letter: char| is_name_start(letter));
    begins && name.chars().all(|letter| is_name_continue(letter) && letter != '.' && (colons || letter != ':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted() {
        assert_eq!(quote("a\"b\\c\nd\u{1}ä"), r#""a\"b\\c\nd\x01ä""#);
        assert_eq!(label("a.b"), "\"a.b\"");
        assert_eq!(name("1a-b"), "\\1a\\-b");
        assert!(is_plain_metric("a:b") && !is_plain_metric("on") && !is_plain_metric("a b"));
    }
}
