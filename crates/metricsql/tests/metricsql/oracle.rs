//! The library `promql-parser` as an oracle: on what both know, the trees must be the same.
//!
//! What the library lacks of Prometheus 3, and what is therefore not made here: expressions as durations, `anchored` and `smoothed`, `step()`, `range()`,
//! `start()` and `end()` as functions, numbers as windows, escapes that are no UTF-8. It checks types, so trees are made with types.

use metricsql::{
    Aggregate, At, Binary, BinaryOp, Expr, ExprKind, Grouping, Matching, Options, Rollup, Unit, duration_millis, parse,
};
use model::{METRIC_NAME, MatchOp, Matcher, Selector};
use promql_parser::{
    label::MatchOp as TheirMatchOp,
    parser::{self as theirs, LabelModifier, VectorMatchCardinality},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::generate::{bare, call, node};

const PROMQL: Options =
    Options { folds_texts: false, negative_duration_parts: false, predefined_templates: false, metric_name_once: true };

/// A tree as nested lists in one text, without parentheses of the language.
fn ours(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Number(value) => format!("{value}"),
        ExprKind::Duration(parts) => format!("{}", duration_millis(parts, 0.0) / 1e3),
        ExprKind::Text(text) => format!("{text:?}"),
        ExprKind::Selector(selector) => our_selector(selector),
        ExprKind::Rollup(rollup) => our_rollup(rollup),
        ExprKind::Call(call) => format!("({}{})", call.name, our_list(&call.args)),
        ExprKind::Aggregate(aggregate) => {
            let grouping = match &aggregate.grouping {
                None => String::new(),
                Some(Grouping::By(labels)) => format!(" by {labels:?}"),
                Some(Grouping::Without(labels)) => format!(" without {labels:?}"),
            };
            format!("({}{grouping}{})", aggregate.name, our_list(&aggregate.args))
        }
        ExprKind::Binary(binary) => {
            let matching = match &binary.matching {
                None => String::new(),
                Some(Matching::On(labels)) => format!(" on {labels:?}"),
                Some(Matching::Ignoring(labels)) => format!(" ignoring {labels:?}"),
            };
            let group =
                binary.group.as_ref().map(|group| format!(" {:?} {:?}", group.side, group.labels)).unwrap_or_default();
            let fill = format!("{:?} {:?}", binary.fill.left, binary.fill.right);
            let (left, right) = (ours(&binary.left), ours(&binary.right));
            format!("({} {} {matching}{group} {fill} {left} {right})", binary.op.text(), binary.returns_bool)
        }
        ExprKind::Negate(inner) => match ours(inner) {
            number if matches!(inner.kind, ExprKind::Number(_)) => format!("{}", -number.parse::<f64>().unwrap()),
            inner => format!("(- {inner})"),
        },
        ExprKind::Plus(inner) | ExprKind::Paren(inner) => ours(inner),
        other => panic!("no PromQL: {other:?}"),
    }
}

fn our_list(exprs: &[Expr]) -> String {
    exprs.iter().map(|expr| format!(" {}", ours(expr))).collect()
}

fn our_selector(selector: &Selector) -> String {
    let mut matchers: Vec<String> = selector.any_of.iter().flatten().map(Matcher::to_string).collect();
    matchers.sort();
    matchers.dedup();
    format!("{{{}}}", matchers.join(","))
}

fn millis(expr: &Expr) -> f64 {
    match &expr.kind {
        ExprKind::Duration(parts) => duration_millis(parts, 0.0),
        ExprKind::Number(seconds) => seconds * 1e3,
        ExprKind::Negate(inner) => -millis(inner),
        other => panic!("no length: {other:?}"),
    }
}

fn our_rollup(rollup: &Rollup) -> String {
    let window = rollup.window.as_ref().map(|window| format!("[{}]", millis(window))).unwrap_or_default();
    let subquery = rollup.subquery.as_ref().map(|subquery| format!(":{:?}", subquery.step.as_ref().map(millis)));
    let at = match &rollup.at {
        None => String::new(),
        Some(At::Start) => " @start".to_string(),
        Some(At::End) => " @end".to_string(),
        Some(At::Time(time)) => format!(" @{}", millis(time)),
    };
    let offset = rollup.offset.as_ref().map(|offset| format!(" offset {}", millis(offset))).unwrap_or_default();
    format!("{}{window}{}{at}{offset}", ours(&rollup.inner), subquery.unwrap_or_default())
}

