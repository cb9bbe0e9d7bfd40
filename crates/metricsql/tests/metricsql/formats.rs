//! How expressions are laid out.

use metricsql::{expand, format_query, prettify};

#[test]
fn short_expressions_stay_on_their_line() {
    let cases = [
        ("{\"foo\", bar=\"baz\"}", "foo{bar=\"baz\"}"),
        ("{\"3foo\"}", "{\"3foo\"}"),
        ("sum  without(x, y) (m[ 5m ])", "sum(m[5m]) without(x,y)"),
        ("a+b*c", "a + (b * c)"),
        ("(a)+1_000", "a + 1_000"),
        ("a > bool b", "a >bool b"),
        ("a offset 5m + b", "(a offset 5m) + b"),
        ("WITH (x = {a=\"b\"}) {x, y=\"z\"}", "WITH (x = {a=\"b\"}) {x,y=\"z\"}"),
        ("WITH (f(s) = {x=\"foo\" + s + \"bar\"}) f(\"x\")", "WITH (f(s) = {x=\"foo\"+s+\"bar\"}) f(\"x\")"),
        ("with (w=5Mi) m[$__interval]", "WITH (w = 5Mi) m[$__interval]"),
        ("(a / on(x) b) keep_metric_names", "(a / on(x) b) keep_metric_names"),
        ("rate(m[5m] @ end() offset 1h)", "rate(m[5m] offset 1h @ end())"),
    ];
    for (text, want) in cases {
        assert_eq!(prettify(text).as_deref(), Ok(want));
        assert_eq!(prettify(want).as_deref(), Ok(want));
    }
}

#[test]
fn long_expressions_are_broken() {
    let cases = [
        (
            "sum(rate(process_cpu_seconds_total{instance=\"a_longer_instance\",job=\"a_long_job\"}[5m] offset 1h)) by (x) / on(x) group_right(y) sum(b)",
            "sum(
  rate(
    process_cpu_seconds_total{instance=\"a_longer_instance\",job=\"a_long_job\"}[5m] offset 1h
  )
) by(x)
  / on(x) group_right(y)
sum(b)",
        ),
        (
            "metric_of_some_length{first=\"the value of the first\",second=\"the value of the second\",third=\"x\"}",
            "metric_of_some_length{
  first=\"the value of the first\",second=\"the value of the second\",third=\"x\"
}",
        ),
        (
            "{first=\"the value of the first filter\",second=\"the value of the second filter\",third=\"x\" or fourth=\"y\"}",
            "{
  first=\"the value of the first filter\",
  second=\"the value of the second filter\",
  third=\"x\"
    or
  fourth=\"y\"
}",
        ),
        (
            "WITH (short = 1, long(a) = clamp_min(clamp_max(some_metric_with_a_long_name{with=\"filters\"}, a), short)) long(5)",
            "WITH (
  short = 1,
  long(a) = (
    clamp_min(clamp_max(some_metric_with_a_long_name{with=\"filters\"}, a), short)
  ),
)
long(5)",
        ),
    ];
    for (text, want) in cases {
        assert_eq!(prettify(text).as_deref(), Ok(want), "\n{}", prettify(text).unwrap());
        assert_eq!(prettify(want).as_deref(), Ok(want));
    }
}

#[test]
fn the_wide_form_is_that_of_prometheus() {
    let cases = [
        ("foo/bar", "foo / bar"),
        ("sum(rate(m[90m])) by (a,b)", "sum by (a, b) (rate(m[1h30m]))"),
        ("m{z=\"1\",a=\"2\"}[300]", "m{a=\"2\",z=\"1\"}[5m]"),
        ("m offset 1d @ 5", "m @ 5 offset 1d"),
        ("(a)", "(a)"),
        ("1e9", "1000000000"),
        ("sum by () (a) and ignoring () min without () (b)", "sum(a) and min without () (b)"),
        ("a * on () b / ignoring () group_left () c", "a * on () b / ignoring () group_left () c"),
        ("clamp_max(a, Inf) ^ -Inf", "clamp_max(a, +Inf) ^ -Inf"),
        (
            "sum by (instance) (rate(some_metric_name_total{job=\"a_job_name\",instance=~\"some.*\"}[5m])) / sum by (instance) (b)",
            "  sum by (instance) (rate(some_metric_name_total{instance=~\"some.*\",job=\"a_job_name\"}[5m]))
/
  sum by (instance) (b)",
        ),
        (
            "histogram_quantile(0.99, sum by (le, namespace) (rate(some_request_duration_seconds_bucket{job=\"a_job_name\"}[5m])))",
            "histogram_quantile(
  0.99,
  sum by (le, namespace) (rate(some_request_duration_seconds_bucket{job=\"a_job_name\"}[5m]))
)",
        ),
    ];
    for (text, want) in cases {
        assert_eq!(format_query(text).as_deref(), Ok(want), "\n{}", format_query(text).unwrap());
    }
}

#[test]
fn templates_are_shown_expanded() {
    assert_eq!(expand("WITH (x(a) = a{b=\"c\"}) x(foo) * 2 + 1").as_deref(), Ok("(foo{b=\"c\"} * 2) + 1"));
    assert!(expand("WITH (x").is_err());
}
