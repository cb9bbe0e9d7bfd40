//! The table of a comparison: what is not as wanted first, then medians, ratios within rounds, and the rival against itself.

use std::fmt::Write;

use super::run::{Footprint, Outcome, Phase};
use super::{Contestant, Plan};
use crate::figures::{Ratio, median, spread};

/// One line of the table: what is measured, what its ratio should be, how to read it from an outcome, how to print it.
struct Line {
    name: String,
    wanted: Wanted,
    value: Box<dyn Fn(&Outcome) -> f64>,
    digits: usize,
}

/// What our figure should be, as a ratio to the rival's.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    AtLeast(f64),
    AtMost(f64),
    /// It is told, and nothing follows from it.
    Told,
}

impl Wanted {
    /// What is wrong with a ratio, if anything.
    fn complaint(self, ratio: f64) -> Option<String> {
        match self {
            Self::AtLeast(least) if ratio < least => Some(format!("{ratio:.2} × instead of at least {least}")),
            Self::AtMost(most) if ratio > most => Some(format!("{ratio:.2} × instead of at most {most}")),
            _ => None,
        }
    }
}

/// The design's bounds for peak memory and for bytes a sample of jittered scrapes.
const MEMORY_RATIO_MAX: f64 = 0.6;
const DISK_RATIO_MAX: f64 = 0.7;

/// Places of the contestants in each round.
const OURS: usize = 0;
const RIVAL: usize = 1;
const RIVAL_AGAIN: usize = 2;

/// The table in Markdown; a ratio is the first contestant's figure over the second's.
///
/// `rounds[round][contestant]` holds ours, the rival, the rival once more, and others; of these the table tells our ratio to each.
pub fn table(plan: &Plan, contestants: &[Contestant], rounds: &[Vec<Outcome>]) -> String {
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
    let lines = lines();
    let _ = writeln!(text, "{}\n", not_as_wanted(&lines, rounds));
    let _ = write!(text, "| median | {ours} | {rival} | ratio (least – most) | {rival} / itself |");
    let others = RIVAL_AGAIN + 1..contestants.len();
    for other in others.clone() {
        let _ = write!(text, " {0} | ratio to {0} |", contestants[other].name);
    }
    let _ = writeln!(text, "\n|---|---|---|---|---|{}", "---|---|".repeat(others.len()));
    for line in &lines {
        let [first, second, again] = [OURS, RIVAL, RIVAL_AGAIN].map(|place| line.figures(rounds, place));
        let digits = line.digits;
        let _ = write!(
            text,
            "| {} | {:.digits$} | {:.digits$} | {} | {} |",
            line.name,
            median(&first),
            median(&second),
            spread(&first, &second),
            spread(&again, &second),
        );
        for other in others.clone() {
            let theirs = line.figures(rounds, other);
            let _ = write!(text, " {:.digits$} | {} |", median(&theirs), spread(&first, &theirs));
        }
        text.push('\n');
    }
    let unsettled =
        rounds.iter().flatten().flat_map(|outcome| &outcome.phases).filter(|phase| !phase.is_settled).count();
    if unsettled > 0 {
        let _ = writeln!(text, "\n{unsettled} phases ended before background work had.");
    }
    text
}

impl Line {
    fn figures(&self, rounds: &[Vec<Outcome>], place: usize) -> Vec<f64> {
        rounds.iter().map(|round| (self.value)(&round[place])).collect()
    }
}

fn not_as_wanted(lines: &[Line], rounds: &[Vec<Outcome>]) -> String {
    let complaints = lines.iter().filter_map(|line| {
        let ratio = Ratio::of(&line.figures(rounds, OURS), &line.figures(rounds, RIVAL))?;
        Some(format!("- {}: {}", line.name, line.wanted.complaint(ratio.median)?))
    });
    let complaints: Vec<String> = complaints.collect();
    if complaints.is_empty() {
        return "Everything is as wanted.".to_owned();
    }
    format!("Not as wanted:\n\n{}", complaints.join("\n"))
}

