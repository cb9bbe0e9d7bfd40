//! Every action with its cases, what is wrong with wrong rules, and properties that hold for all.

use std::time::Duration;

use model::{KeyBuilder, MatchOp, Matcher, Selector};
use proptest::prelude::*;
use relabel::{Outcome, Relabeler};

/// Enough of a selector for these tests: `name{label="value"}`, with `!=` and `=~`.
fn selector(text: &str) -> Result<Selector, String> {
    let (name, rest) = text.split_once('{').ok_or("want {")?;
    let mut matchers = Vec::new();
    if !name.is_empty() {
        matchers.push(Matcher::equal("__name__", name));
    }
    for condition in rest.strip_suffix('}').ok_or("want }")?.split(',').filter(|part| !part.is_empty()) {
        let (left, value) = condition.split_once('"').ok_or("want \"")?;
        let (name, op) = if let Some(name) = left.strip_suffix("=~") {
            (name, MatchOp::Regex)
        } else if let Some(name) = left.strip_suffix("!=") {
            (name, MatchOp::NotEqual)
        } else {
            (left.strip_suffix('=').ok_or("want =")?, MatchOp::Equal)
        };
        matchers.push(Matcher::new(name, op, value.trim_end_matches('"')));
    }
    Ok(Selector::all_of(matchers))
}

fn parse(rules: &str) -> Relabeler {
    Relabeler::parse("rules.yml", rules, &selector).unwrap_or_else(|error| panic!("{rules}: {error}"))
}

fn builder(series: &str) -> KeyBuilder {
    let mut labels = KeyBuilder::new();
    for label in series.split_whitespace() {
        let (name, value) = label.split_once('=').expect("name=value");
        labels.push(name, value);
    }
    labels
}

fn applied(relabeler: &Relabeler, series: &str) -> String {
    let mut labels = builder(series);
    match relabeler.apply(&mut labels) {
        Outcome::Drop => "dropped".to_string(),
        Outcome::TooLong => "too long".to_string(),
        Outcome::Keep => {
            let mut labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            labels.sort();
            labels.join(" ")
        }
    }
}

/// Each case: a series and what becomes of it.
fn check(rules: &str, cases: &[(&str, &str)]) {
    let relabeler = parse(rules);
    for (series, want) in cases {
        assert_eq!(applied(&relabeler, series), *want, "{series} under\n{rules}");
    }
}

#[test]
fn replace_sets_a_label_where_the_source_matches_as_a_whole() {
    check("- {target_label: foo, replacement: bar}", &[("__name__=m", "__name__=m foo=bar"), ("foo=x", "foo=bar")]);
    check(
        "- source_labels: [instance]\n  regex: '([^:]+):.+'\n  target_label: instance\n  replacement: $1",
        &[("instance=bar:123", "instance=bar"), ("instance=bar", "instance=bar")],
    );
    check("- {source_labels: [a, b], target_label: c}", &[("a=1 b=2", "a=1 b=2 c=1;2"), ("a=1", "a=1 c=1;")]);
    check("- {source_labels: [a, b], separator: '', target_label: c}", &[("x=1", "x=1"), ("a=1 c=2", "a=1 c=1")]);
    check(
        "- {source_labels: [a], regex: x, target_label: b, replacement: ''}",
        &[("a=x b=1", "a=x"), ("a=y b=1", "a=y b=1")],
    );
    check(
        r"- {source_labels: [a], regex: '(.)(.*)', target_label: $1, replacement: '${2}!'}",
        &[("a=xyz", "a=xyz x=yz!")],
    );
    check(
        "- {target_label: instance-job, replacement: '{{instance}}-{{job}}'}",
        &[("instance=h job=n", "instance-job=h-n instance=h job=n")],
    );
    check(
        "- {source_labels: [a], regex: 1.10, target_label: b, replacement: 5}",
        &[("a=1.10", "a=1.10 b=5"), ("a=1.1", "a=1.1")],
    );
    check(
        "- {source_labels: [a], regex: 'x|y', target_label: b, replacement: 1}",
        &[("a=xy", "a=xy"), ("a=y", "a=y b=1")],
    );
    check("- action: REPLACE\n  target_label: a\n  replacement: b", &[("x=1", "a=b x=1")]);
}

