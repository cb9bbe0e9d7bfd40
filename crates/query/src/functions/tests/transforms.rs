//! Functions of values, times, gaps, ranges and histograms.

use super::{M, P, check, run};

#[test]
fn values_are_rounded_and_clamped() {
    let load = "d{t=\"a\"} 2.5 -2.5 NaN\nd{t=\"b\"} -0 inf _";
    check(
        P,
        load,
        &[
            ("abs(d)", "{t=\"a\"} 2.5 2.5 NaN\n{t=\"b\"} 0 inf _"),
            ("round(d)", "{t=\"a\"} 3 -2 NaN\n{t=\"b\"} 0 inf _"),
            ("round(d, 0.2)", "{t=\"a\"} 2.6 -2.4 NaN\n{t=\"b\"} 0 inf _"),
            ("sgn(d)", "{t=\"a\"} 1 -1 NaN\n{t=\"b\"} -0 1 _"),
            ("clamp(d, -1, 2)", "{t=\"a\"} 2 -1 NaN\n{t=\"b\"} -0 2 _"),
            ("clamp(d, 5, -5)", ""),
            ("clamp(d, 0, NaN)", "{t=\"a\"} NaN NaN NaN\n{t=\"b\"} NaN NaN _"),
            ("clamp(d, Inf, NaN)", "{t=\"a\"} inf inf inf\n{t=\"b\"} inf inf _"),
            ("clamp_min(d, NaN)", "{t=\"a\"} NaN NaN NaN\n{t=\"b\"} NaN inf _"),
            ("clamp_max(-d, NaN)", "{t=\"a\"} NaN NaN NaN\n{t=\"b\"} NaN -inf _"),
            ("clamp_max(d, 0)", "{t=\"a\"} 0 -2.5 NaN\n{t=\"b\"} -0 0 _"),
            ("clamp_min(d, 0)", "{t=\"a\"} 2.5 0 NaN\n{t=\"b\"} 0 inf _"),
            ("clamp_min(d, 1)", "{t=\"a\"} 2.5 1 NaN\n{t=\"b\"} 1 inf _"),
            ("clamp_max(d, 1)", "{t=\"a\"} 1 -2.5 NaN\n{t=\"b\"} -0 1 _"),
        ],
    );
    check(
        M,
        "d{t=\"a\"} 2.5 -2.5 _",
        &[
            ("round(d)", "d{t=\"a\"} 3 -3 _"),
            ("round(d / 3, 0.01)", "{t=\"a\"} 0.83 -0.83 _"),
            ("clamp(d, -1, 2)", "d{t=\"a\"} 2 -1 _"),
            ("clamp_min(d, NaN)", "d{t=\"a\"} 2.5 -2.5 _"),
            ("ceil(d)", "d{t=\"a\"} 3 -2 _"),
            ("abs(d) keep_metric_names", "d{t=\"a\"} 2.5 2.5 _"),
            ("sqrt(d)", "{t=\"a\"} 1.58113883 _ _"),
            ("bitmap_and(d, 3)", "{t=\"a\"} 2 2 _"),
            ("ABS(d)", "{t=\"a\"} 2.5 2.5 _"),
        ],
    );
}

#[test]
fn times_are_those_of_the_grid() {
    for dialect in [M, P] {
        // Multiplied before it is divided: the last digit depends on it.
        let exact =
            [("deg(vector(9.99e-07)) - 0.00005723848373356925", "{} 0"), ("rad(vector(7)) - 7*pi()/180", "{} 0")];
        check(dialect, "m 1", &exact);
        check(
            dialect,
            "m 1 2",
            &[
                ("time()", "scalar 1000 1010"),
                ("start()", "scalar 1000 1000"),
                ("end() - start()", "scalar 10 10"),
                ("step()", "scalar 10 10"),
                ("minute()", "{} 16 16"),
                ("hour(vector(1136239445))", "{} 22 22"),
                ("year(vector(1e30)) - 292277026000", "{} 596 596"),
                ("minute(vector(-Inf))", "{} 30 30"),
                ("days_in_month(vector(1454284800)) + year(vector(0))", "{} 1999 1999"),
                ("pi()", "scalar 3.141592654 3.141592654"),
            ],
        );
    }
    check(P, "m NaN 1", &[("day_of_month(m)", "{} 4 1"), ("month(m)", "{} 12 1")]);
    check(M, "m 1", &[("month(NaN)", "")]);
    check(P, "m 1", &[("step()", "scalar 0"), ("range()", "scalar 0"), ("timestamp(m + 1)", "{} 1000")]);
    check(
        P,
        "m 1 2",
        &[("range()", "scalar 10 10"), ("max_of(1, NaN)", "scalar NaN NaN"), ("min_of(-2, -5)", "scalar -5 -5")],
    );
    check(
        M,
        "m 1 2",
        &[
            ("timezone_offset(\"Asia/Kolkata\")", "scalar 19800 19800"),
            ("timezone_offset(\"Nowhere\")", "error: cannot load timezone"),
            ("now()", "scalar 1000 1000"),
            ("rand(1) - rand(1)", "scalar 0 0"),
        ],
    );
}