/// What the design wants of samples per CPU-second, for each phase.
fn wanted_rate(phase: Phase) -> Wanted {
    match phase {
        Phase::New | Phase::Again => Wanted::AtLeast(3.0),
        Phase::Known => Wanted::AtLeast(3.5),
        Phase::Churn => Wanted::AtLeast(4.0),
    }
}

fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |name: String, digits: usize, wanted: Wanted, value: Box<dyn Fn(&Outcome) -> f64>| {
        lines.push(Line { name, wanted, value, digits });
    };
    let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
    let no_more = Wanted::AtMost(1.0);
    for (place, phase) in Phase::ALL.into_iter().enumerate() {
        let name = phase.name();
        let rate = move |r: &Outcome| r.phases[place].samples_per_cpu_s();
        add(format!("{name}: samples per CPU-second"), 0, wanted_rate(phase), Box::new(rate));
        let unflushed = move |r: &Outcome| r.phases[place].samples as f64 / r.phases[place].cpu_unflushed_s;
        add(format!("{name}: the same before the forced flush"), 0, Wanted::Told, Box::new(unflushed));
        add(format!("{name}: request p50, ms"), 2, no_more, Box::new(move |r| ms(r.phases[place].p50)));
        add(format!("{name}: request p99, ms"), 2, no_more, Box::new(move |r| ms(r.phases[place].p99)));
        let put_off = move |r: &Outcome| r.phases[place].retries as f64;
        add(format!("{name}: requests put off"), 0, Wanted::Told, Box::new(put_off));
    }
    for (name, of) in [("new, known, again", steady as fn(&Outcome) -> Footprint), ("churn", churn)] {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        add(format!("{name}: CPU s, forced merge included"), 1, no_more, Box::new(move |r| of(r).cpu_s));
        let peak = move |r: &Outcome| mb(of(r).memory_peak_bytes);
        add(format!("{name}: peak memory, MB"), 0, Wanted::AtMost(MEMORY_RATIO_MAX), Box::new(peak));
        add(format!("{name}: written to disk, MB"), 0, no_more, Box::new(move |r| mb(of(r).written_bytes)));
        let per_sample = move |r: &Outcome| of(r).disk_bytes as f64 / of(r).samples as f64;
        let wanted = Wanted::AtMost(DISK_RATIO_MAX);
        add(format!("{name}: bytes a sample after merge"), 2, wanted, Box::new(per_sample));
        let stored = move |r: &Outcome| of(r).stored / of(r).samples as f64;
        add(format!("{name}: samples stored for each one given"), 3, Wanted::Told, Box::new(stored));
    }
    let ready = |r: &Outcome| r.restart.ready_in.as_secs_f64();
    add("start after a kill, nothing flushed: s until ready".to_owned(), 2, Wanted::Told, Box::new(ready));
    let cpu = |r: &Outcome| r.restart.cpu_s;
    add("start after a kill: CPU s until idle".to_owned(), 2, Wanted::Told, Box::new(cpu));
    lines
}

fn steady(outcome: &Outcome) -> Footprint {
    outcome.steady
}

fn churn(outcome: &Outcome) -> Footprint {
    outcome.churn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_about_what_is_beyond_its_bound() {
        assert_eq!(Wanted::AtLeast(3.0).complaint(2.5).as_deref(), Some("2.50 × instead of at least 3"));
        assert_eq!(Wanted::AtMost(0.7).complaint(0.8).as_deref(), Some("0.80 × instead of at most 0.7"));
        for (wanted, ratio) in [(Wanted::AtLeast(3.0), 3.0), (Wanted::AtMost(0.7), 0.7), (Wanted::Told, 100.0)] {
            assert_eq!(wanted.complaint(ratio), None, "{wanted:?}");
        }
    }
}
