//! Operators: arithmetic, comparisons, sets, matching, grouping, fills.

use super::{M, P, check, run};

const PAIRS: &str = r#"
    a{l="x"} 1 2 _
    a{l="y"} 4 _ 6
    b{l="x"} 10 20 30
    b{l="z"} 5 5 5
    c 2 2 2
"#;

#[test]
fn arithmetic_goes_through_pairs_and_drops_names() {
    for dialect in [M, P] {
        check(
            dialect,
            PAIRS,
            &[
                ("a + b", "{l=\"x\"} 11 22 _"),
                ("a * 2", "{l=\"x\"} 2 4 _\n{l=\"y\"} 8 _ 12"),
                ("2 ^ a", "{l=\"x\"} 2 4 _\n{l=\"y\"} 16 _ 64"),
                ("a % 2", "{l=\"x\"} 1 0 _\n{l=\"y\"} 0 _ 0"),
                ("b{l=\"z\"} atan2 b{l=\"z\"}", "{l=\"z\"} 0.7853981634 0.7853981634 0.7853981634"),
                ("a + on() group_left c", "{l=\"x\"} 3 4 _\n{l=\"y\"} 6 _ 8"),
                ("a - ignoring(l) group_left c", "{l=\"x\"} -1 0 _\n{l=\"y\"} 2 _ 4"),
                ("-a", "{l=\"x\"} -1 -2 _\n{l=\"y\"} -4 _ -6"),
                ("a / nothing", ""),
            ],
        );
    }
    check(
        M,
        PAIRS,
        &[
            ("a + c", ""),
            ("(a * 2) keep_metric_names", "a{l=\"x\"} 2 4 _\na{l=\"y\"} 8 _ 12"),
            ("(a + b) keep_metric_names", ""),
            ("(a + on(l) b) keep_metric_names", "a{l=\"x\"} 11 22 _"),
            ("1 + 2 * 3", "scalar 7 7 7"),
        ],
    );
}

#[test]
fn comparisons_keep_samples_or_tell() {
    for dialect in [M, P] {
        check(
            dialect,
            PAIRS,
            &[
                ("a > 1", "a{l=\"x\"} _ 2 _\na{l=\"y\"} 4 _ 6"),
                ("1 < a", "a{l=\"x\"} _ 2 _\na{l=\"y\"} 4 _ 6"),
                ("a > bool 1", "{l=\"x\"} 0 1 _\n{l=\"y\"} 1 _ 1"),
                ("a < b", "a{l=\"x\"} 1 2 _"),
                ("a < bool b", "{l=\"x\"} 1 1 _"),
                ("a < on(l) b", "{l=\"x\"} 1 2 _"),
                ("b > on(l) group_right a", "a{l=\"x\"} 10 20 _"),
            ],
        );
    }
    check(P, PAIRS, &[("1 == bool 1", "scalar 1 1 1"), ("2 < bool 1", "scalar 0 0 0")]);
    check(
        M,
        PAIRS,
        &[
            ("a == (1, 2)", "a{l=\"x\"} 1 2 _"),
            ("a != (1, 4)", "a{l=\"x\"} _ 2 _\na{l=\"y\"} _ _ 6"),
            ("a != 1", "a{l=\"x\"} _ 2 _\na{l=\"y\"} 4 _ 6"),
            ("2 > a", "a{l=\"x\"} 1 _ _"),
        ],
    );
}

#[test]
fn a_side_of_or_may_have_equal_series() {
    let load = "a{i=\"1\"} 1 2 _\nb{i=\"1\"} 10 _ 30\nc{i=\"2\"} 5 5 5\nd{i=\"1\"} 7 7 7";
    check(
        M,
        load,
        &[
            ("count(abs({i=\"1\"}) or vector(0))", "{} 4 3 3"),
            ("sum(abs({i=\"1\"}) or abs(c))", "{} 23 14 42"),
            ("sum(abs(c) or abs({i=\"1\"}))", "{} 23 14 42"),
            ("abs(a) or abs(d)", "{i=\"1\"} 1 2 7"),
            ("count(abs(a) or abs({i=\"1\",__name__!=\"a\"}))", "{} 1 1 1"),
        ],
    );
    check(P, load, &[("abs({i=\"1\"}) or vector(0)", "error: same labelset")]);
}

#[test]
fn a_negative_is_what_is_missing_to_nothing() {
    let load = "a{i=\"1\"} 0 2\na{i=\"2\"} _ _";
    check(M, load, &[("count((-a) default 1)", "{} 1 1"), ("1 / -a{i=\"1\"}", "{i=\"1\"} inf -0.5")]);
    check(P, load, &[("1 / -a{i=\"1\"}", "{i=\"1\"} -inf -0.5")]);
}

