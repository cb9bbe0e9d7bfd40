//! Aggregates of both dialects.

use super::{M, P, check, run};

const GROUPS: &str = r#"
    m{g="a",i="1"} 1 4 _
    m{g="a",i="2"} 3 _ _
    m{g="b",i="1"} 5 5 7
    m{g="b",i="2"} 5 -5 1
"#;

#[test]
fn folds_put_groups_together() {
    for dialect in [M, P] {
        check(
            dialect,
            GROUPS,
            &[
                ("sum by (g) (m)", "{g=\"a\"} 4 4 _\n{g=\"b\"} 10 0 8"),
                ("avg by (g) (m)", "{g=\"a\"} 2 4 _\n{g=\"b\"} 5 0 4"),
                ("min(m)", "{} 1 -5 1"),
                ("max(m)", "{} 5 5 7"),
                ("count without (i) (m)", "{g=\"a\"} 2 1 _\n{g=\"b\"} 2 2 2"),
                ("group by (g, none) (m)", "{g=\"a\"} 1 1 _\n{g=\"b\"} 1 1 1"),
                ("stddev by (g) (m)", "{g=\"a\"} 1 0 _\n{g=\"b\"} 0 5 3"),
                ("stdvar by (g) (m)", "{g=\"a\"} 1 0 _\n{g=\"b\"} 0 25 9"),
                ("sum(nothing)", ""),
            ],
        );
    }
    check(
        M,
        GROUPS,
        &[
            ("sum2 by (g) (m)", "{g=\"a\"} 10 16 _\n{g=\"b\"} 50 50 50"),
            ("geomean by (g) (m)", "{g=\"a\"} 1.732050808 4 _\n{g=\"b\"} 5 _ 2.645751311"),
            ("any by (g) (m)", "m{g=\"a\",i=\"1\"} 1 4 _\nm{g=\"b\",i=\"1\"} 5 5 7"),
            ("sum(m, m) by (g)", "{g=\"a\"} 8 8 _\n{g=\"b\"} 20 0 16"),
            ("sum by (g) (m) limit 1", "{g=\"a\"} 4 4 _"),
        ],
    );
}

#[test]
fn sums_are_compensated_and_means_do_not_overflow() {
    let load = "m{i=\"1\"} 2 1e308\nm{i=\"2\"} 8 1e308\nm{i=\"3\"} 1e100 1e308\nm{i=\"4\"} -1e100 1e308";
    check(P, load, &[("sum(m)", "{} 10 inf"), ("avg(m)", &format!("{{}} 2.5 {}", 1e308))]);
    check(P, "m{i=\"1\"} inf -inf\nm{i=\"2\"} 0 inf", &[("avg(m)", "{} inf NaN"), ("sum(m)", "{} inf NaN")]);
    check(
        P,
        "m{i=\"1\"} 1\nm{i=\"2\"} NaN",
        &[("max(m)", "{} 1"), ("min(m)", "{} 1"), ("sum(m)", "{} NaN"), ("stddev(m)", "{} NaN")],
    );
    check(M, "m{i=\"1\"} 1e300\nm{i=\"2\"} 1e300", &[("geomean(m)", &format!("{{}} {}", 1e300))]);
}

#[test]
fn series_without_samples_make_no_groups() {
    let load = "m{g=\"a\",i=\"1\"} 1 1\nm{g=\"b\",i=\"2\"} _ _\nm{g=\"c\",i=\"3\"} _ _\nm{g=\"d\",i=\"4\"} _ 1";
    for aggregate in [
        "quantile(0.5, m)",
        "mode(m)",
        "mad(m)",
        "distinct(m)",
        "stddev(m)",
        "limitk(9, m)",
        "sum(m, m)",
        "avg(m) by (g)",
    ] {
        let by = if aggregate.contains(" by ") { "" } else { " by (g)" };
        check(M, load, &[(&format!("count({aggregate}{by} default 7)"), "{} 2 2")]);
    }
    check(
        M,
        load,
        &[
            ("count(quantiles(\"q\", 0.1, 0.9, m) by (g) default 0)", "{} 4 4"),
            ("limitk(2, m)", "m{g=\"a\",i=\"1\"} 1 1\nm{g=\"d\",i=\"4\"} _ 1"),
            ("median(m) by (g) limit 2", "{g=\"a\"} 1 1\n{g=\"d\"} _ 1"),
            ("m == on() group_right() sum2((2 > 3))", ""),
        ],
    );
}

