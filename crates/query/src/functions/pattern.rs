//! Regular expressions of functions, in the dialect of RE2: classes such as `\d` mean ASCII.

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{Ast, ClassPerlKind};

use crate::api::QueryError;

/// An expression whose automaton would be larger is refused.
const SIZE_MAX: usize = 1 << 20;

/// A regular expression.
pub(super) struct Pattern(Regex);

impl Pattern {
    /// One that must match from begin to end, where `.` matches line ends too.
    pub(super) fn anchored(text: &str) -> Result<Self, QueryError> {
        Self::compile(text, &format!("^(?s:{})$", ascii_classes(text)))
    }

    /// One that may match anywhere.
    pub(super) fn new(text: &str) -> Result<Self, QueryError> {
        Self::compile(text, &ascii_classes(text))
    }

    fn compile(text: &str, whole: &str) -> Result<Self, QueryError> {
        let regex = RegexBuilder::new(whole).size_limit(SIZE_MAX).build();
        regex.map(Self).map_err(|error| QueryError::Evaluation(format!("cannot compile regexp {text:?}: {error}")))
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The replacement with its references to groups filled in; `None` if there is no match.
    pub(super) fn expand(&self, text: &str, replacement: &str) -> Option<String> {
        let captures = self.0.captures(text)?;
        let mut out = String::new();
        captures.expand(replacement, &mut out);
        Some(out)
    }

    /// The text with every match replaced.
    pub(super) fn replace_all(&self, text: &str, replacement: &str) -> String {
        self.0.replace_all(text, replacement).into_owned()
    }
}

/// The expression with `\d`, `\w`, `\s` and their opposites written out in ASCII, outside of brackets and in them. What does not parse stays as it is, and is
/// refused by whoever compiles it.
fn ascii_classes(text: &str) -> String {
    let Ok(ast) = regex_syntax::ast::parse::Parser::new().parse(text) else { return text.to_string() };
    let mut places = Vec::new();
    collect(&ast, &mut places);
    places.sort_unstable();
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (start, end, class) in places {
        out.push_str(&text[from..start]);
        out.push_str(class);
        from = end;
    }
    out.push_str(&text[from..]);
    out
}

fn collect(ast: &Ast, places: &mut Vec<(usize, usize, &'static str)>) {
    match ast {
        Ast::ClassPerl(class) => {
            let text = match (&class.kind, class.negated) {
                (ClassPerlKind::Digit, false) => "[0-9]",
                (ClassPerlKind::Digit, true) => "[^0-9]",
                (ClassPerlKind::Space, false) => "[\\t\\n\\f\\r ]",
                (ClassPerlKind::Space, true) => "[^\\t\\n\\f\\r ]",
                (ClassPerlKind::Word, false) => "[0-9A-Za-z_]",
                (ClassPerlKind::Word, true) => "[^0-9A-Za-z_]",
            };
            places.push((class.span.start.offset, class.span.end.offset, text));
        }
        Ast::ClassBracketed(class) => collect_set(&class.kind, places),
        Ast::Repetition(repetition) => collect(&repetition.ast, places),
        Ast::Group(group) => collect(&group.ast, places),
        Ast::Alternation(alternation) => alternation.asts.iter().for_each(|ast| collect(ast, places)),
        Ast::Concat(concat) => concat.asts.iter().for_each(|ast| collect(ast, places)),
        Ast::Empty(_) | Ast::Flags(_) | Ast::Literal(_) | Ast::Dot(_) | Ast::Assertion(_) | Ast::ClassUnicode(_) => {}
    }
}

fn collect_set(set: &regex_syntax::ast::ClassSet, places: &mut Vec<(usize, usize, &'static str)>) {
    use regex_syntax::ast::{ClassSet, ClassSetItem};
    fn item(item_: &ClassSetItem, places: &mut Vec<(usize, usize, &'static str)>) {
        match item_ {
            ClassSetItem::Perl(class) => collect(&Ast::class_perl(class.clone()), places),
            ClassSetItem::Bracketed(class) => collect_set(&class.kind, places),
            ClassSetItem::Union(union) => union.items.iter().for_each(|each| item(each, places)),
            _ => {}
        }
    }
    match set {
        ClassSet::Item(each) => item(each, places),
        ClassSet::BinaryOp(operation) => {
            collect_set(&operation.lhs, places);
            collect_set(&operation.rhs, places);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ascii() {
        let matches = |pattern: &str, text: &str| Pattern::anchored(pattern).expect("a good pattern").is_match(text);
        assert!(matches(r"\d+", "12") && !matches(r"\d+", "١٢"));
        assert!(matches(r"[\d.]+", "1.2") && !matches(r"[\d.]+", "١"));
        assert!(matches(r"[^\d]+", "x١") && matches(r"(a|\D)+", "a١"));
        assert!(matches("a.b", "a\nb") && !matches("a", "ab"));
        assert!(matches("", "") && matches("a|b", "b"));
    }

    #[test]
    fn groups_are_filled_in() {
        let pattern = Pattern::anchored("(.*)-value-(?P<n>.*)").expect("a good pattern");
        assert_eq!(pattern.expand("a-value-10", "$2:${n}:$1:$3").as_deref(), Some("10:10:a:"));
        assert_eq!(pattern.expand("other", "$1"), None);
        assert_eq!(Pattern::new(r"\D+").expect("a good pattern").replace_all("a.b:10", "-"), "-10");
    }

    #[test]
    fn what_is_no_pattern_or_too_large_is_refused() {
        assert!(Pattern::anchored("(.*").is_err());
        assert!(Pattern::anchored("a{1000}{1000}").is_err());
    }
}
