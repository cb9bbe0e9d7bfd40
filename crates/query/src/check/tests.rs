//! What each dialect accepts, with which type, and what it refuses, with which words.

use super::{check, signature::signatures, *};
use crate::{dialect, functions, rollup};

fn checked(text: &str, dialect: Dialect, is_range: bool) -> Result<Type, String> {
    let expr = ::metricsql::parse(text, &dialect::syntax(dialect)).unwrap_or_else(|error| panic!("{text}: {error}"));
    check(text, &expr, dialect, is_range).map_err(|error| error.to_string())
}

#[test]
fn promql_has_types() {
    use Type::*;
    let cases = [
        ("1 + 2", Scalar),
        ("1 < bool 2", Scalar),
        ("\"text\"", Text),
        ("5m", Scalar),
        ("m", InstantVector),
        ("m > 1", InstantVector),
        ("-m", InstantVector),
        ("m[5m]", RangeVector),
        ("(m[5m] offset 1m)", RangeVector),
        ("m[5m:1m]", RangeVector),
        ("sum(m)[5m:]", RangeVector),
        ("rate(m[5m])", InstantVector),
        ("time() * 2", Scalar),
        ("scalar(m)", Scalar),
        ("step() + range() + start() + end()", Scalar),
        ("max_of(1, min_of(2, 3))", Scalar),
        ("vector(1)", InstantVector),
        ("hour()", InstantVector),
        ("round(m)", InstantVector),
        ("label_join(m, \"a\", \",\")", InstantVector),
        ("label_join(m, \"a\", \",\", \"b\", \"c\")", InstantVector),
        ("sort_by_label(m, \"a\", \"b\")", InstantVector),
        ("histogram_quantiles(m, \"q\", 0.1, 0.5, 0.9)", InstantVector),
        ("topk(1 + 1, m)", InstantVector),
        ("count_values(\"v\", m)", InstantVector),
        ("limit_ratio(-0.5, m)", InstantVector),
        ("info(m, {a=~\".*\"})", InstantVector),
        ("info(m)", InstantVector),
        ("{a=\"b\", c=\"\"}", InstantVector),
        ("m offset 1h[5m:]", RangeVector),
    ];
    for (text, want) in cases {
        assert_eq!(checked(text, Dialect::PromQl, false), Ok(want), "{text}");
    }
}

