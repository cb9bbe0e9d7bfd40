//! Percent signs in addresses and paths.

/// The text that a part of an address stands for; `None` if a percent sign is not followed by two digits, or it is no text.
pub fn percent_decoded(part: &str) -> Option<String> {
    let mut out = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        out.push((digit()? << 4 | digit()?) as u8);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_and_wrong_ones_refused() {
        for (part, want) in [
            ("", Some("")),
            ("a+b", Some("a+b")),
            ("%61%2f%2F%25", Some("a//%")),
            ("%c3%bc", Some("ü")),
            ("%c3", None),
            ("%", None),
            ("%4", None),
            ("%4g", None),
            ("%+4", None),
        ] {
            assert_eq!(percent_decoded(part).as_deref(), want, "{part}");
        }
    }
}
