//! The table of a comparison of queries: what is beyond its bound first, then every query, the dearest ratio first.

use std::fmt::Write;

use super::{Compared, Comparison, Cost, Crowd, OURS, Plan, RIVAL, RIVAL_AGAIN};
use crate::figures::{Ratio, median, spread};
use crate::paired::Contestant;

/// Our CPU for a query over the rival's, at most.
const CPU_RATIO_MAX: f64 = 0.7;
/// Our p99 over the rival's, at most.
const P99_RATIO_MAX: f64 = 1.0;
/// Our peak memory over the rival's, at most.
const MEMORY_RATIO_MAX: f64 = 1.0;

/// The table in Markdown.
pub fn table(plan: &Plan, [ours, rival]: &[Contestant; 2], comparison: &Comparison) -> String {
    let mut queries: Vec<&Compared> = comparison.queries.iter().collect();
    queries.sort_by(|a, b| cpu_ratio(b).total_cmp(&cpu_ratio(a)));
    let mut text = head(plan, comparison);
    beyond(plan, comparison, &queries, &mut text);
    let _ = write!(text, "| query | CPU ms: {0} | {1} | ratio (least – most) | {1} / itself |", ours.name, rival.name);
    for clients in &plan.clients {
        let _ = write!(text, " p50 ms, {clients} clients | p99 ms, {clients} clients |");
    }
    let _ = writeln!(text, " CPU ms, cached |\n|---|{}", "---|".repeat(5 + 2 * plan.clients.len()));
    for compared in &queries {
        let _ = writeln!(text, "{}", row(plan, compared));
    }
    let _ = writeln!(text, "\n{}", memory(comparison));
    let _ = writeln!(text, "\nWhat was asked, and the size of the answer:\n");
    for Compared { query, series, points, .. } in &comparison.queries {
        let _ = writeln!(text, "- *{}*: {}; {series} series, {points} points", query.name, query.description());
    }
    text
}

fn head(plan: &Plan, comparison: &Comparison) -> String {
    format!(
        "{} series × {} scrapes at 15 s, {} samples, flushed and merged; {} rounds. In cells with a colon: ours : the rival's, median of \
         the ratios. Machine: {}.\n\n",
        plan.series,
        plan.scrapes,
        comparison.samples,
        plan.pairs,
        crate::machine::describe(),
    )
}

/// One sentence for each bound that is not kept, and for each answer that differs.
fn beyond(plan: &Plan, comparison: &Comparison, queries: &[&Compared], text: &mut String) {
    let mut lines = Vec::new();
    let mut check = |what: String, ratio: Option<Ratio>, most: f64| {
        if let Some(ratio) = ratio.filter(|ratio| ratio.median > most) {
            lines.push(format!("- {what}: {:.2} × instead of at most {most}", ratio.median));
        }
    };
    for compared in queries {
        let name = compared.query.name;
        check(format!("*{name}*, CPU"), ratio(compared, &|cost| cost.cpu_s), CPU_RATIO_MAX);
        for (place, clients) in plan.clients.iter().enumerate() {
            let p99 = ratio(compared, &|cost| cost.crowds[place].p99.as_secs_f64());
            check(format!("*{name}*, p99 at {clients} clients"), p99, P99_RATIO_MAX);
        }
    }
    let [ours, rival] = [OURS, RIVAL].map(|place| memory_peaks(comparison, place));
    check("peak memory over all queries".to_owned(), Ratio::of(&ours, &rival), MEMORY_RATIO_MAX);
    for compared in queries {
        if let Some(difference) = &compared.difference {
            lines.push(format!("- *{}* answers differently: {}", compared.query.name, shortened(difference)));
        }
    }
    if lines.is_empty() {
        text.push_str("All answers agree and nothing is beyond its bound.\n\n");
    } else {
        let _ = writeln!(text, "Not as wanted:\n\n{}\n", lines.join("\n"));
    }
}

fn row(plan: &Plan, compared: &Compared) -> String {
    let cpu = |place: usize| figures(compared, place, &|cost| cost.cpu_s * 1e3);
    let (ours, rival, again) = (cpu(OURS), cpu(RIVAL), cpu(RIVAL_AGAIN));
    let mut row = format!(
        "| {} | {:.3} | {:.3} | {} | {} |",
        compared.query.name,
        median(&ours),
        median(&rival),
        spread(&ours, &rival),
        spread(&again, &rival),
    );
    for crowd in 0..plan.clients.len() {
        for share in [|crowd: &Crowd| crowd.p50, |crowd: &Crowd| crowd.p99] {
            let ms = |place| figures(compared, place, &|cost| share(&cost.crowds[crowd]).as_secs_f64() * 1e3);
            let _ = write!(row, " {} |", beside(&ms(OURS), &ms(RIVAL), 1));
        }
    }
    let cached = |place| figures(compared, place, &|cost| cost.cached_cpu_s.map_or(f64::NAN, |cpu_s| cpu_s * 1e3));
    let cell = if compared.query.is_range() { beside(&cached(OURS), &cached(RIVAL), 3) } else { "–".to_owned() };
    let _ = write!(row, " {cell} |");
    row
}

