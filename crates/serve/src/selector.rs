//! Series selectors: `metric{a="b",c=~"d",e!="f" or g="h"}`.
//!
//! 1. A name before the braces means `__name__`; inside them a quoted string alone means it too (`{"metric.name", a="b"}`).
//! 2. `,` joins conditions, `or` separates alternatives; the name before the braces belongs to every alternative.
//! 3. Names may hold letters of any script, digits, `_`, `:`, `.`, and anything behind a backslash; or stand in quotes.
//! 4. Strings stand in `"`, `'` (with the escapes of Go) or `` ` `` (as they are).

mod scan;

use std::fmt;

use model::{METRIC_NAME, MatchOp, Matcher, Selector};

use scan::Scanner;

/// Longer selectors are refused.
const SELECTOR_BYTES_MAX: usize = 1 << 20;

/// A selector that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorError {
    /// What is wrong.
    pub what: String,
    /// At which byte.
    pub at: usize,
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at position {}", self.what, self.at + 1)
    }
}

impl std::error::Error for SelectorError {}

/// Reads a selector. One that sets no condition at all is an error, for it would mean everything there is.
pub fn parse(text: &str) -> Result<Selector, SelectorError> {
    if text.len() > SELECTOR_BYTES_MAX {
        return Err(SelectorError {
            what: format!("selector longer than {SELECTOR_BYTES_MAX} bytes"),
            at: SELECTOR_BYTES_MAX,
        });
    }
    let mut scanner = Scanner::new(text);
    scanner.skip_blanks();
    let mut name = Vec::new();
    if scanner.at_name() {
        name.push(Matcher::equal(METRIC_NAME, scanner.name()?));
        scanner.skip_blanks();
    }
    let mut any_of = if scanner.eat("{") { alternatives(&mut scanner)? } else { vec![Vec::new()] };
    scanner.skip_blanks();
    if !scanner.at_end() {
        return scanner.wrong("unexpected text behind the selector");
    }
    for set in &mut any_of {
        set.splice(0..0, name.iter().cloned());
        if set.is_empty() {
            return Err(SelectorError { what: "a selector needs at least one condition".to_string(), at: 0 });
        }
    }
    Ok(Selector { any_of })
}

/// The conditions in braces, up to and with the closing one.
fn alternatives(scanner: &mut Scanner<'_>) -> Result<Vec<Vec<Matcher>>, SelectorError> {
    let mut sets = vec![Vec::new()];
    loop {
        scanner.skip_blanks();
        if scanner.eat("}") {
            return Ok(sets);
        }
        let set = sets.last_mut().expect("BUG: there is always a set");
        if !set.is_empty() && scanner.eat_word("or") {
            sets.push(Vec::new());
            scanner.skip_blanks();
            if scanner.eat("}") {
                return scanner.wrong("no condition behind `or`");
            }
            continue;
        }
        set.push(condition(scanner)?);
        scanner.skip_blanks();
        let goes_on = scanner.eat(",") || scanner.sees("}") || scanner.sees_word("or");
        if !goes_on {
            return scanner.wrong("want `,`, `or` or `}`");
        }
    }
}

fn condition(scanner: &mut Scanner<'_>) -> Result<Matcher, SelectorError> {
    let quoted = scanner.at_quote();
    let name = if quoted { scanner.string()? } else { scanner.name()? };
    scanner.skip_blanks();
    let op = match () {
        () if scanner.eat("=~") => MatchOp::Regex,
        () if scanner.eat("!~") => MatchOp::NotRegex,
        () if scanner.eat("!=") => MatchOp::NotEqual,
        () if scanner.eat("=") => MatchOp::Equal,
        () if quoted => return Ok(Matcher::equal(METRIC_NAME, name)),
        () => return scanner.wrong("want one of =, !=, =~, !~"),
    };
    scanner.skip_blanks();
    if !scanner.at_quote() {
        return scanner.wrong("want a quoted value");
    }
    Ok(Matcher::new(name, op, scanner.string()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The alternatives as text, the conditions of each with spaces between them.
    fn read(text: &str) -> Vec<String> {
        let selector = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let show = |set: &Vec<Matcher>| set.iter().map(Matcher::to_string).collect::<Vec<_>>().join(" ");
        selector.any_of.iter().map(show).collect()
    }

    #[test]
    fn selectors_have_many_forms() {
        for (text, want) in [
            ("up", &[r#"__name__="up""#][..]),
            (" up { } ", &[r#"__name__="up""#]),
            (r#"up{job="a"}"#, &[r#"__name__="up" job="a""#]),
            (r#"{job=~"a.*", x!="b" ,y!~'c',}"#, &[r#"job=~"a.*" x!="b" y!~"c""#]),
            (r#"up{a="1" or b="2",c="3"}"#, &[r#"__name__="up" a="1""#, r#"__name__="up" b="2" c="3""#]),
            (r#"{a="1",or="2" or b="3"}"#, &[r#"a="1" or="2""#, r#"b="3""#]),
            (r#"{"metric.name", "label with blank"="x"}"#, &[r#"__name__="metric.name" label with blank="x""#]),
            (r#"a.b:c{d\-e="f"}"#, &[r#"__name__="a.b:c" d-e="f""#]),
            (r#"größe{ort="zürich"}"#, &[r#"__name__="größe" ort="zürich""#]),
            (r#"{a="\n\t\\\"\x41\u00e4\101",b=`\n`}"#, &[r#"a="\n\t\\\"AäA" b="\\n""#]),
            (r#"{a=""}"#, &[r#"a="""#]),
        ] {
            assert_eq!(read(text), want, "{text}");
        }
    }

    #[test]
    fn errors_name_what_and_where() {
        for (text, want) in [
            ("", "a selector needs at least one condition at position 1"),
            ("{}", "a selector needs at least one condition at position 1"),
            ("{a}", "want one of =, !=, =~, !~ at position 3"),
            ("{a=b}", "want a quoted value at position 4"),
            (r#"{a="b"#, "string without end at position 4"),
            (r#"{a="b" c="d"}"#, "want `,`, `or` or `}` at position 8"),
            (r#"{a="b" or }"#, "no condition behind `or` at position 12"),
            (r#"{a="b"} x"#, "unexpected text behind the selector at position 9"),
            (r#"{a="\q"}"#, "unknown escape at position 5"),
            ("{", "want a name at position 2"),
            (r#"{a="b","#, "want a name at position 8"),
            ("up[5m]", "unexpected text behind the selector at position 3"),
        ] {
            assert_eq!(parse(text).map_err(|error| error.to_string()), Err(want.to_string()), "{text}");
        }
    }

    #[test]
    fn fuzzed_selectors_break_nothing() {
        let corpus = [r#"up{a="1" or b=~"2",c!="3"}"#, r#"{"m","q"!~'\x41é'}"#, r"a\-b{c=`d`,}"];
        let corpus = corpus.map(|text| text.as_bytes().to_vec());
        testkit::fuzz::run("selector", &corpus, std::time::Duration::from_secs(1), crate::fuzz::fuzz_selector);
    }
}
