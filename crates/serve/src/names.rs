//! Names with characters outside `[a-zA-Z0-9_:]`, for readers that do not know them.
//!
//! 1. A reader of `/federate` says in `Accept` how it wants them: as they are (`allow-utf-8`), with `_` in place of what it does not know
//!    (`underscores`, also if it says nothing), with `_dot_` for dots (`dots`), or so that they can be had back (`values`).
//! 2. `values` writes `U__`, then `__` for `_` and `_2e_` for a character by its number. Label names come back to us in this form in paths.

/// How names are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escaping {
    AsTheyAre,
    Underscores,
    Dots,
    Values,
}

const VALUES_PREFIX: &str = "U__";

impl Escaping {
    /// What an `Accept` header asks for.
    pub(crate) fn accepted(header: &str) -> Self {
        let parameters = header.split([',', ';']).filter_map(|part| part.trim().strip_prefix("escaping="));
        let known = |name: &str| match name.trim().trim_matches('"') {
            "allow-utf-8" | "allow-utf8" => Some(Self::AsTheyAre),
            "dots" => Some(Self::Dots),
            "values" => Some(Self::Values),
            "underscores" => Some(Self::Underscores),
            _ => None,
        };
        parameters.into_iter().find_map(known).unwrap_or(Self::Underscores)
    }

    /// The name of this way in `Content-Type`.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::AsTheyAre => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            Self::Underscores => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            Self::Dots => "text/plain; version=0.0.4; charset=utf-8; escaping=dots",
            Self::Values => "text/plain; version=0.0.4; charset=utf-8; escaping=values",
        }
    }

    /// Writes a name.
    pub(crate) fn escape(self, name: &str) -> String {
        let known = |(index, c): (usize, char)| is_known(index, c);
        let mut out = String::with_capacity(name.len());
        match self {
            Self::AsTheyAre => out.push_str(name),
            Self::Underscores => out.extend(name.chars().enumerate().map(|one| if known(one) { one.1 } else { '_' })),
            Self::Dots => {
                for (index, c) in name.chars().enumerate() {
                    match c {
                        '_' => out.push_str("__"),
                        '.' => out.push_str("_dot_"),
                        c if known((index, c)) => out.push(c),
                        _ => out.push_str("__"),
                    }
                }
            }
            Self::Values if is_plain(name) => out.push_str(name),
            Self::Values => {
                out.push_str(VALUES_PREFIX);
                for (index, c) in name.chars().enumerate() {
                    match c {
                        '_' => out.push_str("__"),
                        c if known((index, c)) => out.push(c),
                        c => out.push_str(&format!("_{:x}_", u32::from(c))),
                    }
                }
            }
        }
        out
    }
}

/// Whether every reader knows the name.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().enumerate().all(|(index, c)| is_known(index, c))
}

fn is_known(index: usize, c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':' || (c.is_ascii_digit() && index > 0)
}

/// A name as [`Escaping::Values`] wrote it; any other as it stands.
pub(crate) fn unescape(name: &str) -> String {
    name.strip_prefix(VALUES_PREFIX).and_then(unescape_values).unwrap_or_else(|| name.to_string())
}

fn unescape_values(escaped: &str) -> Option<String> {
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('_') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (number, behind) = rest.split_once('_')?;
        out.push(if number.is_empty() { '_' } else { char::from_u32(u32::from_str_radix(number, 16).ok()?)? });
        rest = behind;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_written_in_four_ways() {
        for (name, underscores, dots, values) in [
            ("plain_name:x", "plain_name:x", "plain__name:x", "plain_name:x"),
            ("http.requests", "http_requests", "http_dot_requests", "U__http_2e_requests"),
            ("1up_ü", "_up__", "__up____", "U___31_up___fc_"),
        ] {
            assert_eq!(Escaping::Underscores.escape(name), underscores);
            assert_eq!(Escaping::Dots.escape(name), dots);
            assert_eq!(Escaping::Values.escape(name), values);
            assert_eq!(Escaping::AsTheyAre.escape(name), name);
        }
    }

    #[test]
    fn readers_say_what_they_take() {
        for (header, want) in [
            ("", Escaping::Underscores),
            ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", Escaping::Underscores),
            ("text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6", Escaping::AsTheyAre),
            ("text/plain; escaping=values", Escaping::Values),
            ("text/plain;escaping=dots", Escaping::Dots),
        ] {
            assert_eq!(Escaping::accepted(header), want, "{header}");
        }
    }

    #[test]
    fn what_is_not_escaped_stays() {
        for name in ["job", "U__", "U__a_zz_", "U__a_2e", "U__d800_x"] {
            let kept = unescape(name);
            assert!(kept == name || name == "U__", "{name}: {kept}");
        }
    }

    proptest! {
        #[test]
        fn values_come_back(name in "[a-zA-Z0-9_.:\u{e4}\u{1f600} -]{1,20}") {
            prop_assert_eq!(unescape(&Escaping::Values.escape(&name)), if name.starts_with(VALUES_PREFIX) && is_plain(&name) { unescape(&name) } else { name.clone() });
        }
    }
}