#[test]
fn nan_is_a_value_in_promql_and_nothing_in_metricsql() {
    let load = "m 1 NaN _\nn 1 1 1";
    check(
        P,
        load,
        &[
            ("m + 1", "{} 2 NaN _"),
            ("m != 1", "m _ NaN _"),
            ("m == bool 1", "{} 1 0 _"),
            ("m / 0 * 0", "{} NaN NaN _"),
            ("n unless m", "n _ _ 1"),
            ("n and m", "n 1 1 _"),
            ("m or n", "m 1 NaN _\nn _ _ 1"),
            ("NaN == bool NaN", "scalar 0 0 0"),
        ],
    );
    check(
        M,
        load,
        &[
            ("m + 1", "{} 2 _ _"),
            ("m == bool 1", "{} 1 _ _"),
            ("n unless m", "n _ 1 1"),
            ("m or n", "m 1 _ _\nn _ 1 1"),
            ("m default 7", "m 1 7 7"),
        ],
    );
}

#[test]
fn sets_ask_where_samples_are() {
    for dialect in [M, P] {
        check(
            dialect,
            PAIRS,
            &[
                ("a and b", "a{l=\"x\"} 1 2 _"),
                ("b and a", "b{l=\"x\"} 10 20 _"),
                ("b unless a", "b{l=\"x\"} _ _ 30\nb{l=\"z\"} 5 5 5"),
                ("a or b", "a{l=\"x\"} 1 2 _\na{l=\"y\"} 4 _ 6\nb{l=\"x\"} _ _ 30\nb{l=\"z\"} 5 5 5"),
                ("a and on() c", "a{l=\"x\"} 1 2 _\na{l=\"y\"} 4 _ 6"),
                ("a and ignoring(l) c", "a{l=\"x\"} 1 2 _\na{l=\"y\"} 4 _ 6"),
                ("a unless on() c", ""),
                ("nothing or a{l=\"x\"}", "a{l=\"x\"} 1 2 _"),
            ],
        );
    }
    check(
        M,
        PAIRS,
        &[
            ("a if b", "a{l=\"x\"} 1 2 _"),
            ("b ifnot a", "b{l=\"x\"} _ _ 30\nb{l=\"z\"} 5 5 5"),
            ("a default b", "a{l=\"x\"} 1 2 30\na{l=\"y\"} 4 _ 6"),
            ("a default 0", "a{l=\"x\"} 1 2 0\na{l=\"y\"} 4 0 6"),
            ("a default c", "a{l=\"x\"} 1 2 _\na{l=\"y\"} 4 _ 6"),
            ("a default on() c", "a{l=\"x\"} 1 2 2\na{l=\"y\"} 4 2 6"),
            ("nothing default 5", "{} 5 5 5"),
            ("a if 1", "a{l=\"x\"} 1 2 _\na{l=\"y\"} 4 _ 6"),
            ("a ifnot 1", ""),
            ("(a > 3) default 0", "a{l=\"x\"} 0 0 0\na{l=\"y\"} 4 0 6"),
        ],
    );
}

#[test]
fn grouping_takes_labels_from_the_one_side() {
    let load = r#"
        cpu{node="1",mode="idle"} 3
        cpu{node="1",mode="user"} 1
        role{node="1",role="db",zone="z"} 1
    "#;
    for dialect in [M, P] {
        check(
            dialect,
            load,
            &[
                (
                    "cpu * on(node) group_left(role) role",
                    "{mode=\"idle\",node=\"1\",role=\"db\"} 3\n{mode=\"user\",node=\"1\",role=\"db\"} 1",
                ),
                (
                    "role * on(node) group_right(role, zone) cpu",
                    "{mode=\"idle\",node=\"1\",role=\"db\",zone=\"z\"} 3\n{mode=\"user\",node=\"1\",role=\"db\",zone=\"z\"} 1",
                ),
                (
                    "cpu * on(node) group_left(missing) role",
                    "{mode=\"idle\",node=\"1\"} 3\n{mode=\"user\",node=\"1\"} 1",
                ),
                (
                    "cpu{mode=\"idle\"} * on(node) group_left(*) prefix \"r_\" role",
                    "{mode=\"idle\",node=\"1\",r_role=\"db\",r_zone=\"z\"} 3",
                ),
                ("cpu{mode=\"idle\"} > on(node) group_left(role) role", "cpu{mode=\"idle\",node=\"1\",role=\"db\"} 3"),
            ],
        );
    }
}