fn their(expr: &theirs::Expr) -> String {
    match expr {
        theirs::Expr::NumberLiteral(number) => format!("{}", number.val),
        theirs::Expr::StringLiteral(text) => format!("{:?}", text.val),
        theirs::Expr::Paren(paren) => their(&paren.expr),
        theirs::Expr::Unary(unary) => format!("(- {})", their(&unary.expr)),
        theirs::Expr::VectorSelector(selector) => {
            format!("{}{}", their_selector(selector), their_shift(selector.at.as_ref(), selector.offset.as_ref()))
        }
        theirs::Expr::MatrixSelector(matrix) => {
            let shift = their_shift(matrix.vs.at.as_ref(), matrix.vs.offset.as_ref());
            format!("{}[{}]{shift}", their_selector(&matrix.vs), matrix.range.as_millis())
        }
        theirs::Expr::Subquery(subquery) => {
            let step = subquery.step.map(|step| step.as_millis() as f64);
            let shift = their_shift(subquery.at.as_ref(), subquery.offset.as_ref());
            format!("{}[{}]:{step:?}{shift}", their(&subquery.expr), subquery.range.as_millis())
        }
        theirs::Expr::Call(call) => {
            let args: String = call.args.args.iter().map(|arg| format!(" {}", their(arg))).collect();
            format!("({}{args})", call.func.name)
        }
        theirs::Expr::Aggregate(aggregate) => {
            let grouping = aggregate.modifier.as_ref().map(their_grouping).unwrap_or_default();
            let param = aggregate.param.as_ref().map(|param| format!(" {}", their(param))).unwrap_or_default();
            format!("({}{grouping}{param} {})", aggregate.op, their(&aggregate.expr))
        }
        theirs::Expr::Binary(binary) => their_binary(binary),
        theirs::Expr::Extension(_) => panic!("no extensions are made"),
    }
}

fn their_grouping(modifier: &LabelModifier) -> String {
    match modifier {
        LabelModifier::Include(labels) => format!(" by {:?}", labels.labels),
        LabelModifier::Exclude(labels) => format!(" without {:?}", labels.labels),
    }
}

fn their_binary(binary: &theirs::BinaryExpr) -> String {
    let modifier = binary.modifier.as_ref();
    let matching = modifier.and_then(|modifier| modifier.matching.as_ref()).map(|matching| match matching {
        LabelModifier::Include(labels) => format!(" on {:?}", labels.labels),
        LabelModifier::Exclude(labels) => format!(" ignoring {:?}", labels.labels),
    });
    let group = modifier.map(|modifier| match &modifier.card {
        VectorMatchCardinality::ManyToOne(labels) => format!(" Left {:?}", labels.labels),
        VectorMatchCardinality::OneToMany(labels) => format!(" Right {:?}", labels.labels),
        _ => String::new(),
    });
    let fill = modifier.map(|modifier| modifier.fill_values.clone()).unwrap_or_default();
    let fill = format!("{:?} {:?}", fill.lhs, fill.rhs);
    let returns_bool = modifier.is_some_and(|modifier| modifier.return_bool);
    let (matching, group) = (matching.unwrap_or_default(), group.unwrap_or_default());
    format!("({} {returns_bool} {matching}{group} {fill} {} {})", binary.op, their(&binary.lhs), their(&binary.rhs))
}

fn their_selector(selector: &theirs::VectorSelector) -> String {
    let ours = |matcher: &promql_parser::label::Matcher| {
        let op = match matcher.op {
            TheirMatchOp::Equal => MatchOp::Equal,
            TheirMatchOp::NotEqual => MatchOp::NotEqual,
            TheirMatchOp::Re(_) => MatchOp::Regex,
            TheirMatchOp::NotRe(_) => MatchOp::NotRegex,
        };
        Matcher::new(matcher.name.clone(), op, matcher.value.clone()).to_string()
    };
    let mut matchers: Vec<String> = selector.matchers.matchers.iter().map(ours).collect();
    matchers.extend(selector.name.as_ref().map(|name| Matcher::equal(METRIC_NAME, name.clone()).to_string()));
    matchers.sort();
    matchers.dedup();
    format!("{{{}}}", matchers.join(","))
}

fn their_shift(at: Option<&theirs::AtModifier>, offset: Option<&theirs::Offset>) -> String {
    let at = match at {
        None => String::new(),
        Some(theirs::AtModifier::Start) => " @start".to_string(),
        Some(theirs::AtModifier::End) => " @end".to_string(),
        Some(theirs::AtModifier::At(time)) => {
            let millis = match time.duration_since(std::time::UNIX_EPOCH) {
                Ok(since) => since.as_millis() as i128,
                Err(before) => -(before.duration().as_millis() as i128),
            };
            format!(" @{millis}")
        }
    };
    let offset = match offset {
        None => String::new(),
        Some(theirs::Offset::Pos(offset)) => format!(" offset {}", offset.as_millis()),
        Some(theirs::Offset::Neg(offset)) => format!(" offset -{}", offset.as_millis()),
    };
    format!("{at}{offset}")
}

