//! What a query may cost, and how it ends.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use query::{Dialect, EngineOptions, QueryError, Span, TopBy};

use crate::driver::{Driver, NOW, query};

fn filled(options: EngineOptions) -> Driver {
    let driver = Driver::with(options);
    for number in 0..200 {
        let samples: Vec<(i64, f64)> = (0..40).map(|i| (NOW - 600_000 + i * 15_000, i as f64)).collect();
        driver.put(&[("__name__", "m"), ("number", &number.to_string())], &samples);
    }
    driver
}

fn refused(options: EngineOptions, text: &str) -> String {
    let driver = filled(options);
    match driver.range(Dialect::MetricsQl, text, (NOW - 600_000, NOW, 1_000)) {
        Err(QueryError::Limit(what)) => {
            assert_eq!(driver.engine.stats().memory_held, 0, "what was held is given back");
            what
        }
        other => panic!("{text} was not refused: {other:?}"),
    }
}

#[test]
fn a_query_over_a_limit_is_refused_with_the_figure_and_the_flag() {
    let usual = || EngineOptions { latency_offset: Duration::ZERO, ..EngineOptions::default() };
    let cases = [
        (EngineOptions { series_max: 50, ..usual() }, "m", "-search.maxUniqueTimeseries allows 50"),
        (EngineOptions { samples_per_query_max: 500, ..usual() }, "sum(m)", "-search.maxSamplesPerQuery allows 500"),
        (EngineOptions { samples_per_series_max: 10, ..usual() }, "m", "-search.maxSamplesPerSeries allows 10"),
        (EngineOptions { points_per_series_max: 100, ..usual() }, "1", "(-search.maxPointsPerTimeseries)"),
        (
            EngineOptions { subquery_points_max: 100, ..usual() },
            "max_over_time(rate(m)[1h:1s])",
            "-search.maxPointsSubqueryPerTimeseries allows 100",
        ),
        (EngineOptions { memory_per_query_max: 100_000, ..usual() }, "m", "-search.maxMemoryPerQuery allows 100000"),
        (EngineOptions { memory_max: 100_000, ..usual() }, "m + m", "-memory.allowedPercent"),
        (EngineOptions { response_series_max: 10, ..usual() }, "m", "-search.maxResponseSeries allows 10"),
        (EngineOptions { query_len_max: 3, ..usual() }, "m + m", "-search.maxQueryLen allows 3"),
    ];
    for (options, text, want) in cases {
        let what = refused(options, text);
        assert!(what.contains(want), "{what}");
    }
}

#[test]
fn an_answer_counts_until_it_is_sent() {
    let options = EngineOptions { memory_max: 4 << 20, latency_offset: Duration::ZERO, ..EngineOptions::default() };
    let driver = filled(options);
    let ask = || driver.range(Dialect::MetricsQl, "m", (NOW - 600_000, NOW, 1_000));
    let held = || driver.engine.stats().memory_held;
    let first = ask().expect("there is room for one");
    let of_one = held();
    assert!(of_one > 200 * 601 * 8, "{of_one} bytes");
    let mut answers = vec![first.clone(), first];
    let refused = loop {
        match ask() {
            Ok(answer) => answers.push(answer),
            Err(why) => break why,
        }
        assert!(answers.len() < 10, "nothing counts");
    };
    assert!(matches!(&refused, QueryError::Limit(what) if what.contains("ask again later")), "{refused:?}");
    assert_eq!(held(), of_one * (answers.len() as u64 - 1), "a copy shares what is counted");
    drop(answers);
    assert_eq!(held(), 0);
    assert!(ask().is_ok(), "there is room again");
}

#[test]
fn what_folds_holds_groups_and_not_series() {
    let options = EngineOptions {
        memory_per_query_max: 200_000,
        latency_offset: Duration::ZERO,
        workers_per_query_max: 1,
        ..EngineOptions::default()
    };
    let driver = filled(options);
    let times = (NOW - 600_000, NOW, 1_000);
    assert!(driver.range(Dialect::MetricsQl, "sum(rate(m[1m]))", times).is_ok());
    assert!(matches!(driver.range(Dialect::MetricsQl, "rate(m[1m])", times), Err(QueryError::Limit(_))));
}

