//! What every match of a pattern must contain, found once, so that the automaton sees few values.
//!
//! 1. A pattern that means finitely many texts (`a|b|c`, `foo(bar|baz)`, `[ab]x?`) is the list of them.
//! 2. Else its *prefix* is what all matches begin with: it narrows the sorted values to a range.
//! 3. Else its *inner* literal is the longest text that all matches contain: a substring scan finds the candidates.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Texts that one pattern may be replaced by.
const TEXTS_MAX: usize = 100_000;
/// Bytes of all of them.
const TEXT_BYTES_MAX: usize = 8 << 20;
/// Factors beyond this come from classes rather than from lists that somebody wrote.
const PRODUCT_MAX: usize = 4_096;
/// A shorter inner literal costs more than it saves.
pub(super) const INNER_BYTES_MIN: usize = 3;

type Text = Vec<u8>;

/// All texts that the pattern matches as a whole, or `None` if they are too many.
pub(super) fn enumerate(hir: &Hir) -> Option<Vec<Text>> {
    let texts = match hir.kind() {
        HirKind::Empty => vec![Text::new()],
        HirKind::Literal(literal) => vec![literal.0.to_vec()],
        HirKind::Class(class) => class_texts(class)?,
        HirKind::Capture(capture) => enumerate(&capture.sub)?,
        HirKind::Look(_) => return None,
        HirKind::Repetition(repetition) => {
            let (min, max) = (repetition.min as usize, repetition.max? as usize);
            if max > 16 {
                return None;
            }
            let once = enumerate(&repetition.sub)?;
            let mut power = vec![Text::new()];
            let mut texts = if min == 0 { power.clone() } else { Vec::new() };
            for count in 1..=max {
                power = product(&power, &once)?;
                if count >= min {
                    texts.extend_from_slice(&power);
                }
            }
            texts
        }
        HirKind::Concat(parts) => {
            let mut texts = vec![Text::new()];
            for part in parts {
                texts = product(&texts, &enumerate(part)?)?;
            }
            texts
        }
        HirKind::Alternation(branches) => {
            let mut texts = Vec::new();
            for branch in branches {
                texts.append(&mut enumerate(branch)?);
                check_size(&texts)?;
            }
            texts
        }
    };
    check_size(&texts)?;
    Some(texts)
}

fn check_size(texts: &[Text]) -> Option<()> {
    let fits = texts.len() <= TEXTS_MAX && texts.iter().map(Vec::len).sum::<usize>() <= TEXT_BYTES_MAX;
    fits.then_some(())
}

fn product(heads: &[Text], tails: &[Text]) -> Option<Vec<Text>> {
    let count = heads.len().checked_mul(tails.len())?;
    if count > TEXTS_MAX || (heads.len() > 1 && tails.len() > 1 && count > PRODUCT_MAX) {
        return None;
    }
    let bytes = |texts: &[Text]| texts.iter().map(Vec::len).sum::<usize>();
    if bytes(heads) * tails.len() + bytes(tails) * heads.len() > TEXT_BYTES_MAX {
        return None;
    }
    Some(heads.iter().flat_map(|head| tails.iter().map(move |tail| [head.as_slice(), tail].concat())).collect())
}

fn class_texts(class: &Class) -> Option<Vec<Text>> {
    let Class::Unicode(class) = class else { return None };
    let count: usize = class.iter().map(|range| range.len()).sum();
    if count > PRODUCT_MAX {
        return None;
    }
    let chars = class.iter().flat_map(|range| range.start()..=range.end());
    Some(chars.map(|c| c.encode_utf8(&mut [0; 4]).as_bytes().to_vec()).collect())
}

/// What all matches begin with.
pub(super) fn prefix(hir: &Hir) -> Text {
    let mut out = Text::new();
    push_prefix(hir, &mut out);
    out
}

/// Appends what all matches of `hir` begin with; whether that is all that `hir` matches.
fn push_prefix(hir: &Hir, out: &mut Text) -> bool {
    match hir.kind() {
        // An assertion takes no text; that it may fail only makes matches fewer.
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => {
            out.extend_from_slice(&literal.0);
            true
        }
        HirKind::Capture(capture) => push_prefix(&capture.sub, out),
        HirKind::Concat(parts) => parts.iter().all(|part| push_prefix(part, out)),
        HirKind::Repetition(repetition) if repetition.min > 0 => {
            push_prefix(&repetition.sub, out) && repetition.min == 1 && repetition.max == Some(1)
        }
        HirKind::Alternation(branches) => {
            let common = branches.iter().map(prefix).reduce(|a, b| {
                let shared = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
                a[..shared].to_vec()
            });
            out.extend_from_slice(&common.unwrap_or_default());
            false
        }
        HirKind::Class(_) | HirKind::Repetition(_) => false,
    }
}