/// `ours : theirs, ratio`
fn beside(ours: &[f64], rival: &[f64], digits: usize) -> String {
    let ratio = Ratio::of(ours, rival).map_or_else(|| "–".to_owned(), |ratio| format!("{:.2}", ratio.median));
    format!("{:.digits$} : {:.digits$}, {ratio}", median(ours), median(rival))
}

fn memory(comparison: &Comparison) -> String {
    let mb = |bytes: &[f64]| bytes.iter().map(|bytes| bytes / 1e6).collect::<Vec<f64>>();
    let [ours, rival, again] = [OURS, RIVAL, RIVAL_AGAIN].map(|place| mb(&memory_peaks(comparison, place)));
    let [fed, fed_rival] = comparison.feeding_memory_bytes.map(|bytes| bytes as f64 / 1e6);
    format!(
        "Peak memory over all queries, MB: {:.0} : {:.0}, {} (the rival against itself {}); while they were fed, flushed and \
         merged: {fed:.0} : {fed_rival:.0}.",
        median(&ours),
        median(&rival),
        spread(&ours, &rival),
        spread(&again, &rival),
    )
}

/// The largest peak of each round.
fn memory_peaks(comparison: &Comparison, place: usize) -> Vec<f64> {
    let rounds = comparison.queries.first().map_or(0, |compared| compared.rounds.len());
    let peak = |round: usize| comparison.queries.iter().map(|one| one.rounds[round][place].memory_peak_bytes).max();
    (0..rounds).filter_map(|round| Some(peak(round)? as f64)).collect()
}

fn figures(compared: &Compared, place: usize, of: &dyn Fn(&Cost) -> f64) -> Vec<f64> {
    compared.rounds.iter().map(|round| of(&round[place])).collect()
}

fn ratio(compared: &Compared, of: &dyn Fn(&Cost) -> f64) -> Option<Ratio> {
    Ratio::of(&figures(compared, OURS, of), &figures(compared, RIVAL, of))
}

fn cpu_ratio(compared: &Compared) -> f64 {
    ratio(compared, &|cost| cost.cpu_s).map_or(0.0, |ratio| ratio.median)
}

fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    if text.chars().count() <= CHARS_MAX {
        return text.to_owned();
    }
    format!("{} …", text.chars().take(CHARS_MAX).collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::queries::DASHBOARD;

    fn cost(cpu_s: f64, ms: u64) -> Cost {
        let took = Duration::from_millis(ms);
        let crowds = vec![Crowd { p50: took, p99: took }];
        Cost { cpu_s, crowds, cached_cpu_s: Some(cpu_s / 2.0), memory_peak_bytes: 1_000_000 }
    }

    fn compared(place: usize, ours: Cost, difference: Option<&str>) -> Compared {
        let rounds = vec![[ours, cost(1.0, 10), cost(1.5, 10)]];
        Compared { query: DASHBOARD[place], series: 1, points: 1, difference: difference.map(str::to_owned), rounds }
    }

    fn text_of(queries: Vec<Compared>) -> String {
        let plan = Plan { clients: vec![4], pairs: 1, ..Plan::default() };
        let contestants = ["ours", "rival"].map(|name| Contestant::of_command(name.to_owned()));
        table(&plan, &contestants, &Comparison { samples: 1, feeding_memory_bytes: [1, 2], queries })
    }

    #[test]
    fn what_is_not_as_wanted_stands_first() {
        let text = text_of(vec![
            compared(1, cost(0.5, 10), None),
            compared(2, cost(0.8, 20), Some("a value")),
            compared(3, cost(0.6, 5), None),
        ]);
        let (slow, good) = (DASHBOARD[2].name, [DASHBOARD[3].name, DASHBOARD[1].name]);
        let expected = format!(
            "Not as wanted:\n\n- *{slow}*, CPU: 0.80 × instead of at most 0.7\n- *{slow}*, p99 at 4 clients: 2.00 × instead of at \
             most 1\n- *{slow}* answers differently: a value\n\n| query |"
        );
        assert!(text.contains(&expected), "{text}");
        let row = |name: &str| text.find(&format!("\n| {name} |")).expect("every query has a row");
        assert!(row(slow) < row(good[0]) && row(good[0]) < row(good[1]), "{text}");
        assert!(
            text.contains("| 500.000 | 1000.000 | 0.50 (0.50 – 0.50) | 1.50 (1.50 – 1.50) | 10.0 : 10.0, 1.00 |"),
            "{text}"
        );
    }

    #[test]
    fn it_is_said_when_all_is_as_wanted() {
        let text = text_of(vec![compared(1, cost(0.5, 10), None)]);
        assert!(text.contains("All answers agree and nothing is beyond its bound."), "{text}");
    }
}