#[test]
fn an_infinite_value_has_a_spread_only_alone() {
    for infinite in ["inf", "-inf"] {
        let load = format!(
            "m{{g=\"a\",i=\"1\"}} {infinite} 1 _\nm{{g=\"b\",i=\"1\"}} {infinite} 1 5\nm{{g=\"b\",i=\"2\"}} _ 3 {infinite}"
        );
        check(
            M,
            &load,
            &[
                ("stddev(m) by (g)", "{g=\"a\"} 0 0 _\n{g=\"b\"} _ 1 _"),
                ("stdvar(m) by (g)", "{g=\"a\"} 0 0 _\n{g=\"b\"} _ 1 _"),
            ],
        );
        check(P, &load, &[("stddev by (g) (m)", "{g=\"a\"} NaN 0 _\n{g=\"b\"} NaN 1 NaN")]);
    }
}

const RANKED: &str = r#"
    m{g="a",i="1"} 1
    m{g="a",i="2"} 3
    m{g="a",i="3"} 2
    m{g="b",i="4"} 9
    m{g="b",i="5"} NaN
"#;

#[test]
fn the_best_samples_come_in_order() {
    check(
        P,
        RANKED,
        &[
            ("topk(2, m)", "m{g=\"b\",i=\"4\"} 9\nm{g=\"a\",i=\"2\"} 3"),
            ("bottomk(2, m)", "m{g=\"a\",i=\"1\"} 1\nm{g=\"a\",i=\"3\"} 2"),
            ("topk by (g) (1, m)", "m{g=\"a\",i=\"2\"} 3\nm{g=\"b\",i=\"4\"} 9"),
            ("topk(9999999999, m{g=\"b\"})", "m{g=\"b\",i=\"4\"} 9\nm{g=\"b\",i=\"5\"} NaN"),
            ("bottomk(5, m{g=\"b\"})", "m{g=\"b\",i=\"4\"} 9\nm{g=\"b\",i=\"5\"} NaN"),
            ("topk(0, m)", ""),
            ("topk(-1, m)", ""),
            ("topk(NaN, nothing)", "error: Parameter value is NaN"),
            ("topk(1e30, m)", "error: Scalar value 1e+30 overflows int64"),
            ("limitk(NaN, nothing)", "error: Parameter value is NaN"),
            ("limit_ratio(NaN, nothing)", "error: Ratio value is NaN"),
            ("count(limitk by (g) (1, m))", "{} 2"),
            ("quantile(0.5, m{g=\"a\"})", "{} 2"),
            ("quantile(0.75, m{g=\"b\"})", "{} NaN"),
            ("quantile(1, m)", "{} 9"),
            ("quantile(2, m)", "{} inf"),
        ],
    );
    check(
        M,
        RANKED,
        &[
            ("topk(2, m)", "m{g=\"b\",i=\"4\"} 9\nm{g=\"a\",i=\"2\"} 3"),
            ("bottomk(2, m) by (g)", "m{g=\"a\",i=\"1\"} 1\nm{g=\"a\",i=\"3\"} 2\nm{g=\"b\",i=\"4\"} 9"),
            ("quantile(0.75, m{g=\"b\"})", "{} 9"),
            ("quantiles(\"q\", 0, 0.5, 1, m{g=\"a\"})", "{q=\"0\"} 1\n{q=\"0.5\"} 2\n{q=\"1\"} 3"),
            ("median(m)", "{} 2.5"),
            ("mad(m{g=\"a\"})", "{} 1"),
        ],
    );
}

#[test]
fn ranks_change_from_point_to_point() {
    let load = "m{i=\"1\"} 1 9 _\nm{i=\"2\"} 2 2 2\nm{i=\"3\"} 3 1 1";
    for dialect in [M, P] {
        check(
            dialect,
            load,
            &[
                ("topk(1, m)", "m{i=\"1\"} _ 9 _\nm{i=\"2\"} _ _ 2\nm{i=\"3\"} 3 _ _"),
                ("bottomk(1, m)", "m{i=\"1\"} 1 _ _\nm{i=\"3\"} _ 1 1"),
            ],
        );
    }
    check(
        M,
        load,
        &[
            ("topk_max(1, m)", "m{i=\"1\"} 1 9 _"),
            ("topk_avg(1, m, \"i=other\")", "m{i=\"1\"} 1 9 _\n{i=\"other\"} 5 3 3"),
            ("topk_last(1, m)", "m{i=\"1\"} 1 9 _"),
            ("bottomk_last(1, m)", "m{i=\"3\"} 3 1 1"),
            ("bottomk_min(1, m, \"rest\")", "m{i=\"1\"} 1 9 _\n{rest=\"rest\"} 5 3 3"),
            ("topk_median(2, m)", "m{i=\"1\"} 1 9 _\nm{i=\"2\"} 2 2 2"),
            ("count(limitk(2, m))", "{} 2 2 2"),
        ],
    );
}