#[test]
fn replace_all_and_labelmap_all_replace_every_match() {
    let rule = "- {action: replace_all, source_labels: [__name__], target_label: __name__, regex: '-', replacement: _}";
    check(rule, &[("__name__=a-b-c", "__name__=a_b_c"), ("__name__=abc", "__name__=abc")]);
    check(
        "- {action: replace_all, source_labels: [a], target_label: b, regex: '(.)x', replacement: '<$1>'}",
        &[("a=1x2xy", "a=1x2xy b=<1><2>y"), ("a=y b=z", "a=y b=z")],
    );
    check(
        "- {action: labelmap_all, regex: '-', replacement: _}",
        &[("a-b-c=1 __name__=x-y", "__name__=x-y a_b_c=1"), ("a=1", "a=1")],
    );
}

#[test]
fn filters_keep_and_drop() {
    check("- {action: keep, source_labels: [a, b], regex: '1;2'}", &[("a=1 b=2", "a=1 b=2"), ("a=1 b=23", "dropped")]);
    check("- {action: drop, source_labels: [a], regex: 'x.*'}", &[("a=xy", "dropped"), ("a=ax", "a=ax")]);
    check(
        "- {action: keep_metrics, regex: [a_total, 'b_.+']}",
        &[("__name__=b_x", "__name__=b_x"), ("__name__=b_", "dropped")],
    );
    check("- {action: drop_metrics, regex: a|b}", &[("__name__=b", "dropped"), ("__name__=ab", "__name__=ab")]);
    check(
        "- {action: keep_if_equal, source_labels: [a, b]}",
        &[("a=1 b=1", "a=1 b=1"), ("a=1 b=2", "dropped"), ("x=1", "x=1")],
    );
    check(
        "- {action: drop_if_equal, source_labels: [a, b]}",
        &[("a=1 b=1", "dropped"), ("a=1", "a=1"), ("x=1", "dropped")],
    );
    check(
        "- {action: keepequal, source_labels: [a], target_label: b}",
        &[("a=1 b=1", "a=1 b=1"), ("a=1 b=2", "dropped")],
    );
    check(
        "- {action: dropequal, source_labels: [a], target_label: b}",
        &[("a=1 b=1", "dropped"), ("a=1 b=2", "a=1 b=2")],
    );
    check(
        "- {action: keep_if_contains, source_labels: [x, y], target_label: t}",
        &[("x=a y=b t=b,a", "t=b,a x=a y=b"), ("x=a y=c t=b,a", "dropped")],
    );
    check(
        "- {action: drop_if_contains, source_labels: [x], target_label: t}",
        &[("x=a t=b,a", "dropped"), ("x=c t=b,a", "t=b,a x=c")],
    );
}

#[test]
fn a_condition_says_which_series_a_rule_is_for() {
    let keep = "- if: 'm{a=\"1\"}'\n  action: keep";
    check(keep, &[("__name__=m a=1", "__name__=m a=1"), ("__name__=m a=2", "dropped"), ("a=1", "dropped")]);
    check("- if: '{a=~\"1.*\"}'\n  action: drop", &[("a=12", "dropped"), ("a=21", "a=21")]);
    check(
        "- if: ['{a=\"1\"}', '{b=\"2\"}']\n  target_label: t\n  replacement: x",
        &[("a=1", "a=1 t=x"), ("b=2", "b=2 t=x"), ("a=2 b=1", "a=2 b=1")],
    );
    check(
        "- if: '{a!=\"\"}'\n  action: keep\n  source_labels: [b]\n  regex: 1",
        &[("a=x b=1", "a=x b=1"), ("a=x b=2", "dropped"), ("b=1", "dropped")],
    );
    check("- if: '{a=\"1\"}'\n  action: labeldrop\n  regex: b", &[("a=1 b=2", "a=1"), ("a=2 b=2", "a=2 b=2")]);
}

