//! Labels as text in messages.

use std::fmt::Write as _;

use crate::labels::Labels;

/// `{__name__="m", a="b"}`; names that are no plain ones stand in quotes.
pub(super) fn in_braces(labels: &Labels) -> String {
    let mut text = String::from("{");
    for (at, (name, value)) in labels.iter().enumerate() {
        if at > 0 {
            text.push_str(", ");
        }
        if is_plain(name) {
            text.push_str(name);
        } else {
            quote(&mut text, name);
        }
        text.push('=');
        quote(&mut text, value);
    }
    text.push('}');
    text
}

fn is_plain(name: &str) -> bool {
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(is_start) && name.bytes().all(|byte| is_start(byte) || byte.is_ascii_digit())
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_quoted_where_they_must_be() {
        let labels: Labels = [("__name__", "m"), ("a.b", "x\"\\\n\u{1}é")].into_iter().collect();
        assert_eq!(in_braces(&labels), "{__name__=\"m\", \"a.b\"=\"x\\\"\\\\\\n\\x01é\"}");
    }
}