/// The longest literal that all matches contain.
pub(super) fn inner(hir: &Hir) -> Option<Text> {
    let longer = |a: Text, b: Text| if b.len() > a.len() { b } else { a };
    match hir.kind() {
        HirKind::Literal(literal) => Some(literal.0.to_vec()),
        HirKind::Capture(capture) => inner(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => inner(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(inner).reduce(longer),
        _ => None,
    }
}

/// Whether the pattern is `.*` for texts that are UTF-8.
pub(super) fn is_anything(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Repetition(repetition) => {
            repetition.min == 0 && repetition.max.is_none() && is_any_char(&repetition.sub)
        }
        HirKind::Capture(capture) => is_anything(&capture.sub),
        _ => false,
    }
}

/// Whether the pattern is `.+`.
pub(super) fn is_something(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Repetition(repetition) => {
            repetition.min == 1 && repetition.max.is_none() && is_any_char(&repetition.sub)
        }
        HirKind::Capture(capture) => is_something(&capture.sub),
        _ => false,
    }
}

fn is_any_char(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            matches!(class.ranges(), [all] if all.start() == '\0' && all.end() == char::MAX)
        }
        HirKind::Capture(capture) => is_any_char(&capture.sub),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pattern: &str) -> Hir {
        crate::selector::re2::parse(pattern).expect("a good pattern")
    }

    #[test]
    fn finite_patterns_are_lists() {
        let list = |pattern: &str| {
            let mut texts = enumerate(&parse(pattern))?;
            texts.sort();
            Some(texts.into_iter().map(|text| String::from_utf8(text).expect("text")).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(list("a|b|c").as_deref(), Some("a b c"));
        assert_eq!(list("foo(bar|baz)").as_deref(), Some("foobar foobaz"));
        assert_eq!(list("[ab]x?").as_deref(), Some("a ax b bx"));
        assert_eq!(list("a{2,3}").as_deref(), Some("aa aaa"));
        assert_eq!(list("ä\\.").as_deref(), Some("ä."));
        assert_eq!(list("(?i)k8").as_deref(), Some("K8 k8 \u{212a}8"));
        assert_eq!(list("a|").as_deref(), Some(" a"));
        for infinite in ["a.*", ".", "a+", "^a", "[a-z]{9}", "\\w\\w\\w"] {
            assert_eq!(list(infinite), None, "{infinite}");
        }
        let many = (0..20_000).map(|i| format!("pod-{i}")).collect::<Vec<_>>().join("|");
        assert_eq!(enumerate(&parse(&many)).map(|texts| texts.len()), Some(20_000));
    }

    #[test]
    fn prefixes_and_inner_literals() {
        let prefix = |pattern: &str| String::from_utf8(prefix(&parse(pattern))).expect("text");
        assert_eq!(prefix("foo.*"), "foo");
        assert_eq!(prefix("^foo.*"), "foo");
        assert_eq!(prefix("foo(bar|baz).*"), "fooba");
        assert_eq!(prefix("(foo)+x"), "foo");
        assert_eq!(prefix("foo?.*"), "fo");
        assert_eq!(prefix(".*foo"), "");
        let inner = |pattern: &str| inner(&parse(pattern)).map(|text| String::from_utf8(text).expect("text"));
        assert_eq!(inner(".*foo.*barbaz.*").as_deref(), Some("barbaz"));
        assert_eq!(inner(".*(foo)+.*").as_deref(), Some("foo"));
        assert_eq!(inner(".*(foo)*.*"), None);
        assert_eq!(inner("a|b.*"), None);
    }

    #[test]
    fn patterns_that_say_nothing() {
        assert!(is_anything(&parse(".*")) && is_anything(&parse("(.*)")) && is_anything(&parse("(?:.*)")));
        assert!(!is_anything(&parse("(?-s).*")) && !is_anything(&parse(".+")));
        assert!(is_something(&parse(".+")) && !is_something(&parse(".*")));
    }
}