#[test]
fn ratios_take_series_and_their_complements() {
    let load: String = (0..40).map(|i| format!("m{{i=\"{i}\"}} {i}\n")).collect();
    for ratio in ["0.2", "0.5", "0.8"] {
        let query = format!("count(limit_ratio({ratio}, m) or limit_ratio({ratio} - 1, m))");
        check(P, &load, &[(&query, "{} 40")]);
        check(P, &load, &[(&format!("count(limit_ratio({ratio}, m) and limit_ratio({ratio} - 1, m))"), "")]);
    }
    let (result, notes) = run(P, &load, "count(limit_ratio(1.1, m))");
    assert_eq!(result, Ok(vec!["{} 40".into()]));
    assert_eq!(notes, ["PromQL warning: ratio value should be between -1 and 1, got 1.1, capping to 1 (1:19)"]);
}

#[test]
fn values_are_counted() {
    let load = "v{i=\"1\",g=\"a\"} 6 7\nv{i=\"2\",g=\"a\"} 6 _\nv{i=\"3\",g=\"b\"} 0.5 6";
    for dialect in [M, P] {
        check(
            dialect,
            load,
            &[
                ("count_values(\"v\", v)", "{v=\"0.5\"} 1 _\n{v=\"6\"} 2 1\n{v=\"7\"} _ 1"),
                (
                    "count_values without (i) (\"v\", v)",
                    "{g=\"a\",v=\"6\"} 2 _\n{g=\"a\",v=\"7\"} _ 1\n{g=\"b\",v=\"0.5\"} 1 _\n{g=\"b\",v=\"6\"} _ 1",
                ),
                ("count_values by (g) (\"g\", v)", "{g=\"0.5\"} 1 _\n{g=\"6\"} 2 1\n{g=\"7\"} _ 1"),
            ],
        );
    }
}

#[test]
fn series_are_looked_at_beside_their_group() {
    let load = r#"
        m{i="1"} 1 1
        m{i="2"} 1 2
        m{i="3"} 2 3
        m{i="4"} 100 _
    "#;
    check(
        M,
        load,
        &[
            ("share(m{i!=\"4\"})", "m{i=\"1\"} 0.25 0.1666666667\nm{i=\"2\"} 0.25 0.3333333333\nm{i=\"3\"} 0.5 0.5"),
            (
                "zscore(m{i!=\"4\"})",
                "m{i=\"1\"} -0.7071067812 -1.224744871\nm{i=\"2\"} -0.7071067812 0\nm{i=\"3\"} 1.414213562 1.224744871",
            ),
            ("mode(m)", "{} 1 1"),
            ("distinct(m)", "{} 3 3"),
            ("outliers_iqr(m)", "m{i=\"4\"} 100 _"),
            ("outliers_mad(5, m)", "m{i=\"4\"} 100 _"),
            ("outliersk(1, m{i!=\"4\"})", "m{i=\"3\"} 2 3"),
            (
                "histogram(m{i!=\"3\",i!=\"4\"})",
                "{le=\"+Inf\"} 2 2\n{le=\"1.000e+00\"} 2 1\n{le=\"1.896e+00\"} 2 1\n{le=\"2.154e+00\"} 2 2\n{le=\"8.799e-01\"} 0 0",
            ),
        ],
    );
}

#[test]
fn quantiles_outside_are_told_of() {
    let (result, notes) = run(P, "m 1 2", "quantile(NaN, m)");
    assert_eq!(result, Ok(vec!["{} NaN NaN".into()]));
    assert_eq!(notes, ["PromQL warning: quantile value should be between 0 and 1, got NaN (1:10)"]);
    let (_, notes) = run(P, "m 1 2", "quantile(0.5, m)");
    assert!(notes.is_empty());
}