#[test]
fn scalars_and_absences() {
    check(
        P,
        "m{a=\"1\"} 1 2 _\nm{a=\"2\"} _ 5 _",
        &[
            ("scalar(m)", "scalar 1 NaN NaN"),
            ("vector(3)", "{} 3 3 3"),
            ("absent(m{a=\"1\"})", "{a=\"1\"} _ _ 1"),
            ("absent(none{job=\"j\",job=\"k\",foo=\"bar\",x=~\"y\"})", "{foo=\"bar\"} 1 1 1"),
            ("absent(sum(none{job=\"j\"}))", "{} 1 1 1"),
        ],
    );
    check(
        M,
        "m{a=\"1\"} 1 2 _\nm{a=\"2\"} _ 5 _",
        &[
            ("scalar(m)", "scalar _ _ _"),
            ("scalar(m{a=\"1\"})", "scalar 1 2 _"),
            ("scalar(\"12.5\")", "scalar 12.5 12.5 12.5"),
            ("absent(none{a=\"1\",b!=\"c\"})", "{a=\"1\"} 1 1 1"),
            ("absent(m)", "{} _ _ 1"),
            ("(m, m{a=\"1\"})", "m{a=\"1\"} 1 2 _\nm{a=\"2\"} _ 5 _"),
            ("()", ""),
        ],
    );
}

#[test]
fn ranges_are_summed_up() {
    let load = "m{l=\"a\"} 1 2 _ 4 100";
    check(
        M,
        load,
        &[
            ("range_sum(m)", "{l=\"a\"} 107 107 107 107 107"),
            ("range_first(m)", "m{l=\"a\"} 1 1 1 1 1"),
            ("range_last(m)", "m{l=\"a\"} 100 100 100 100 100"),
            ("range_median(m)", "m{l=\"a\"} 3 3 3 3 3"),
            ("range_quantile(0.5, m)", "m{l=\"a\"} 3 3 3 3 3"),
            ("range_mad(m)", "m{l=\"a\"} 1.5 1.5 1.5 1.5 1.5"),
            ("range_trim_outliers(5, m)", "m{l=\"a\"} 1 2 _ 4 _"),
            ("range_trim_spikes(0.5, m)", "m{l=\"a\"} _ 2 _ 4 _"),
            ("range_trim_zscore(1, m)", "m{l=\"a\"} 1 2 _ 4 _"),
            ("range_normalize(m)", "m{l=\"a\"} 0 0.0101010101 _ 0.0303030303 1"),
            ("range_stdvar(m - m + 2)", "{l=\"a\"} 0 0 0 0 0"),
            ("running_sum(m)", "{l=\"a\"} 1 3 3 7 107"),
            ("running_max(-m)", "{l=\"a\"} -1 -1 -1 -1 -1"),
            ("keep_last_value(m)", "m{l=\"a\"} 1 2 2 4 100"),
            ("keep_next_value(m)", "m{l=\"a\"} 1 2 4 4 100"),
            ("interpolate(m)", "m{l=\"a\"} 1 2 3 4 100"),
            ("smooth_exponential(m, 0.5)", "m{l=\"a\"} 1 1.5 _ 2.75 51.375"),
            ("range_linear_regression(m{l=\"a\"} if m < 100)", "m{l=\"a\"} 1 2 3 4 5"),
            ("remove_resets(-m + 100)", "{l=\"a\"} 99 99 _ 99 99"),
        ],
    );
}

const BUCKETS: &str = r#"
    h_bucket{le="0.1",j="a"} 10
    h_bucket{le="0.2",j="a"} 30
    h_bucket{le="0.5",j="a"} 30
    h_bucket{le="1",j="a"} 40
    h_bucket{le="+Inf",j="a"} 50
"#;