#[test]
fn labels_are_mapped_dropped_hashed_and_changed() {
    check("- {action: labelmap, regex: 'meta_(.+)'}", &[("meta_pod=p meta_=q x=1", "meta_=q meta_pod=p pod=p x=1")]);
    check("- {action: labelmap, regex: 'a|b', replacement: c}", &[("a=1 b=2 c=3", "a=1 b=2 c=2")]);
    check("- {action: labeldrop, regex: 'a.*'}", &[("a=1 ab=2 ba=3", "ba=3"), ("a=1", "dropped")]);
    check("- {action: labelkeep, regex: '__name__|b'}", &[("__name__=m a=1 b=2", "__name__=m b=2")]);
    check("- {action: uppercase, source_labels: [a, b], target_label: c}", &[("a=x b=y", "a=x b=y c=X;Y")]);
    check("- {action: lowercase, source_labels: [a], target_label: a}", &[("a=XÄ", "a=xä"), ("b=1", "b=1")]);
    // The numbers are those of VictoriaMetrics.
    check("- {action: hashmod, source_labels: [a], modulus: 123, target_label: h}", &[("a=yyy", "a=yyy h=73")]);
    check("- {action: hashmod, source_labels: [a, b], modulus: 1, target_label: h}", &[("x=1", "h=0 x=1")]);
}

#[test]
fn graphite_names_are_taken_apart() {
    let rule = "- action: graphite\n  match: '*.*.*.total'\n  labels:\n    __name__: '${3}_total'\n    job: '$1'\n    instance: '${2}:8080'";
    check(
        rule,
        &[
            ("__name__=auth.us-west-2.login.total", "__name__=login_total instance=us-west-2:8080 job=auth"),
            ("__name__=auth.login.total job=x", "__name__=auth.login.total job=x"),
        ],
    );
}

#[test]
fn rules_follow_one_another_and_notes_are_not_stored() {
    let rules = "- {source_labels: [a], target_label: __tmp}\n- {source_labels: [__tmp], regex: '1', action: drop}\n\
                 - {action: labeldrop, regex: a}";
    check(rules, &[("a=1 b=2", "dropped"), ("a=2 b=2", "b=2"), ("a=2", "dropped")]);
    check("", &[("a=1 __x=2", "__x=2 a=1")]);
}

#[test]
fn growth_without_end_is_refused() {
    check(&"- {target_label: a, replacement: '{{a}}{{a}}'}\n".repeat(40), &[("a=xx", "too long"), ("b=1", "b=1")]);
    check(
        &"- {action: labelmap, replacement: 'x$1'}\n- {action: labelmap, replacement: 'y$1'}\n".repeat(40),
        &[("a=1", "too long")],
    );
}

#[test]
fn errors_name_file_line_entry_and_field() {
    for (rules, want) in [
        (
            "- {target_label: a}\n- target_label: b\n  regex: '('\n",
            "rules.yml, line 2, entry 2, field `regex`: cannot read the regular expression",
        ),
        ("- regx: a\n", "rules.yml, line 1, entry 1, field `regx`: there is no such field"),
        ("a: b\n", "rules.yml, line 1: want a list of rules"),
        ("- a\n", "rules.yml, line 1, entry 1: want a rule"),
        ("- {source_labels: {a: b}}\n", "field `source_labels`: want a text or a list"),
        (
            "- {action: hashmod, source_labels: [a], target_label: b, modulus: x}",
            "field `modulus`: want a whole number, not \"x\"",
        ),
        ("- {action: hashmod, source_labels: [a], target_label: b}", "field `modulus`: action hashmod needs it"),
        (
            "- {action: hashmod, source_labels: [a], target_label: b, modulus: 0}",
            "field `modulus`: want a number over 0",
        ),
        ("- {action: replace}", "field `target_label`: action replace needs it"),
        ("- {action: replace_all, target_label: b}", "field `source_labels`: action replace_all needs it"),
        ("- {action: keep}", "field `source_labels`: action keep needs it"),
        ("- {action: keep_metrics}", "field `regex`: action keep_metrics needs it"),
        (
            "- {action: keep_metrics, regex: a, source_labels: [b]}",
            "field `source_labels`: action keep_metrics does not take it",
        ),
        (
            "- {action: keep_if_equal, source_labels: [b]}",
            "field `source_labels`: action keep_if_equal wants at least two labels",
        ),
        (
            "- {action: drop_if_equal, source_labels: [a, b], regex: c}",
            "field `regex`: action drop_if_equal does not take it",
        ),
        ("- {action: graphite, labels: {a: b}}", "field `match`: action graphite needs it"),
        ("- {action: graphite, match: a}", "field `labels`: action graphite needs it"),
        ("- {action: graphite, match: a, labels: {a: b}, regex: c}", "field `regex`: action graphite does not take it"),
        ("- {action: keep, source_labels: [a], match: b}", "field `match`: action keep does not take it"),
        ("- {action: polish}", "field `action`: there is no action \"polish\""),
        ("- {if: 'up', action: drop}", "field `if`: cannot read \"up\": want {"),
        ("- {if: '{a=~\"(\"}', action: drop}", "field `if`: cannot read the regular expression of a=~\"(\""),
        ("- {regex: 'a)(b', action: labeldrop}", "field `regex`: cannot read the regular expression \"a)(b\""),
    ] {
        let error = Relabeler::parse("rules.yml", rules, &selector).expect_err(rules).to_string();
        assert!(error.contains(want), "{rules}: {error}");
    }
}