#[test]
fn a_query_ends_when_it_is_cancelled_or_its_time_is_over() {
    let driver = filled(EngineOptions { top_query_duration_min: Duration::ZERO, ..EngineOptions::default() });
    let span = Span::Range { start: NOW - 600_000, end: NOW, step: 1_000 };
    let cancelled = query(Dialect::PromQl, "m", span);
    cancelled.cancel.cancel();
    assert!(matches!(driver.engine.run(&cancelled), Err(QueryError::Cancelled)));
    let late = query::Query { deadline: Some(Instant::now()), ..query(Dialect::PromQl, "m", span) };
    assert!(matches!(driver.engine.run(&late), Err(QueryError::Timeout(_))));
    assert!(driver.engine.active(None).is_empty() && !driver.engine.cancel(1, None));
    let stats = driver.engine.stats();
    assert_eq!((stats.queries, stats.failed, stats.memory_held), (2, 2, 0));
    let top = driver.engine.top(None, TopBy::Count, 5, Duration::from_secs(600));
    assert_eq!((top[0].text.as_str(), top[0].count, top[0].time_range), ("m", 2, Duration::from_secs(600)));
}

#[test]
fn a_trace_tells_how_it_was_done() {
    let driver = filled(EngineOptions::default());
    let span = Span::Instant { time: NOW, step: 300_000 };
    let traced = query::Query { trace: true, ..query(Dialect::MetricsQl, "sum(rate(m[5m])) + count(m)", span) };
    let answer = driver.engine.run(&traced).expect("the query is right");
    let trace = answer.trace.expect("a trace was asked for");
    let told = format!("{trace:?}");
    assert!(told.contains("series by series") && told.contains("200 series"), "{told}");
    assert_eq!((answer.stats.series_fetched, answer.is_partial), (400, None));
    assert!(answer.stats.samples_scanned >= 200 * 20);
}

#[test]
fn extra_filters_restrict_every_selector() {
    let driver = filled(EngineOptions { latency_offset: Duration::ZERO, ..EngineOptions::default() });
    let filter = |number: &str| vec![model::Matcher::equal("number", number)];
    let span = Span::Instant { time: NOW, step: 300_000 };
    let asked = query::Query {
        extra_filters: vec![filter("3"), filter("5")],
        ..query(Dialect::MetricsQl, "count(m) + count(m{number!=\"3\"})", span)
    };
    let answer = driver.engine.run(&asked).expect("the query is right");
    assert_eq!(crate::driver::rows_of(&answer.value)[0].1, [(NOW, 3.0)]);
}

#[test]
fn the_highest_trees_fit_the_stack_of_a_thread() {
    let driver = filled(EngineOptions::default());
    let nested = |open: &str, inner: &str, close: &str, depth: usize| {
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    let texts = [
        vec!["m"; 490].join(" + "),
        nested("abs(", "m", ")", 140),
        nested("sum(", "m", ") by (number)", 70),
        nested("max_over_time(", "m", "[5m:1m])", 60),
        nested("(", "m", ")", 140),
        nested("-", "m", "", 140),
    ];
    for text in texts {
        for dialect in [Dialect::MetricsQl, Dialect::PromQl] {
            // Too high a tree is refused, none ends the process.
            if let Err(error) = driver.instant(dialect, &text, NOW) {
                assert!(matches!(error, QueryError::Parse(_) | QueryError::Limit(_)), "{text}: {error}");
            }
        }
    }
}

#[test]
fn memory_is_reclaimed_whenever_a_quarter_of_it_was_freed() {
    static RECLAIMED: AtomicU64 = AtomicU64::new(0);
    fn reclaim() {
        RECLAIMED.fetch_add(1, Ordering::SeqCst);
    }
    let usual = || EngineOptions { latency_offset: Duration::ZERO, cache_bytes_max: 0, ..EngineOptions::default() };
    let driver = filled(EngineOptions { memory_max: 16 << 20, reclaim, ..usual() });
    let mut held = 0;
    let mut answers = 0;
    while RECLAIMED.load(Ordering::SeqCst) < 10 {
        let answer = driver.range(Dialect::MetricsQl, "m", (NOW - 600_000, NOW, 1_000)).expect("there is room");
        held += answer.stats.memory_peak;
        answers += 1;
        assert!(answers < 1_000, "{held} bytes were held, and memory was never reclaimed");
    }
    // All that was held was freed, and what a query makes for a moment comes on top; no more than a query too much goes by each time.
    assert!(held <= 10 * (4 << 20) + 10 * held / answers, "{held} bytes by {answers} queries");
    assert!(answers > 10, "only by what comes to a quarter");
}
