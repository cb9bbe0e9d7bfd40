//! Regular expressions in which a dot is a dot (`-search.treatDotsAsIsInRegexps`), for who came from Graphite and writes `a.b.c`.

use model::{MatchOp, Matcher};

/// Escapes each dot of a regular expression that is not escaped and has no `*`, `+` or `{` behind it, as VictoriaMetrics does.
pub fn escape(matcher: &mut Matcher) {
    if !matches!(matcher.op, MatchOp::Regex | MatchOp::NotRegex) || !matcher.value.contains('.') {
        return;
    }
    let (mut out, mut before) = (String::with_capacity(matcher.value.len() + 8), ' ');
    let mut rest = matcher.value.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '.' && before != '\\' && !matches!(rest.peek(), Some('*' | '+' | '{')) {
            out.push('\\');
        }
        out.push(c);
        before = c;
    }
    matcher.value = out;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_that_stand_for_themselves_are_escaped() {
        for (op, value, want) in [
            (MatchOp::Regex, "a.b.*c.+d.{2}e\\.f.", "a\\.b.*c.+d.{2}e\\.f\\."),
            (MatchOp::NotRegex, ".x", "\\.x"),
            (MatchOp::Equal, "a.b", "a.b"),
            (MatchOp::Regex, "plain", "plain"),
        ] {
            let mut matcher = Matcher::new("m", op, value);
            escape(&mut matcher);
            assert_eq!(matcher.value, want);
        }
    }
}
