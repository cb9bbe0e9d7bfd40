//! Entry point for fuzzers: whatever the text, nothing panics, limits hold, and what is printed is read as the same tree.

use crate::{Expr, Options, expand, format_query, parse, prettify};

/// Takes `data` as an expression of both languages.
pub fn fuzz_expression(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let narrow = Options {
        folds_texts: false,
        negative_duration_parts: false,
        predefined_templates: false,
        metric_name_once: true,
    };
    for options in [Options::default(), narrow] {
        let Ok(expr) = parse(&text, &options) else { continue };
        let printed = expr.to_string();
        let again = parse(&printed, &options);
        assert!(
            again.as_ref().is_ok_and(|again| is_same(&expr, again)),
            "{printed:?} is read as {again:?}, not as {expr:?}"
        );
    }
    if let (Ok(pretty), Ok(expanded)) = (prettify(&text), expand(&text)) {
        assert_eq!(expand(&pretty), Ok(expanded), "{pretty:?} is another expression");
    }
    if let Ok(formatted) = format_query(&text) {
        assert!(format_query(&formatted).is_ok(), "{formatted:?} cannot be read");
    }
}

/// Whether two trees are the same but for their places. Trees are compared by their text, which has every part of them but NaN's sign.
pub fn is_same(left: &Expr, right: &Expr) -> bool {
    shape(left) == shape(right)
}

/// A tree as text that differs where trees differ.
fn shape(expr: &Expr) -> String {
    // Places are the only spans in the debug form.
    let debug = format!("{expr:?}");
    let mut shape = String::with_capacity(debug.len());
    let mut rest = debug.as_str();
    while let Some(at) = rest.find(", span: Span { start: ") {
        shape.push_str(&rest[..at]);
        let behind = &rest[at + 3..];
        rest = behind.find('}').map_or("", |end| &behind[end + 1..]);
    }
    shape.push_str(rest);
    shape
}
