//! Percent signs in addresses and paths, and the plain form of a path.

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

/// The same path without repeated slashes, as careless clients and proxies put them together, and without escapes of characters that mean the same
/// escaped and not; `None` if it is plain already. An escaped slash or percent sign stays: it belongs to a name.
pub fn plain_path(path: &str) -> Option<String> {
    if !path.contains("//") && !path.contains('%') {
        return None;
    }
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(letter) = rest.chars().next() {
        let escaped = rest.get(..3).filter(|_| letter == '%').and_then(percent_decoded);
        let meant = escaped.and_then(|text| text.chars().next()).filter(|letter| means_itself(*letter));
        let (letter, length) = meant.map_or((letter, letter.len_utf8()), |letter| (letter, 3));
        rest = &rest[length..];
        if letter != '/' || !plain.ends_with('/') {
            plain.push(letter);
        }
    }
    (plain != path).then_some(plain)
}

/// Whether a character in a path means the same escaped.
fn means_itself(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_' | '~' | ':')
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

    #[test]
    fn paths_become_plain_and_names_in_them_stay() {
        for (path, want) in [
            ("/", None),
            ("/api/v1/label/a%2Fb/values", None),
            ("/a%2525%20%c3%bc", None),
            ("/a%", None),
            ("/a%4", None),
            ("/a%zz", None),
            ("//", Some("/")),
            ("//api/v1///query", Some("/api/v1/query")),
            ("/insert/0/prometheus//api/v1/write", Some("/insert/0/prometheus/api/v1/write")),
            ("/api/v1/%71uery%2f", Some("/api/v1/query%2f")),
            ("/select/0%3A7/x%2D%2F%2Fy", Some("/select/0:7/x-%2F%2Fy")),
            ("/%2571", None),
        ] {
            assert_eq!(plain_path(path).as_deref(), want, "{path}");
        }
    }
}
