//! Mutated expressions.

use std::time::Duration;

use metricsql::fuzz::fuzz_expression;

#[test]
fn what_was_found_stays_mended() {
    for text in [
        "\"a\" + 'b' + `c` keep_metric_names",
        "(\"a\" + \"b\") keep_metric_names",
        "m > on(i) group_left(j) prefix \"p\" + 'b' + {\"foo-bar\"}",
        "m @ (starT() ) / 017",
    ] {
        fuzz_expression(text.as_bytes());
        assert!(metricsql::expand(text).is_ok(), "{text:?}");
    }
}

#[test]
fn mutated_expressions_break_nothing() {
    let corpus: Vec<Vec<u8>> = [
        "sum by (a, \"b c\") (rate(m{x=~\"y.*\",z!=\"\"}[5m:1m] offset -1h @ end())) > bool on(i) group_left(j) prefix \"p\" b",
        "WITH (f(x, y) = x{a=\"b\"+y} or {z}, z = {q=\"r\"}, w = 5m) f(m, \"t\") + m[w:1i] keep_metric_names",
        "-a ^ -b * +c % (d, e) default 5Ki if {x=\"1\" or y=\"2\",} ifnot $__interval limit 3",
        "topk(3, m) limit 2 + on() fill_left(-1) fill_right(NaN) m[5m * 2 - step()] anchored smoothed",
        "\"a\\xff\" + 'b' + `c` # comment\n+ foo\\-bar{} @ (start() - 0x1f) / 017 atan2 1_0.5e3",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    testkit::fuzz::run("metricsql", &corpus, Duration::from_secs(2), fuzz_expression);
}