#[test]
fn rivals_differ_in_what_is_ambiguous() {
    let load = r#"
        many{l="1"} 1 _ 3 _ 5
        many{l="2"} _ 2 _ 4 _
        one 10 10 10 10 10
        twin{l="1"} 1 1 1 1 1
        twin{l="2"} 1 1 1 1 1
    "#;
    check(
        P,
        load,
        &[
            ("many + on() one", "{} 11 12 13 14 15"),
            ("one + on() many", "{} 11 12 13 14 15"),
            ("twin + on() one", "error: many-to-one matching must be explicit"),
            (
                "one + on() twin",
                "error: found duplicate series for the match group {} on the right hand-side of the operation: \
             [{__name__=\"twin\", l=\"1\"}, {__name__=\"twin\", l=\"2\"}];many-to-many matching not allowed",
            ),
            ("many + on() group_left twin", "error: many-to-many matching not allowed"),
            ("twin > on() group_left one", ""),
            ("twin > on() group_left(l) one", "error: grouping labels must ensure unique matches"),
            ("twin * on() group_left(l) one", "error: grouping labels must ensure unique matches"),
            ("one * on() group_right(l) twin", "error: grouping labels must ensure unique matches"),
        ],
    );
    check(
        M,
        load,
        &[
            ("many + on() one", "{} 11 12 13 14 15"),
            ("twin + on() one", "error: duplicate time series on the left side of `+ on()`"),
            ("one + on() twin", "error: duplicate time series on the right side of `+ on()`"),
            ("one + on() group_left twin", "error: duplicate time series on the right side"),
            ("one + on() group_left(l) twin", "{l=\"1\"} 11 11 11 11 11\n{l=\"2\"} 11 11 11 11 11"),
            ("one + on() group_left many", "{} 11 12 13 14 15"),
        ],
    );
    let short = "many{l=\"1\"} 1 _\nmany{l=\"2\"} _ 2\none 10 10";
    check(P, short, &[("many + on() one", "{} 11 12")]);
    check(M, short, &[("many + on() one", "error: duplicate time series on the left side")]);
}

#[test]
fn errors_of_matching_come_also_where_all_is_filtered_away() {
    let load = "many{l=\"foo\",j=\"t\"} 0\nmany{l=\"bar\",j=\"t\"} 1\none{j=\"t\"} 1";
    for operator in [">", ">=", "<="] {
        check(P, load, &[(&format!("many {operator} on(j) one"), "error: many-to-one matching must be explicit")]);
    }
}

#[test]
fn fills_stand_for_partners_that_are_not_there() {
    check(
        P,
        PAIRS,
        &[
            ("a + fill(0) b", "{l=\"x\"} 11 22 30\n{l=\"y\"} 4 _ 6\n{l=\"z\"} 5 5 5"),
            ("a + fill_right(100) b", "{l=\"x\"} 11 22 _\n{l=\"y\"} 104 _ 106"),
            ("a + fill_left(100) b", "{l=\"x\"} 11 22 130\n{l=\"z\"} 105 105 105"),
            ("a > fill_right(3) b", "a{l=\"y\"} 4 _ 6"),
            ("a + on(l) group_left fill(1) b", "{l=\"x\"} 11 22 31\n{l=\"y\"} 5 _ 7\n{l=\"z\"} 6 6 6"),
        ],
    );
}

#[test]
fn names_go_when_all_is_evaluated() {
    let load = "a{e=\"1\"} 1 _\nb{e=\"1\"} 3 4\nc{e=\"2\"} 9 9";
    check(
        P,
        load,
        &[
            ("-a or -b", "{e=\"1\"} -1 -4"),
            ("sum by (__name__, e) (a)", "a{e=\"1\"} 1 _"),
            ("topk(3, sum by (__name__, e) (-a))", "{e=\"1\"} -1 _"),
            ("sum by (__name__) (-c or b)", "b 3 4\n{} -9 -9"),
            ("label_replace(-c, \"x\", \"$1\", \"__name__\", \"(.+)\")", "{e=\"2\",x=\"c\"} -9 -9"),
            ("label_replace(-c, \"__name__\", \"n_$1\", \"__name__\", \"(.+)\")", "n_c{e=\"2\"} -9 -9"),
            ("-{e=\"1\"}", "error: vector cannot contain metrics with the same labelset"),
        ],
    );
    let (result, _) = run(P, load, "sum by (__name__) (-{e=\"1\"})");
    assert!(result.is_err());
}
