//! What is refused, where, and with which words.

use metricsql::{Options, parse};

#[test]
fn errors_say_where_what_was_found_and_what_was_expected() {
    let cases = [
        ("", "line 1, column 1: no expression found"),
        ("a +", "line 1, column 4: found the end of the expression, expected a number, a text, a name"),
        ("a b", "line 1, column 3: found \"b\", expected an operator or the end"),
        ("sum(a\n  b)", "line 2, column 3: found \"b\", expected an operator, \",\" or \")\""),
        ("a{b}", "line 1, column 3: no template \"b\" is defined"),
        ("a{b=c}", "line 1, column 5: expected a text"),
        ("a{b==\"c\"}", "line 1, column 4: found \"==\", expected \"=\", \"!=\""),
        ("a{b=\"c\"", "line 1, column 8: found the end of the expression, expected \",\", \"or\" or \"}\""),
        ("a[5m", "line 1, column 5: found the end of the expression, expected \":\" or \"]\""),
        ("a[b]", "line 1, column 3: expected a number, a duration"),
        ("a[sum(b)]", "line 1, column 3: expected a number, a duration"),
        ("demo_num_cpus offset", "line 1, column 21: found the end of the expression, expected a number, a duration"),
        ("a offset 1m offset 2m", "line 1, column 13: offset may not be set multiple times"),
        ("a @ 1 @ 2", "line 1, column 7: @ <timestamp> may not be set multiple times"),
        ("a anchored smoothed", "line 1, column 12: anchored and smoothed"),
        ("a + group_left(x) b", "line 1, column 5: found \"group_left\", expected on (…)"),
        ("a + bool b", "line 1, column 5: bool modifier can only be used on comparison operators"),
        ("sum by (a) (b) by (c)", "line 1, column 16: an aggregation is grouped twice"),
        ("sum(a) limit x", "line 1, column 14: found \"x\", expected a whole number"),
        ("\"open", "line 1, column 1: unterminated text"),
        ("5foo", "line 1, column 1: bad number or duration \"5foo\""),
        ("a ; b", "line 1, column 3: unexpected character ';'"),
        ("$x", "line 1, column 1: unknown variable"),
        ("WITH (x = 1, x = 2) x", "line 1, column 14: the template \"x\" is defined twice"),
        ("WITH (f(a, a) = 1) x", "line 1, column 8: the parameter \"a\" stands twice"),
        ("WITH (f(a) = a) f(1, 2)", "line 1, column 17: the template \"f\" takes 1 arguments, 2 are given"),
        ("a)", "line 1, column 2: found \")\""),
        ("a + fill(1) fill_left(2) b", "line 1, column 13: fill_left sets a side again"),
    ];
    for (text, begin) in cases {
        let error = parse(text, &Options::default()).expect_err(text).to_string();
        assert!(error.starts_with(begin), "{text:?}: {error}");
    }
}

#[test]
fn a_metric_name_stands_once_where_that_is_asked_for() {
    let once = Options { metric_name_once: true, ..Options::default() };
    let error = parse("a{__name__=\"b\"}", &once).unwrap_err();
    assert_eq!(error.message, "metric name must not be set twice: \"a\" or \"b\"");
    assert!(parse("a{\"b\"}", &once).is_err());
    assert!(parse("{__name__=\"b\",__name__!=\"c\"}", &once).is_ok());
    assert!(parse("a{__name__=\"b\"}", &Options::default()).is_ok());
}