#[test]
fn histograms_tell_quantiles() {
    for dialect in [M, P] {
        check(
            dialect,
            BUCKETS,
            &[
                ("histogram_quantile(0, h_bucket)", "{j=\"a\"} 0"),
                ("histogram_quantile(0.2, h_bucket)", "{j=\"a\"} 0.1"),
                ("histogram_quantile(0.4, h_bucket)", "{j=\"a\"} 0.15"),
                ("histogram_quantile(0.7, h_bucket)", "{j=\"a\"} 0.75"),
                ("histogram_quantile(1, h_bucket)", "{j=\"a\"} 1"),
                ("histogram_quantile(-1, h_bucket)", "{j=\"a\"} -inf"),
                ("histogram_quantile(2, h_bucket)", "{j=\"a\"} inf"),
            ],
        );
    }
    check(
        P,
        BUCKETS,
        &[
            ("histogram_quantiles(h_bucket, \"q\", 0.2, 1)", "{j=\"a\",q=\"0.2\"} 0.1\n{j=\"a\",q=\"1.0\"} 1"),
            ("histogram_fraction(0, 0.15, h_bucket)", "{j=\"a\"} 0.4"),
            ("histogram_fraction(-Inf, +Inf, h_bucket)", "{j=\"a\"} 1"),
            ("histogram_fraction(0.1, 0.1, h_bucket)", "{j=\"a\"} 0"),
            ("histogram_count(h_bucket)", ""),
            ("histogram_quantile(0.5, h_bucket{le!=\"+Inf\"})", "{j=\"a\"} NaN"),
            ("histogram_quantile(-0, h_bucket)", "{j=\"a\"} 0"),
        ],
    );
    let with_nan = "b{le=\"1\"} 2\nb{le=\"2\"} NaN\nb{le=\"3\"} 5\nb{le=\"+Inf\"} 5";
    check(P, with_nan, &[("histogram_quantile(0, b)", "{} NaN")]);
    check(
        M,
        BUCKETS,
        &[
            (
                "histogram_quantile(0.4, h_bucket, \"b\")",
                "{b=\"lower\",j=\"a\"} 0.1\n{b=\"upper\",j=\"a\"} 0.2\n{j=\"a\"} 0.15",
            ),
            ("histogram_quantiles(\"q\", 0.2, 1, h_bucket)", "{j=\"a\",q=\"0.2\"} 0.1\n{j=\"a\",q=\"1\"} 1"),
            ("histogram_share(0.15, h_bucket)", "{j=\"a\"} 0.4"),
            ("histogram_fraction(0.1, 0.2, h_bucket)", "{j=\"a\"} 0.4"),
            ("histogram_avg(h_bucket)", "{j=\"a\"} 0.275"),
            ("histogram_stdvar(h_bucket)", "{j=\"a\"} 0.076875"),
            (
                "buckets_limit(3, h_bucket)",
                "h_bucket{j=\"a\",le=\"+Inf\"} 50\nh_bucket{j=\"a\",le=\"0.1\"} 10\nh_bucket{j=\"a\",le=\"1\"} 40",
            ),
            ("buckets_limit(0, h_bucket)", ""),
        ],
    );
}

#[test]
fn buckets_with_ranges_become_cumulative() {
    let load = "h{vmrange=\"1.000e-01...2.000e-01\"} 3\nh{vmrange=\"4.000e-01...5.000e-01\"} 2\nh{vmrange=\"2.000e-01...3.000e-01\"} 0\nx 1";
    check(
        M,
        load,
        &[
            (
                "prometheus_buckets({__name__=~\".*\"})",
                "h{le=\"+Inf\"} 5\nh{le=\"1.000e-01\"} 0\nh{le=\"2.000e-01\"} 3\nh{le=\"4.000e-01\"} 3\nh{le=\"5.000e-01\"} 5",
            ),
            ("histogram_quantile(0.3, h)", "{} 0.15"),
        ],
    );
}

#[test]
fn falling_buckets_are_raised_with_an_info() {
    let load = "b{le=\"1\"} 10 10 10\nb{le=\"2\"} 8 10.000000000001 _\nb{le=\"+Inf\"} 20 20 20";
    let (result, notes) = run(P, load, "histogram_quantile(0.5, b)");
    assert_eq!(result, Ok(vec!["{} 1 1 1".into()]));
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0].starts_with("PromQL info: input to histogram_quantile needed to be fixed for monotonicity"),
        "{notes:?}"
    );
    let load = "b{j=\"1\",le=\"1\"} 10 _\nb{j=\"1\",le=\"2\"} 8 _\nb{j=\"1\",le=\"+Inf\"} 20 _\n\
        b{j=\"2\",le=\"0.5\"} 300 300\nb{j=\"2\",le=\"+Inf\"} 20 295";
    let (_, notes) = run(P, load, "histogram_quantile(0.5, b)");
    let want = "for metric name \"b\", from buckets 2 to +Inf, with a max diff of 2.8e+02, over 3 samples \
        from 1970-01-01T00:16:40Z to 1970-01-01T00:16:50Z (1:25)";
    assert!(notes.len() == 1 && notes[0].ends_with(want), "{notes:?}");
    let (_, notes) = run(P, "b 1", "histogram_quantile(0.5, b)");
    assert_eq!(
        notes,
        [
            "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"\" for metric name \"b\" (1:25)"
        ]
    );
}

#[test]
fn sorting_a_range_is_warned_of() {
    let (_, notes) = run(P, "m 1 2", "sum(sort(m))");
    assert_eq!(
        notes,
        ["PromQL warning: sort is ineffective for range queries since results are always ordered by labels (1:5)"]
    );
    let (_, notes) = run(P, "m 1", "sum(sort(m))");
    assert!(notes.is_empty());
}
