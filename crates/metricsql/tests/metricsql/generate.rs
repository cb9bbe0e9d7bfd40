//! Trees made at random.

use metricsql::{
    Aggregate, At, Binary, BinaryOp, Call, Expr, ExprKind, Fill, Group, GroupSide, Grouping, Matching, Rollup,
    Smoothing, Span, Subquery, Unit,
};
use model::{METRIC_NAME, MatchOp, Matcher, Selector};
use proptest::{collection::vec, option, prelude::*, sample::select, strategy::Union};

pub fn node(kind: ExprKind) -> Expr {
    Expr { kind, span: Span::default() }
}

pub fn number() -> BoxedStrategy<Expr> {
    let plain = select(vec![0.0, 1.0, 2.5, 1e-9, 1e30, 300.0, f64::INFINITY, f64::NAN]);
    prop_oneof![plain, 0.0..1e6].prop_map(|value| node(ExprKind::Number(value))).boxed()
}

fn duration() -> BoxedStrategy<Expr> {
    let units =
        vec![Unit::Millisecond, Unit::Second, Unit::Minute, Unit::Hour, Unit::Day, Unit::Week, Unit::Year, Unit::Step];
    let part = (select(vec![1.0, 5.0, 1.5, 90.0]), select(units));
    vec(part, 1..3).prop_map(|parts| node(ExprKind::Duration(parts))).boxed()
}

fn label() -> BoxedStrategy<String> {
    let names = ["a", "job", "le", "on", "by", "bool", "sum", "b c", "x.y", "\"", "ä"];
    select(names.to_vec()).prop_map(str::to_string).boxed()
}

fn labels() -> BoxedStrategy<Vec<String>> {
    vec(label(), 0..3).boxed()
}

