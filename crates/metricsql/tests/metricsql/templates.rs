//! What templates expand to.

use metricsql::{EXPANDED_NODES_MAX, Options, parse};

fn expanded(text: &str) -> String {
    parse(text, &Options::default()).unwrap_or_else(|error| panic!("{text:?}: {error}")).to_string()
}

#[test]
fn templates_expand() {
    let cases = [
        ("WITH (x = 1) x + x", "1 + 1"),
        ("WITH (x = a + b) x * 2", "(a + b) * 2"),
        ("WITH (f(x) = -x) f(a)", "(-a)"),
        ("WITH (q(x, y) = x + y,) q(1, q(2, 3))", "(1 + (2 + 3))"),
        ("WITH (x = {a=\"b\"}) m{x, c=\"d\"}", "m{a=\"b\",c=\"d\"}"),
        ("WITH (x = {a=\"b\"}) m{c=\"d\" or x}", "m{c=\"d\" or a=\"b\"}"),
        ("WITH (x = m{a=\"b\"}) x{c=\"d\"}", "m{a=\"b\",c=\"d\"}"),
        ("WITH (x = m{a=\"b\" or e=\"f\"}) x{c=\"d\"}", "m{a=\"b\",c=\"d\" or e=\"f\",c=\"d\"}"),
        ("WITH (x = m{a=\"b\"}) x{c=\"d\" or e=\"f\"}", "m{a=\"b\",c=\"d\" or a=\"b\",e=\"f\"}"),
        ("WITH (x = m{a=\"b\"}[5m]) rate(x{c=\"d\"})", "rate(m{a=\"b\",c=\"d\"}[5m])"),
        ("WITH (x = m[5m]) x offset 1h", "(m[5m]) offset 1h"),
        (
            "WITH (cpu(m) = rate(c{mode=m}[5m])) cpu(\"user\") + cpu(\"sys\")",
            "rate(c{mode=\"user\"}[5m]) + rate(c{mode=\"sys\"}[5m])",
        ),
        ("WITH (f(s) = {x=\"foo\"+s+\"bar\"}) f(\"-\")", "{x=\"foo-bar\"}"),
        ("WITH (x = \"a\") label_set(m, x, \"p\" + x + \"s\")", "label_set(m, \"a\", \"pas\")"),
        ("WITH (w = 5m, s = 30) m[w:s] offset w", "m[5m:30] offset 5m"),
        ("WITH (w = 5m) m offset -w", "m offset -5m"),
        ("WITH (g = (a, b)) sum by (g, c, a) (m)", "sum by (a, b, c) (m)"),
        ("WITH (g = a) m + on(g) group_left(g) n", "m + on (a) group_left (a) n"),
        // A template sees the ones before it, not those of the place where it is used.
        ("WITH (a = 1, b = a) WITH (a = 2) b", "1"),
        ("WITH (f(x) = WITH (y = x) y + 1) f(m)", "(m + 1)"),
        ("WITH (x = 1) WITH (x = x + 1) x", "(1 + 1)"),
        // An argument is no template of the body.
        ("WITH (m = 1, f(x) = x) WITH (n = 2) f(n)", "2"),
        ("WITH (f(x) = x) f(f)", "f"),
        ("WITH (f(m) = m{a=\"b\"}) f(foo)", "foo{a=\"b\"}"),
        ("WITH (sum(x) = x * 2) sum(m)", "(m * 2)"),
        ("WITH (x = sum(m)) x[5m:1m]", "sum(m)[5m:1m]"),
        ("with (rt = 234+234) 2*rt + m", "2 * (234 + 234) + m"),
        ("alias(m, \"n\")", "label_set(m, \"__name__\", \"n\")"),
        ("range_median(m)", "range_quantile(0.5, m)"),
        ("ru(a, b)", "(clamp_min(b - clamp_min(a, 0), 0) / clamp_min(b, 0) * 100)"),
        ("ru{alias=\"x\"} + on(ttf) ru", "ru{alias=\"x\"} + on (ttf) ru"),
        ("WITH () m", "m"),
    ];
    for (text, want) in cases {
        assert_eq!(expanded(text), want, "{text:?}");
    }
}

#[test]
fn templates_are_refused_that_do_not_fit() {
    let cases = [
        ("WITH (x = sum(m)) x{a=\"b\"}", "no selector"),
        ("WITH (x = m{a=\"b\"}) n{x}", "must be {…} without a metric"),
        ("WITH (x = {a=\"b\" or c=\"d\"}) n{x}", "without \"or\""),
        ("WITH (x = {a=\"b\" or c=\"d\"}) x{e=\"f\" or g=\"h\"}", "both"),
        ("WITH (x = m) m{a=x}", "is a text"),
        ("WITH (x = sum(m)) m[x]", "expected a number"),
        ("WITH (x = sum(m)) sum(m) by (x)", "must be a label"),
        ("WITH (x = 1) x(2)", "takes 0 arguments"),
    ];
    for (text, part) in cases {
        let error = parse(text, &Options::default()).expect_err(text).to_string();
        assert!(error.contains(part), "{text:?}: {error}");
    }
}

#[test]
fn what_templates_make_is_bounded() {
    let mut definitions = "f0(x) = x + x".to_string();
    for level in 1..40 {
        definitions += &format!(", f{level}(x) = f{0}(x) + f{0}(x)", level - 1);
    }
    let error = parse(&format!("WITH ({definitions}) f39(m)"), &Options::default()).unwrap_err();
    assert!(error.message.contains(&EXPANDED_NODES_MAX.to_string()), "{error}");
    let mut definitions = "f0(x) = -x".to_string();
    for level in 1..2_000 {
        definitions += &format!(", f{level}(x) = -f{}(x)", level - 1);
    }
    assert!(parse(&format!("WITH ({definitions}) f1999(m)"), &Options::default()).is_err());
}