#[test]
fn promql_refuses_in_the_words_of_prometheus() {
    let cases = [
        ("abs(m[5m])", "1:5: parse error: expected type instant vector in call to function \"abs\", got range vector"),
        ("rate(m)", "expected type range vector in call to function \"rate\", got instant vector"),
        ("vector(m)", "expected type scalar in call to function \"vector\", got instant vector"),
        (
            "label_replace(m, 1, \"b\", \"c\", \"d\")",
            "expected type string in call to function \"label_replace\", got scalar",
        ),
        ("rate()", "expected 1 argument(s) in call to \"rate\", got 0"),
        ("hour(m, m)", "expected at most 1 argument(s) in call to \"hour\", got 2"),
        ("label_join(m)", "expected at least 3 argument(s) in call to \"label_join\", got 1"),
        ("raet(m[5m])", "unknown function with name \"raet\""),
        ("rates(m[5m])", "unknown function with name \"rates\" (did you mean \"rate\"?)"),
        ("RATE(m[5m])", "unknown function with name \"RATE\""),
        ("any(m)", "unknown function with name \"any\""),
        ("sum()", "no arguments for aggregate expression provided"),
        ("sum(m, m)", "wrong number of arguments for aggregate expression provided, expected 1, got 2"),
        ("topk(m)", "wrong number of arguments for aggregate expression provided, expected 2, got 1"),
        ("sum(1)", "expected type instant vector in aggregation expression, got scalar"),
        ("topk(m, m)", "expected type scalar in aggregation parameter, got instant vector"),
        ("count_values(1, m)", "expected type string in aggregation parameter, got scalar"),
        ("1 < 2", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        ("1 and m", "set operator \"and\" not allowed in binary scalar expression"),
        ("1 or 2", "set operator \"or\" not allowed in binary scalar expression"),
        ("m + m[5m]", "1:5: parse error: binary expression must contain only scalar and instant vector types"),
        ("\"a\" + \"b\"", "binary expression must contain only scalar and instant vector types"),
        ("m and on(a) group_left(b) m", "no grouping allowed for \"and\" operation"),
        ("m * on(a, b) group_left(b) m", "label \"b\" must not occur in ON and GROUP clause at once"),
        ("m + on(a) 1", "vector matching only allowed between instant vectors"),
        ("m + fill(0) 1", "filling in missing series only allowed between instant vectors"),
        ("m or fill(0) m", "filling in missing series not allowed for set operators"),
        (
            "-m[5m]",
            "unary expression only allowed on expressions of type scalar or instant vector, got \"range vector\"",
        ),
        ("sum(m)[5m]", "ranges only allowed for vector selectors"),
        ("(m)[5m]", "ranges only allowed for vector selectors"),
        ("m offset 1m[5m]", "no offset modifiers allowed before range"),
        ("m @ 1[5m]", "no @ modifiers allowed before range"),
        ("m[5m][5m:]", "subquery is only allowed on instant vector, got matrix instead"),
        ("1[5m:]", "subquery is only allowed on instant vector, got scalar instead"),
        ("sum(m) offset 5m", "offset modifier must be preceded by an instant vector selector"),
        ("(m + m) @ 5", "@ modifier must be preceded by an instant vector selector"),
        ("m @ sum(m)", "unexpected expression in @, expected timestamp"),
        ("m @ Inf", "timestamp out of bounds for @ modifier"),
        ("m[0s]", "duration must be greater than 0"),
        ("{}", "vector selector must contain at least one non-empty matcher"),
        ("{a=\"\"}", "vector selector must contain at least one non-empty matcher"),
        ("{a=~\".*\",b!=\"c\",d!~\"e\"}", "vector selector must contain at least one non-empty matcher"),
        ("info(m, n)", "expected label selectors only, got vector selector instead"),
        ("info(m, sum(n))", "expected label selectors only"),
        ("m[5m:1m] smoothed", "smoothed modifier is not supported for subqueries"),
    ];
    for (text, part) in cases {
        let error = checked(text, Dialect::PromQl, false).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
    }
    let error = checked("m[5m]", Dialect::PromQl, true).unwrap_err();
    let want = "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector";
    assert_eq!(error, want);
    assert!(checked("\"a\"", Dialect::PromQl, true).is_err());
}

#[test]
fn metricsql_converts_and_counts() {
    let right = [
        "RATE(m)",
        "sum(m, n, 1)",
        "rate(sum(m))",
        "abs(m[5m])",
        "1 < 2",
        "(a, b)",
        "sum(m) offset 5m",
        "{}",
        "any(m) by (x) limit 3",
        "m[max(step(), 5m)]",
        "ru(a, b)",
        "histogram_quantile(0.5, m, \"bounds\")",
        "rollup(m[5m], \"max\")",
    ];
    for text in right {
        assert!(
            checked(text, Dialect::MetricsQl, true).is_ok(),
            "{text}: {:?}",
            checked(text, Dialect::MetricsQl, true)
        );
    }
    let wrong = [
        ("nosuchfunction(m)", "line 1, column 1: unsupported function \"nosuchfunction\""),
        ("1 + incrase(m)", "line 1, column 5: unsupported function \"incrase\" (did you mean \"increase\"?)"),
        ("rate()", "unexpected number of args for \"rate\"; got 0; want 1"),
        ("round(m, 1, 2)", "unexpected number of args for \"round\"; got 3; want 1...2"),
        ("label_join(m)", "unexpected number of args for \"label_join\"; got 1; want at least 3"),
        ("sum()", "unexpected number of args for \"sum\"; got 0; want at least 1"),
        ("limit_ratio(0.5, m)", "unsupported function \"limit_ratio\""),
        ("a and on(x) group_left() b", "modifier \"group_left\" cannot be applied to \"and\""),
    ];
    for (text, part) in wrong {
        let error = checked(text, Dialect::MetricsQl, false).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
    }
}

/// Signatures whose function is not there: `ru`, `ttf` are templates, which the parser expands; `info` needs a second search for series.
const NOT_EVALUATED: [&str; 3] = ["info", "ru", "ttf"];

#[test]
fn every_function_of_the_table_is_there() {
    for dialect in [Dialect::MetricsQl, Dialect::PromQl] {
        let is_there = |name: &str| {
            rollup::is_rollup(dialect, name)
                || functions::is_transform(dialect, name)
                || functions::is_aggregate(dialect, name)
        };
        let missing: Vec<_> = signatures(dialect)
            .map(|signature| signature.name)
            .filter(|name| !is_there(name) && !NOT_EVALUATED.contains(name))
            .collect();
        assert!(missing.is_empty(), "{dialect:?}: {missing:?}");
    }
}

#[test]
fn every_name_stands_once() {
    let mut names: Vec<_> = super::table::TABLE.iter().copied().flatten().map(|signature| signature.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    for signature in signatures(Dialect::MetricsQl).chain(signatures(Dialect::PromQl)) {
        let is_aggregate = signature.kind == super::signature::Kind::Aggregate;
        assert_eq!(is_aggregate, ::metricsql::is_aggregate(signature.name), "{}", signature.name);
    }
}

#[test]
fn whatever_is_checked_nothing_panics() {
    let corpus: Vec<Vec<u8>> = [
        "sum by (a) (rate(m{x=~\"y.*\"}[5m:1m] offset -1h @ end())) > bool on(i) group_left(j) b",
        "WITH (f(x, y) = x{a=\"b\"+y}, w = 5m) f(m, \"t\") + m[w:1i] @ (1 + 2)",
        "info(topk(3, m), {z!=\"\"}) + fill(0) label_join(m, \"a\", \",\", \"b\") or histogram_quantiles(m, \"q\", 1, 2)",
        "-\"text\" ^ round(m @ NaN, 1[5m:]) unless (a, ru(b, c)) anchored",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    testkit::fuzz::run("query-check", &corpus, std::time::Duration::from_secs(1), |data| {
        let text = String::from_utf8_lossy(data);
        for dialect in [Dialect::MetricsQl, Dialect::PromQl] {
            if let Ok(expr) = ::metricsql::parse(&text, &dialect::syntax(dialect)) {
                let ranged = check(&text, &expr, dialect, true);
                let instant = check(&text, &expr, dialect, false);
                assert!(instant.is_ok() || ranged.is_err(), "{text:?} is right as a range alone");
            }
        }
    });
}
