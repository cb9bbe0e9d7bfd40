//! What is read as what: each text, and the canonical text of its tree.

use metricsql::{Expr, ExprKind, Options, fuzz::is_same, parse};

fn tree(text: &str) -> Expr {
    parse(text, &Options::default()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// The texts have the same tree, and the second is its canonical form.
fn check(cases: &[(&str, &str)]) {
    for (text, canonical) in cases {
        let expr = tree(text);
        assert_eq!(expr.to_string(), *canonical, "{text:?}");
        assert!(is_same(&expr, &tree(canonical)), "{canonical:?} is not read as {text:?}: {:?}", tree(canonical));
    }
}

fn same(texts: &[&str]) {
    check(&texts.iter().map(|text| (*text, *text)).collect::<Vec<_>>());
}

#[test]
fn literals() {
    check(&[
        ("1_234_567", "1234567"),
        ("0b1011", "11"),
        ("0xff", "255"),
        ("017", "15"),
        ("1.5Ki", "1536"),
        ("5M", "5000000"),
        ("5m", "5m"),
        ("1H30m", "1h30m"),
        ("inf", "Inf"),
        ("nAn", "NaN"),
        ("1e-9", "1e-9"),
        ("'it\\'s'", "\"it's\""),
        ("`raw\\n`", "\"raw\\\\n\""),
        ("\"demo\" + \"_num_cpus\"", "\"demo_num_cpus\""),
        ("\"a\" == \"a\"", "1"),
        ("\"a\" > bool \"b\"", "0"),
        ("\"\\xff\"", "\"\\xff\""),
        ("m[$__interval]", "m[1i]"),
        ("m[5m-30s]", "m[5m-30s]"),
        ("1h5m + 30s", "1h5m + 30s"),
    ]);
}

#[test]
fn selectors() {
    check(&[
        ("m{}", "m"),
        ("{}", "{}"),
        ("{\"m\"}", "m"),
        ("{\"m\", a=\"b\"}", "m{a=\"b\"}"),
        ("{a=\"b\", \"m\",}", "m{a=\"b\"}"),
        ("{__name__=\"m\",a!=\"b\"}", "m{a!=\"b\"}"),
        ("{__name__=~\"a|b\"}", "{__name__=~\"a|b\"}"),
        ("{\"a b\"}", "{\"a b\"}"),
        ("{\"a b\", \"c d\"=~\"e\"}", "{\"a b\",\"c d\"=~\"e\"}"),
        ("m{ a = \"b\" , }", "m{a=\"b\"}"),
        ("m{a=\"b\" or c!~\"d\"}", "m{a=\"b\" or c!~\"d\"}"),
        ("{a=\"b\" OR \"m\"}", "{a=\"b\" or __name__=\"m\"}"),
        ("m{a=\"b\",a=\"b\"}", "m{a=\"b\"}"),
        ("m{type=\"us\" + \"ed\"}", "m{type=\"used\"}"),
        ("foo\\-bar{b\\az=\"x\"}", "{\"foo-bar\",baz=\"x\"}"),
        ("foo.bar", "{\"foo.bar\"}"),
        ("by{by=\"on\",or=\"and\"}", "{\"by\",by=\"on\",or=\"and\"}"),
        ("start", "start"),
        ("offset", "{\"offset\"}"),
        ("sum + avg by (x) (count)", "sum + avg by (x) (count)"),
    ]);
    same(&[
        "температура{πόλη!=\"Київ-1\"}",
        "{__graphite__=\"app*.host*.memory_usage\"}",
        ":a:b",
        "{\"a.b\"}",
        "{\"nan\"}",
        "sum",
    ]);
}

#[test]
fn operators_bind_as_documented() {
    // The right sides are the trees with all parentheses written.
    let cases = [
        ("a + b * c", "a + (b * c)"),
        ("a * b + c", "(a * b) + c"),
        ("a - b - c", "(a - b) - c"),
        ("2 ^ 3 ^ 2", "2 ^ (3 ^ 2)"),
        ("a * b % c", "(a * b) % c"),
        ("a atan2 b * c", "(a atan2 b) * c"),
        ("a + b atan2 c", "a + (b atan2 c)"),
        ("a == b + c", "a == (b + c)"),
        ("1 < a < 6", "(1 < a) < 6"),
        ("a and b or c", "(a and b) or c"),
        ("a or b and c", "a or (b and c)"),
        ("a unless b and c", "(a unless b) and c"),
        ("a and b == c", "a and (b == c)"),
        ("a default b or c", "a default (b or c)"),
        ("a if b or c", "a if (b or c)"),
        ("a default b if c", "a default (b if c)"),
        ("a if b ifnot c", "(a if b) ifnot c"),
        ("a default b default c", "(a default b) default c"),
        ("-a ^ b", "-(a ^ b)"),
        ("-a * b", "(-a) * b"),
        ("-a + b", "(-a) + b"),
        ("a ^ -b * c", "(a ^ (-b)) * c"),
        ("a ^ -b ^ c", "a ^ (-(b ^ c))"),
        ("a * -b * c", "(a * (-b)) * c"),
        ("- -a", "-(-a)"),
        ("-a offset 5m", "-(a offset 5m)"),
        ("a + b offset 5m", "a + (b offset 5m)"),
        ("a offset 1h ^ 2", "(a offset 1h) ^ 2"),
        ("a[5m] offset -2 ^ 2", "(a[5m] offset -2) ^ 2"),
        ("a @ 5 + 1", "(a @ 5) + 1"),
    ];
    for (text, explicit) in cases {
        let (bare, full) = (tree(text), tree(explicit));
        assert!(is_same(&without_parens(bare), &without_parens(full)), "{text:?} is not {explicit:?}");
    }
}

/// The tree without its parentheses.
fn without_parens(mut expr: Expr) -> Expr {
    expr.kind = match expr.kind {
        ExprKind::Paren(inner) => return without_parens(*inner),
        ExprKind::Negate(inner) => ExprKind::Negate(Box::new(without_parens(*inner))),
        ExprKind::Binary(mut binary) => {
            binary.left = without_parens(binary.left);
            binary.right = without_parens(binary.right);
            ExprKind::Binary(binary)
        }
        other => other,
    };
    expr
}

#[test]
fn durations_join_or_are_subtracted() {
    assert!(is_same(&tree("m offset 2h-5m"), &tree("m offset 2h-5m")));
    assert_eq!(tree("m offset 2h-5m").to_string(), "m offset 2h-5m");
    let apart = Options { negative_duration_parts: false, ..Options::default() };
    assert_eq!(parse("m offset 2h-5m", &apart).unwrap().to_string(), "m offset 2h - 5m");
}

#[test]
fn modifiers_of_operators() {
    check(&[
        ("a > bool b", "a > bool b"),
        ("a == BOOL on(x,) b", "a == bool on (x) b"),
        ("a * on(i) group_left b", "a * on (i) group_left () b"),
        ("a * on(i) group_left(*) b", "a * on (i) group_left (*) b"),
        (
            "a * ignoring(i) group_right(x, \"y z\") prefix \"n_\" b",
            "a * ignoring (i) group_right (x, \"y z\") prefix \"n_\" b",
        ),
        ("a + on() fill(0) b", "a + on () fill (0) b"),
        ("a + fill_right(-1) fill_left(2) b", "a + fill_left (2) fill_right (-1) b"),
        ("a + fill(NaN) b", "a + fill (NaN) b"),
        ("a + fill", "a + {\"fill\"}"),
        ("a + (on)", "a + ({\"on\"})"),
        ("(a + b) keep_metric_names", "(a + b) keep_metric_names"),
        ("a + b keep_metric_names", "(a + b) keep_metric_names"),
        ("a + b * c keep_metric_names keep_metric_names", "(a + (b * c) keep_metric_names) keep_metric_names"),
        ("abs(a) keep_metric_names + 1", "abs(a) keep_metric_names + 1"),
        ("a IF on(x) b", "a if on (x) b"),
    ]);
}

#[test]
fn calls_and_aggregations() {
    check(&[
        ("rate(m[5m],)", "rate(m[5m])"),
        ("f()", "f()"),
        ("SUM(Rate(m[5m])) BY (job)", "sum by (job) (Rate(m[5m]))"),
        ("sum without(a,\"b c\")(m)", "sum without (a, \"b c\") (m)"),
        ("sum by () (m)", "sum by () (m)"),
        ("sum(a, b)", "sum(a, b)"),
        ("topk(5, m) limit 3", "topk(5, m) limit 3"),
        ("sum(m) by (x) limit 2", "sum by (x) (m) limit 2"),
        ("any(m)", "any(m)"),
        ("limitk by (x) (2, m)", "limitk by (x) (2, m)"),
        ("limit_ratio(-0.5, m)", "limit_ratio(-0.5, m)"),
        ("(a, b)", "(a, b)"),
        ("()", "()"),
        ("(a,)", "(a)"),
        ("label_set(q, \"x\", 'y')", "label_set(q, \"x\", \"y\")"),
        ("info(m, {a=\"b\"})", "info(m, {a=\"b\"})"),
    ]);
}

#[test]
fn windows_and_shifts() {
    check(&[
        ("m[300]", "m[300]"),
        ("m[5m:]", "m[5m:]"),
        ("m[:1m]", "m[:1m]"),
        ("sum(m)[5m:1m]", "sum(m)[5m:1m]"),
        ("(a + b)[1h]", "(a + b)[1h]"),
        ("m[5m*2]", "m[5m * 2]"),
        ("m[5m + step() : max(step(), 1m)]", "m[5m + step():max(step(), 1m)]"),
        ("m[STEP() + Max(Step(), RANGE())]", "m[STEP() + Max(Step(), RANGE())]"),
        ("m offset -(1h)", "m offset -(1h)"),
        ("m offset -5m", "m offset -5m"),
        ("m offset +5m", "m offset +5m"),
        ("m offset step()", "m offset step()"),
        ("m offset min(1h, range())", "m offset min(1h, range())"),
        ("m[5i] offset 0.5h", "m[5i] offset 0.5h"),
        ("m[5m] offset 1h @ 5", "m[5m] @ 5 offset 1h"),
        ("m @ start() offset 1h", "m @ start() offset 1h"),
        ("m @ END()", "m @ end()"),
        ("m @ (End())", "m @ (End())"),
        ("m @ -1.5e3", "m @ -1500"),
        ("m @ (end() - 10m)", "m @ (end() - 10m)"),
        ("rate(m[5m] anchored)", "rate(m[5m] anchored)"),
        ("m[5m] smoothed offset 1m", "m[5m] smoothed offset 1m"),
        ("m offset 1m[5m:1m]", "m offset 1m[5m:1m]"),
        ("m[5m:1m][1h:2m]", "m[5m:1m][1h:2m]"),
        ("m @ end()[5m:]", "m @ end()[5m:]"),
        ("5[1h:1m]", "5[1h:1m]"),
        ("a:b[5m:1m]", "a:b[5m:1m]"),
    ]);
}

#[test]
fn long_chains_are_read_and_their_height_is_bounded() {
    let chain = |links: usize| vec!["a"; links].join(" or ");
    assert!(parse(&chain(400), &Options::default()).is_ok());
    let error = parse(&chain(100_000), &Options::default()).unwrap_err();
    assert!(error.message.contains("more than 500 operations"), "{error}");
    for open in ["(", "-", "f(", "a[", "{", "a + (", "WITH (x = ", "a offset -("] {
        assert!(parse(&open.repeat(50_000), &Options::default()).is_err(), "{open}");
    }
    let flat = vec!["a"; 20_000].join(", ");
    assert!(parse(&format!("f({flat})"), &Options::default()).is_ok());
}
