//! Parts of a tree that stand in it more than once are evaluated once.
//!
//! 1. Before anything is evaluated, parts that read samples are told apart by what is written and by the windows of subqueries around them. Below a part
//!    that was met before nothing is counted, as it will not be evaluated again.
//! 2. What a part comes to that stands there several times is kept until it was asked for as often, beside the grid on which it was evaluated.
//! 3. What draws random numbers is evaluated each time, and so is what told notes, since they name the place.
//! 4. What is kept counts as memory of the query. If there is no room, it is not kept.

use std::collections::HashMap;

use metricsql::{At, Expr, ExprKind, Rollup};
use parking_lot::Mutex;

use super::{Evaluation, Scope, fold::folds_over_selector};
use crate::{
    api::{Dialect, QueryError},
    budget::operand_bytes,
    dialect,
    frame::{Grid, Operand},
    rollup::{is_rollup, series_argument},
};

/// The parts of a query that stand in it more than once, and what they came to.
#[derive(Debug, Default)]
pub struct Common {
    /// The number of a part by the address of each expression that it stands for; the tree stays where it is while the query runs.
    numbers: HashMap<usize, usize>,
    kept: Mutex<HashMap<(usize, Grid), Kept>>,
    /// How often each part stands there.
    counts: Vec<usize>,
}

#[derive(Debug)]
struct Kept {
    operand: Operand,
    bytes: usize,
    /// How often it will still be asked for.
    wanted: usize,
}

impl Common {
    /// Finds the parts of a tree.
    pub fn of(expr: &Expr, dialect: Dialect) -> Self {
        let mut finder = Finder { dialect, parts: HashMap::new() };
        finder.visit(expr, "");
        let mut common = Self::default();
        for addresses in finder.parts.into_values().filter(|addresses| addresses.len() > 1) {
            let number = common.counts.len();
            common.counts.push(addresses.len());
            common.numbers.extend(addresses.into_iter().map(|address| (address, number)));
        }
        common
    }

    fn number_of(&self, expr: &Expr) -> Option<usize> {
        if self.numbers.is_empty() { None } else { self.numbers.get(&address(expr)).copied() }
    }
}

fn address(expr: &Expr) -> usize {
    std::ptr::from_ref(expr).addr()
}

struct Finder {
    dialect: Dialect,
    /// Addresses by subqueries around and what is written.
    parts: HashMap<(String, String), Vec<usize>>,
}

impl Finder {
    fn visit(&mut self, expr: &Expr, around: &str) {
        if reads_samples(expr) && is_steady(expr) && !is_wrapping(expr) {
            let addresses = self.parts.entry((around.into(), expr.to_string())).or_default();
            addresses.push(address(expr));
            if addresses.len() > 1 {
                return;
            }
        }
        match &expr.kind {
            ExprKind::Rollup(rollup) => self.visit_rollup(rollup, around),
            ExprKind::Call(call) => {
                let name = dialect::function_name(self.dialect, &call.name);
                let series =
                    is_rollup(self.dialect, &name).then(|| series_argument(self.dialect, &name, call.args.len()));
                for (at, arg) in call.args.iter().enumerate() {
                    match &arg.without_parens().kind {
                        // The function looks at the samples itself.
                        ExprKind::Selector(_) if series == Some(at) => {}
                        ExprKind::Rollup(rollup) if series == Some(at) => self.visit_rollup(rollup, around),
                        _ if series == Some(at) => self.visit(arg, &format!("{around} implicit")),
                        _ => self.visit(arg, around),
                    }
                }
            }
            ExprKind::Aggregate(aggregate) if folds_over_selector(aggregate, self.dialect) => {}
            _ => expr.for_each_child(&mut |child| self.visit(child, around)),
        }
    }

    fn visit_rollup(&mut self, rollup: &Rollup, around: &str) {
        if matches!(rollup.inner.without_parens().kind, ExprKind::Selector(_)) {
            return;
        }
        let written = |expr: Option<&Expr>| expr.map(ToString::to_string).unwrap_or_default();
        let step = rollup.subquery.as_ref().and_then(|subquery| subquery.step.as_ref());
        let at = match &rollup.at {
            Some(At::Time(time)) => time.to_string(),
            other => format!("{other:?}"),
        };
        let (window, step, offset) = (written(rollup.window.as_ref()), written(step), written(rollup.offset.as_ref()));
        self.visit(&rollup.inner, &format!("{around} [{window}:{step}] {offset} @{at}"));
    }
}

fn reads_samples(expr: &Expr) -> bool {
    let mut reads = false;
    expr.for_each(&mut |part| reads |= matches!(part.kind, ExprKind::Selector(_)));
    reads
}

/// Whether it comes to the same each time.
fn is_steady(expr: &Expr) -> bool {
    let mut is_steady = true;
    expr.for_each(&mut |part| {
        if let ExprKind::Call(call) = &part.kind {
            is_steady &= !call.name.to_ascii_lowercase().starts_with("rand");
        }
    });
    is_steady
}

/// Whether it adds nothing to what stands inside.
fn is_wrapping(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Paren(_) | ExprKind::Plus(_))
}

impl Evaluation<'_> {
    /// Evaluates a part of the tree, unless it was before.
    pub(super) fn eval_once(&self, expr: &Expr, scope: &Scope) -> Result<Operand, QueryError> {
        let Some(number) = self.common.number_of(expr) else { return self.eval_kind(expr, scope) };
        let key = (number, scope.grid);
        if let Some(operand) = self.take_kept(key) {
            return Ok(operand);
        }
        let notes = self.notes.to_strings();
        let operand = self.eval_kind(expr, scope)?;
        let bytes = operand_bytes(&operand);
        if self.notes.to_strings() == notes && self.ledger.try_keep(bytes) {
            let kept = Kept { operand: operand.clone(), bytes, wanted: self.common.counts[number] - 1 };
            self.common.kept.lock().insert(key, kept);
        }
        Ok(operand)
    }

    fn take_kept(&self, key: (usize, Grid)) -> Option<Operand> {
        let mut all = self.common.kept.lock();
        let kept = all.get_mut(&key)?;
        kept.wanted -= 1;
        if kept.wanted > 0 {
            return Some(kept.operand.clone());
        }
        let kept = all.remove(&key)?;
        self.ledger.unkeep(kept.bytes);
        Some(kept.operand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str) -> Vec<usize> {
        let expr = metricsql::parse(text, &metricsql::Options::default()).expect("tests write expressions");
        let mut counts = Common::of(&expr, Dialect::MetricsQl).counts;
        counts.sort_unstable();
        counts
    }

    #[test]
    fn parts_are_counted_where_they_would_be_evaluated() {
        assert_eq!(counts("a + a * a"), [3]);
        assert_eq!(counts("a + b"), []);
        assert_eq!(counts("abs(a) / (abs(a) + 1)"), [2], "what stands in a part that is common is not counted again");
        assert_eq!(counts("sum(rate(a[5m])) / count(rate(a[5m]))"), [], "both fold series by series");
        assert_eq!(counts("sum(rate(a[5m])) / ignoring(x) sum(rate(a[5m]))"), [2]);
        assert_eq!(counts("max_over_time(abs(a)[1h:1m]) - min_over_time(abs(a)[1h:1m])"), [2]);
        assert_eq!(counts("max_over_time(abs(a)[1h:1m]) - abs(a)"), [], "on other grids");
        assert_eq!(counts("(a * rand()) + (a * rand())"), [2], "only the selector");
        assert_eq!(counts("1 + 1"), []);
    }
}