fn scalar() -> BoxedStrategy<Expr> {
    let number = select(vec![0.0, 1.0, 2.5, 100.0]).prop_map(|value| node(ExprKind::Number(value)));
    number.boxed().prop_union(Just(call("time", Vec::new())).boxed()).boxed()
}

fn selector() -> BoxedStrategy<Expr> {
    let values = (select(vec!["a", "job", "le"]), select(vec!["", "v", "x.*|y"]));
    let ops = vec![MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
    let matcher = (values, select(ops)).prop_map(|((name, value), op)| Matcher::new(name, op, value));
    (select(vec!["m", "n:total", "sum", "start"]), vec(matcher, 0..3))
        .prop_map(|(name, mut matchers)| {
            matchers.insert(0, Matcher::equal(METRIC_NAME, name));
            matchers.dedup();
            node(ExprKind::Selector(Selector::all_of(matchers)))
        })
        .boxed()
}

fn length() -> BoxedStrategy<Expr> {
    let units = vec![Unit::Second, Unit::Minute, Unit::Hour, Unit::Day];
    (1..50u32, select(units)).prop_map(|(count, unit)| node(ExprKind::Duration(vec![(f64::from(count), unit)]))).boxed()
}

fn shifted(inner: BoxedStrategy<Expr>, window: bool, step: bool) -> BoxedStrategy<Expr> {
    let at = prop_oneof![
        Just(At::Start),
        Just(At::End),
        (0..9000u32).prop_map(|at| At::Time(node(ExprKind::Number(at.into()))))
    ];
    let offset = (length(), any::<bool>()).prop_map(|(length, negative)| match negative {
        true => node(ExprKind::Negate(Box::new(length))),
        false => length,
    });
    (inner, length(), option::of(length()), option::of(offset), option::of(at))
        .prop_map(move |(inner, length, inner_step, offset, at)| {
            let window = window.then_some(length);
            let subquery = step.then_some(metricsql::Subquery { step: inner_step });
            if window.is_none() && offset.is_none() && at.is_none() {
                return inner;
            }
            node(ExprKind::Rollup(Box::new(Rollup { inner, window, subquery, offset, at, smoothing: None })))
        })
        .boxed()
}

fn vector() -> BoxedStrategy<Expr> {
    shifted(selector(), false, false)
        .prop_recursive(5, 24, 3, |inner| {
            let range = shifted(selector(), true, false).prop_union(shifted(inner.clone(), true, true));
            let label = select(vec!["a", "job", "by", "start"]).prop_map(str::to_string);
            let labels = vec(label, 0..3);
            let grouping = option::of(prop_oneof![
                labels.clone().prop_map(Grouping::By),
                labels.clone().prop_map(Grouping::Without)
            ]);
            let aggregate = |name: &str, args: Vec<Expr>, grouping| {
                node(ExprKind::Aggregate(Aggregate { name: name.to_string(), args, grouping, limit: None }))
            };
            let matching =
                option::of(prop_oneof![labels.clone().prop_map(Matching::On), labels.prop_map(Matching::Ignoring)]);
            let ops: Vec<_> = BinaryOp::ALL.into_iter().filter(|op| *op > BinaryOp::IfNot).collect();
            prop_oneof![
                range.prop_map(|range| call("rate", vec![range])),
                (inner.clone(), scalar()).prop_map(|(inner, limit)| call("clamp_max", vec![inner, limit])),
                (inner.clone(), grouping.clone()).prop_map(move |(inner, grouping)| aggregate(
                    "sum",
                    vec![inner],
                    grouping
                )),
                (scalar(), inner.clone(), grouping).prop_map(move |(count, inner, grouping)| aggregate(
                    "topk",
                    vec![count, inner],
                    grouping
                )),
                inner.clone().prop_map(|inner| node(ExprKind::Negate(Box::new(inner)))),
                (
                    inner.clone(),
                    scalar(),
                    select(vec![BinaryOp::Add, BinaryOp::Power, BinaryOp::Less, BinaryOp::Divide])
                )
                    .prop_map(|(left, right, op)| node(ExprKind::Binary(Box::new(Binary::plain(left, op, right))))),
                (inner.clone(), select(ops), inner, matching, any::<bool>()).prop_map(
                    |(left, op, right, matching, is_bool)| {
                        let returns_bool = is_bool && op.is_comparison();
                        let binary = Binary { returns_bool, matching, ..Binary::plain(left, op, right) };
                        node(ExprKind::Binary(Box::new(binary)))
                    }
                ),
            ]
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn trees_are_those_of_the_library(tree in vector()) {
        let text = tree.to_string();
        let library = theirs::parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        let own = parse(&text, &PROMQL).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(ours(&bare(own)), their(&library), "{}", text);
    }
}

/// Texts that both accept or both refuse, and the trees of those that both accept.
#[test]
fn texts_are_judged_as_by_the_library() {
    let texts = [
        "1",
        "+1",
        "-1",
        "- 1 ^ 2",
        "0x1F",
        "1e3",
        "1.5e-3",
        ".5",
        "5.",
        "1_000",
        "Inf",
        "NaN",
        "-inf",
        "5m",
        "1h30m",
        "foo",
        "foo{}",
        "foo{a=\"b\"}",
        "foo{a=\"b\",}",
        "foo{,}",
        "foo{a=\"b\" c=\"d\"}",
        "foo{a}",
        "foo{a=b}",
        "foo{1a=\"b\"}",
        "{\"foo\"}",
        "{\"foo\", a=\"b\"}",
        "{\"foo\", \"b c\"=\"d\"}",
        "{a='b'}",
        "{a=`b`}",
        "foo{a=~\"b.*\"}",
        "foo{a!~'b'}",
        "foo[5m]",
        "foo[5m] offset 1h",
        "foo offset -5m",
        "foo offset",
        "foo[",
        "foo[]",
        "foo[5m",
        "foo[5m:]",
        "foo[5m:1m]",
        "foo[:1m] + ",
        "foo @ 5",
        "foo @ -5",
        "foo @ start()",
        "foo @ end() offset 5m",
        "foo offset 5m @ 1",
        "foo @",
        "foo @ start",
        "foo[5m] @ 10.5",
        "sum(foo)",
        "SUM(foo)",
        "sum by (a) (foo)",
        "sum(foo) by (a)",
        "sum by (a,) (foo)",
        "sum by a (foo)",
        "sum without () (foo)",
        "sum (foo) by (a) by (b)",
        "topk(5, foo)",
        "count_values(\"x\", foo)",
        "quantile(0.5, foo)",
        "sum",
        "sum{a=\"b\"}",
        "sum + sum",
        "rate(foo[5m])",
        "rate(foo[5m],)",
        "rate(foo[5m]",
        "abs(foo))",
        "time()",
        "vector(1)",
        "label_replace(foo, \"a\", \"b\", 'c', `d`)",
        "foo + bar",
        "foo +",
        "+ foo",
        "foo + on(a) bar",
        "foo + on a bar",
        "foo + ignoring(a,b,) bar",
        "foo == bool bar",
        "foo bool == bar",
        "foo * on(a) group_left bar",
        "foo * on(a) group_left() bar",
        "foo * on(a) group_right(b) bar",
        "foo * group_left(a) bar",
        "foo and on() bar",
        "foo or bar unless baz",
        "foo atan2 bar",
        "foo ^ bar ^ baz",
        "foo < bar < baz",
        "1 + 2 * 3 - 4 / 5 % 6 ^ 7",
        "foo # comment",
        "# only",
        "",
        "  ",
        "(foo)",
        "((foo))",
        "(foo",
        "foo)",
        "()",
        "\"text\"",
        "'text'",
        "\"open",
        "foo bar",
        "foo{a=\"b\"}{c=\"d\"}",
        "a:b:c",
        ":a",
        "on",
        "by",
        "offset",
        "start",
        "and",
        "foo offset 5m offset 6m",
        "foo @ 1 @ 2",
        "-foo",
        "--foo",
        "-(foo)",
        "!foo",
        "foo ! bar",
        "foo = bar",
        "foo == bar",
        "foo =~ bar",
        "foo & bar",
        "fill",
        "foo + on(a) fill(0) bar",
        "foo + fill_left(1) fill_right(2) bar",
        "limitk(2, foo)",
        "limit_ratio(0.5, foo)",
        "sum(sum(foo))",
        "foo[5m] - 1",
        "sum(foo)[5m:1m] offset 1d",
        "foo[1d:][2d:]",
        "\u{fc}ber",
    ];
    let mut differ = Vec::new();
    for text in texts {
        match (parse(text, &PROMQL), theirs::parse(text)) {
            (Ok(own), Ok(library)) => assert_eq!(ours(&own), their(&library), "{text}"),
            (Err(_), Err(_)) => {}
            (own, library) => differ.push((text, own.is_ok(), library.err().unwrap_or_default())),
        }
    }
    // Syntax of MetricsQL, and what the check of types refuses later: each with the rule.
    let known = [
        "rate(foo[5m],)", // MetricsQL: a comma may end a list of arguments.
        "()",             // MetricsQL: an empty union.
        "\u{fc}ber",      // MetricsQL: names may have any letters.
        "1_000",          // The library lacks it.
        "foo @ start",    // MetricsQL: any expression is a time.
        "on",             // MetricsQL: a keyword is one only where it can stand.
        "foo[5m] - 1",    // The check of types.
        "foo[1d:][2d:]",  // The check of types.
    ];
    differ.retain(|(text, own, _)| !(*own && known.contains(text)));
    assert!(differ.is_empty(), "{differ:#?}");
}
