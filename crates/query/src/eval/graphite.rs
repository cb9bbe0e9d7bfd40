//! `{__graphite__="a.*.{b,c}.[0-9]"}`: metric names as Graphite asks for them.

use model::{METRIC_NAME, MatchOp, Matcher};

/// The label that stands for it.
const GRAPHITE: &str = "__graphite__";

/// Makes a matcher on the metric name of one on the label `__graphite__`.
pub fn translate(matcher: &mut Matcher) {
    if matcher.name != GRAPHITE {
        return;
    }
    let is_negative = matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRegex);
    let op = if is_negative { MatchOp::NotRegex } else { MatchOp::Regex };
    *matcher = Matcher::new(METRIC_NAME, op, regex_of(&matcher.value));
}

/// `*` stands for any part of a name between two dots, `?` for a character of one, braces for alternatives, brackets for a class of characters.
fn regex_of(pattern: &str) -> String {
    let (mut regex, mut depth) = (String::with_capacity(pattern.len() * 2), 0);
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' => regex.push_str("[^.]*"),
            '?' => regex.push_str("[^.]"),
            '{' => {
                depth += 1;
                regex.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                regex.push(')');
            }
            ',' if depth > 0 => regex.push('|'),
            '[' if rest.as_str().contains(']') => {
                regex.push('[');
                for c in rest.by_ref().take_while(|c| *c != ']') {
                    if matches!(c, '[' | '\\' | '&' | '~') {
                        regex.push('\\');
                    }
                    regex.push(c);
                }
                regex.push(']');
            }
            c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    (0..depth).for_each(|_| regex.push(')'));
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names_part_by_part() {
        let matches = |pattern: &str, name: &str| {
            let mut matcher = Matcher::equal(GRAPHITE, pattern);
            translate(&mut matcher);
            assert_eq!((matcher.name.as_str(), matcher.op), (METRIC_NAME, MatchOp::Regex));
            regex::Regex::new(&format!("^(?:{})$", matcher.value)).expect("it is an expression").is_match(name)
        };
        assert!(matches("app*.host*.memory_usage", "app1.host2.memory_usage"));
        assert!(!matches("app*.memory_usage", "app1.host2.memory_usage"));
        assert!(matches("{a,b}.[0-9].?", "b.7.x") && !matches("{a,b}.[0-9].?", "c.7.x"));
        assert!(matches("a+b", "a+b") && !matches("a.b", "axb"));
        assert!(matches("a{b", "ab"));
    }
}
