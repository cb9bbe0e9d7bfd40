//! The table of a comparison: medians, ratios within rounds, and the rival against itself.

use std::fmt::Write;

use super::run::{Footprint, Outcome, Phase};
use super::{Contestant, Plan};
use crate::figures::{median, spread};

/// One line of the table: what is measured, how to read it from an outcome, how to print it.
struct Line {
    name: String,
    value: Box<dyn Fn(&Outcome) -> f64>,
    digits: usize,
}

/// Places of the contestants in each round.
const OURS: usize = 0;
const RIVAL: usize = 1;
const RIVAL_AGAIN: usize = 2;

/// The table in Markdown; a ratio is the first contestant's figure over the second's.
///
/// `rounds[round][contestant]` holds ours, the rival and the rival once more.
pub fn table(plan: &Plan, contestants: &[Contestant; 3], rounds: &[Vec<Outcome>]) -> String {
    let mut text = String::new();
    let (ours, rival) = (&contestants[OURS].name, &contestants[RIVAL].name);
    let _ = writeln!(
        text,
        "{} series × {} scrapes a phase, {} samples a request, {} connections, {} rounds. Machine: {}.\n",
        plan.series,
        plan.scrapes,
        plan.samples_per_request,
        plan.connections,
        rounds.len(),
        crate::machine::describe(),
    );
    let _ = writeln!(text, "| median | {ours} | {rival} | ratio (least – most) | {rival} / itself |");
    let _ = writeln!(text, "|---|---|---|---|---|");
    for line in lines() {
        let of = |place: usize| -> Vec<f64> { rounds.iter().map(|round| (line.value)(&round[place])).collect() };
        let (first, second, again) = (of(OURS), of(RIVAL), of(RIVAL_AGAIN));
        let digits = line.digits;
        let _ = writeln!(
            text,
            "| {} | {:.digits$} | {:.digits$} | {} | {} |",
            line.name,
            median(&first),
            median(&second),
            spread(&first, &second),
            spread(&again, &second),
        );
    }
    let unsettled =
        rounds.iter().flatten().flat_map(|outcome| &outcome.phases).filter(|phase| !phase.is_settled).count();
    if unsettled > 0 {
        let _ = writeln!(text, "\n{unsettled} phases ended before background work had.");
    }
    text
}

fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |name: String, digits: usize, value: Box<dyn Fn(&Outcome) -> f64>| {
        lines.push(Line { name, value, digits });
    };
    let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
    for (place, phase) in Phase::ALL.into_iter().enumerate() {
        let name = phase.name();
        add(format!("{name}: samples per CPU-second"), 0, Box::new(move |r| r.phases[place].samples_per_cpu_s()));
        let unflushed = move |r: &Outcome| r.phases[place].samples as f64 / r.phases[place].cpu_unflushed_s;
        add(format!("{name}: the same before the forced flush"), 0, Box::new(unflushed));
        add(format!("{name}: request p50, ms"), 2, Box::new(move |r| ms(r.phases[place].p50)));
        add(format!("{name}: request p99, ms"), 2, Box::new(move |r| ms(r.phases[place].p99)));
        add(format!("{name}: requests put off"), 0, Box::new(move |r| r.phases[place].retries as f64));
    }
    for (name, of) in [("new, known, again", steady as fn(&Outcome) -> Footprint), ("churn", churn)] {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        add(format!("{name}: CPU s, forced merge included"), 1, Box::new(move |r| of(r).cpu_s));
        add(format!("{name}: peak memory, MB"), 0, Box::new(move |r| mb(of(r).memory_peak_bytes)));
        add(format!("{name}: written to disk, MB"), 0, Box::new(move |r| mb(of(r).written_bytes)));
        let per_sample = move |r: &Outcome| of(r).disk_bytes as f64 / of(r).samples as f64;
        add(format!("{name}: bytes a sample after merge"), 2, Box::new(per_sample));
        let stored = move |r: &Outcome| of(r).stored / of(r).samples as f64;
        add(format!("{name}: samples stored for each one given"), 3, Box::new(stored));
    }
    lines
}

fn steady(outcome: &Outcome) -> Footprint {
    outcome.steady
}

fn churn(outcome: &Outcome) -> Footprint {
    outcome.churn
}