/// A label's name or value out of few, so that rules meet what they are for.
fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "ab", "__name__", "x-y", "a.b.c", "Ä"]).prop_map(str::to_string)
}

fn rule() -> impl Strategy<Value = String> {
    let regex = prop::sample::select(vec!["a", "(a|b).*", ".*", "(.)(.)", "-", "[^.]+"]);
    let action = prop::sample::select(vec![
        "replace",
        "replace_all",
        "keep",
        "drop",
        "labelmap",
        "labelmap_all",
        "labeldrop",
        "labelkeep",
        "uppercase",
        "lowercase",
        "hashmod",
    ]);
    let replacement = prop::sample::select(vec!["$1", "x", "", "{{a}}$1", "${2}y"]);
    (action, word(), word(), regex, replacement).prop_map(|(action, source, target, regex, replacement)| {
        format!(
            "- {{action: {action}, source_labels: ['{source}', b], target_label: '{target}', regex: '{regex}', \
             replacement: '{replacement}', modulus: 7}}\n"
        )
    })
}

proptest! {
    #[test]
    fn what_is_kept_can_name_a_series(
        rules in prop::collection::vec(rule(), 1..6),
        series in prop::collection::btree_map(word(), word(), 1..5),
    ) {
        let relabeler = parse(&rules.concat());
        let fill = |labels: &mut KeyBuilder| series.iter().for_each(|(name, value)| labels.push(name, value));
        let mut labels = KeyBuilder::new();
        fill(&mut labels);
        let outcome = relabeler.apply(&mut labels);
        prop_assert_ne!(outcome, Outcome::TooLong);
        if outcome == Outcome::Keep {
            prop_assert!(labels.build(model::Tenant::DEFAULT).is_ok());
            prop_assert!(labels.iter().all(|(name, _)| name == "__name__" || !name.starts_with("__")));
        }
        // One file of all rules does what files of one rule each do, one after the other, as long as nothing is a note. labelmap_all makes one of the
        // metric's name: without its "a" that is a name with underscores like any other, which lives until the end of its file.
        let renames_all = rules.iter().any(|rule| rule.contains("labelmap_all"));
        if renames_all && (series.contains_key("__name__") || rules.concat().contains("__name__")) {
            return Ok(());
        }
        let mut stepwise = KeyBuilder::new();
        fill(&mut stepwise);
        let mut last = Outcome::Keep;
        for rule in &rules {
            if last == Outcome::Keep {
                last = parse(rule).apply(&mut stepwise);
            }
        }
        prop_assert_eq!(last, outcome);
        if outcome == Outcome::Keep {
            let sorted = |labels: &mut KeyBuilder| labels.build(model::Tenant::DEFAULT).expect("checked above");
            prop_assert_eq!(sorted(&mut labels), sorted(&mut stepwise));
        }
    }
}

#[test]
fn fuzzed_files_break_nothing() {
    let corpus = [
        "- {action: replace_all, source_labels: [a, b], regex: '(.)-', replacement: '${1}{{job}}$$', target_label: __name__}\n",
        "- if: ['{a=\"b\"}', up]\n  action: keep\n- action: graphite\n  match: '*.*.c*'\n  labels: {x: '$1', __name__: $2}\n",
        "- action: hashmod\n  source_labels: &x [job]\n  modulus: 10\n  target_label: y\n- action: labelmap\n  regex:\n  - 'in(.*)'\n  - a\n",
        "- {action: labelmap_all, regex: '', replacement: 'x'}\n- {action: uppercase, source_labels: [größe], target_label: z}\n",
    ];
    let corpus = corpus.map(|text| text.as_bytes().to_vec());
    testkit::fuzz::run("relabel", &corpus, Duration::from_secs(2), relabel::fuzz::fuzz_rules);
}