fn matcher() -> BoxedStrategy<Matcher> {
    let ops = vec![MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
    let values = vec!["", "v", "a|b", "\\d+\n\"", "Київ", "\u{10ffc5}"];
    (label(), select(ops), select(values)).prop_map(|(name, op, value)| Matcher::new(name, op, value)).boxed()
}

fn matchers() -> BoxedStrategy<Vec<Matcher>> {
    vec(matcher(), 0..3).prop_map(deduplicated).boxed()
}

/// A selector holds no matcher twice.
fn deduplicated(matchers: Vec<Matcher>) -> Vec<Matcher> {
    let mut kept: Vec<Matcher> = Vec::new();
    for matcher in matchers {
        if !kept.contains(&matcher) {
            kept.push(matcher);
        }
    }
    kept
}

pub fn metric() -> BoxedStrategy<String> {
    let names = vec![
        "m", "n_total", "a:b", "sum", "rate", "on", "bool", "inf", "with", "a b", "1a", "foo.bar", "фу", "x-y", "if",
    ];
    select(names).prop_map(str::to_string).boxed()
}

fn selector() -> BoxedStrategy<Expr> {
    let named = (metric(), vec(matchers(), 1..3)).prop_map(|(name, any_of)| {
        let with_name = |mut matchers: Vec<Matcher>| {
            matchers.insert(0, Matcher::equal(METRIC_NAME, name.clone()));
            matchers
        };
        any_of.into_iter().map(with_name).collect()
    });
    let nameless = vec(vec(matcher(), 1..3).prop_map(deduplicated), 1..3);
    prop_oneof![named, nameless].prop_map(|any_of| node(ExprKind::Selector(Selector { any_of }))).boxed()
}

fn length() -> BoxedStrategy<Expr> {
    let grid = select(vec!["step", "range"]).prop_map(|name| call(name, Vec::new()));
    let leaf = prop_oneof![number(), duration(), grid];
    let finite = leaf.prop_filter("infinite lengths are words", |length| !length.to_string().contains(['N', 'I']));
    finite
        .prop_recursive(2, 4, 2, |inner| {
            let ops = vec![BinaryOp::Add, BinaryOp::Subtract, BinaryOp::Multiply, BinaryOp::Power];
            let both = (inner.clone(), select(ops), inner.clone());
            prop_oneof![
                both.prop_map(|(left, op, right)| node(ExprKind::Binary(Box::new(Binary::plain(left, op, right))))),
                (inner.clone(), inner).prop_map(|(left, right)| call("max", vec![left, right])),
            ]
        })
        .boxed()
}

pub fn call(name: &str, args: Vec<Expr>) -> Expr {
    node(ExprKind::Call(Call { name: name.to_string(), args, keep_metric_names: false }))
}

fn rollup(inner: BoxedStrategy<Expr>) -> BoxedStrategy<Expr> {
    let at = prop_oneof![
        Just(At::Start),
        Just(At::End),
        number().prop_map(At::Time),
        inner.clone().prop_map(|time| At::Time(node(ExprKind::Paren(Box::new(time))))),
    ];
    let subquery = option::of(length()).prop_map(|step| Subquery { step });
    let offset = (length(), any::<bool>()).prop_map(|(length, negative)| match negative {
        true => node(ExprKind::Negate(Box::new(length))),
        false => length,
    });
    let smoothing = select(vec![Smoothing::Anchored, Smoothing::Smoothed]);
    (inner, option::of(length()), option::of(subquery), option::of(offset), option::of(at), option::of(smoothing))
        .prop_filter("nothing is set", |(_, window, subquery, offset, at, smoothing)| {
            window.is_some() || subquery.is_some() || offset.is_some() || at.is_some() || smoothing.is_some()
        })
        .prop_map(|(inner, window, subquery, offset, at, smoothing)| {
            node(ExprKind::Rollup(Box::new(Rollup { inner, window, subquery, offset, at, smoothing })))
        })
        .boxed()
}

pub fn grouping() -> BoxedStrategy<Option<Grouping>> {
    option::of(prop_oneof![labels().prop_map(Grouping::By), labels().prop_map(Grouping::Without)]).boxed()
}

fn binary(inner: BoxedStrategy<Expr>) -> BoxedStrategy<Expr> {
    let matching = option::of(prop_oneof![labels().prop_map(Matching::On), labels().prop_map(Matching::Ignoring)]);
    let sides = select(vec![GroupSide::Left, GroupSide::Right]);
    let prefix = option::of(Just("p_".to_string()));
    let group = option::of((sides, labels(), prefix).prop_map(|(side, labels, prefix)| Group { side, labels, prefix }));
    let value = option::of(select(vec![0.0, -1.5, f64::INFINITY]));
    let fill = (value.clone(), value).prop_map(|(left, right)| Fill { left, right });
    let op = select(BinaryOp::ALL.to_vec());
    ((inner.clone(), op, inner), any::<bool>(), matching, group, fill, prop::bool::weighted(0.2))
        .prop_map(|((left, op, right), returns_bool, matching, group, fill, keep_metric_names)| {
            let returns_bool = returns_bool && op.is_comparison();
            // Behind a prefix, a text with a sign belongs to the prefix.
            let joins_prefix = right.to_string().trim_start_matches('(').starts_with("+\"");
            let group = group.filter(|group| matching.is_some() && !(joins_prefix && group.prefix.is_some()));
            node(ExprKind::Binary(Box::new(Binary {
                op,
                returns_bool,
                left,
                right,
                matching,
                group,
                fill,
                keep_metric_names,
            })))
        })
        .boxed()
}

/// Any tree that a text can have.
pub fn tree() -> BoxedStrategy<Expr> {
    let text =
        select(vec!["", "text", "a\"\\\n", "\u{10ffff}ä"]).prop_map(|text| node(ExprKind::Text(text.to_string())));
    let leaf = prop_oneof![number(), duration(), text, selector(), selector(), selector()];
    leaf.prop_recursive(5, 24, 3, |inner| {
        let calls = (select(vec!["rate", "f", "min_of", "x-y"]), vec(inner.clone(), 0..3), any::<bool>()).prop_map(
            |(name, args, keep_metric_names)| {
                node(ExprKind::Call(Call { name: name.to_string(), args, keep_metric_names }))
            },
        );
        let aggregates =
            (select(vec!["sum", "topk", "any"]), vec(inner.clone(), 0..3), grouping(), option::of(0..9u64));
        let aggregates = aggregates.prop_map(|(name, args, grouping, limit)| {
            node(ExprKind::Aggregate(Aggregate { name: name.to_string(), args, grouping, limit }))
        });
        let members = vec(inner.clone(), 0..3).prop_filter("one member is no union", |members| members.len() != 1);
        let alternatives: Vec<BoxedStrategy<Expr>> = vec![
            binary(inner.clone()),
            binary(inner.clone()),
            rollup(inner.clone()),
            calls.boxed(),
            aggregates.boxed(),
            inner.clone().prop_map(|inner| node(ExprKind::Negate(Box::new(inner)))).boxed(),
            inner.clone().prop_map(|inner| node(ExprKind::Plus(Box::new(inner)))).boxed(),
            inner.prop_map(|inner| node(ExprKind::Paren(Box::new(inner)))).boxed(),
            members.prop_map(|members| node(ExprKind::Union(members))).boxed(),
        ];
        Union::new(alternatives)
    })
    .boxed()
}

/// `expr` without any parentheses that hold one expression.
pub fn bare(mut expr: Expr) -> Expr {
    let boxed = |expr: Box<Expr>| Box::new(bare(*expr));
    expr.kind = match expr.kind {
        ExprKind::Paren(inner) => return bare(*inner),
        ExprKind::Negate(inner) => ExprKind::Negate(boxed(inner)),
        ExprKind::Plus(inner) => ExprKind::Plus(boxed(inner)),
        ExprKind::Union(members) => ExprKind::Union(members.into_iter().map(bare).collect()),
        ExprKind::Call(call) => ExprKind::Call(Call { args: call.args.into_iter().map(bare).collect(), ..call }),
        ExprKind::Aggregate(aggregate) => {
            ExprKind::Aggregate(Aggregate { args: aggregate.args.into_iter().map(bare).collect(), ..aggregate })
        }
        ExprKind::Binary(mut binary) => {
            binary.left = bare(binary.left);
            binary.right = bare(binary.right);
            ExprKind::Binary(binary)
        }
        ExprKind::Rollup(rollup) => {
            let Rollup { inner, window, subquery, offset, at, smoothing } = *rollup;
            let at = match at {
                Some(At::Time(time)) => Some(At::Time(bare(time))),
                other => other,
            };
            let subquery = subquery.map(|subquery| Subquery { step: subquery.step.map(bare) });
            let (inner, window, offset) = (bare(inner), window.map(bare), offset.map(bare));
            ExprKind::Rollup(Box::new(Rollup { inner, window, subquery, offset, at, smoothing }))
        }
        other => other,
    };
    expr
}
