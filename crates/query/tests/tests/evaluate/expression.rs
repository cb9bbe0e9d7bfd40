//! Random expressions of which the answer is known.

use std::{collections::BTreeSet, fmt};

use query::Dialect;
use testkit::Rng;

/// Labels that every series has.
const LABELS: [&str; 2] = ["i", "j"];
const DEPTH: usize = 4;

pub type LabelNames = BTreeSet<&'static str>;

/// Which labels two sides, or the series of a group, must have in common.
#[derive(Debug, Clone)]
pub enum Chosen {
    /// These.
    These(LabelNames),
    /// All but these.
    AllBut(LabelNames),
}

impl Chosen {
    fn random(rng: &mut Rng) -> Self {
        let names = LABELS.into_iter().filter(|_| rng.chance(0.5)).collect();
        if rng.chance(0.5) { Self::These(names) } else { Self::AllBut(names) }
    }

    pub fn of(&self, labels: &LabelNames) -> LabelNames {
        match self {
            Self::These(names) => labels & names,
            Self::AllBut(names) => labels - names,
        }
    }

    fn text(&self, these: &str, all_but: &str) -> String {
        let (word, names) = match self {
            Self::These(names) => (these, names),
            Self::AllBut(names) => (all_but, names),
        };
        format!("{word} ({})", names.iter().copied().collect::<Vec<_>>().join(", "))
    }
}

/// Series of a metric, some time ago.
#[derive(Debug, Clone)]
pub struct Selector {
    pub metric: &'static str,
    pub value_of_i: Option<&'static str>,
    pub offset: i64,
}

#[derive(Debug, Clone)]
pub struct Binary {
    pub op: &'static str,
    pub returns_bool: bool,
    pub matching: Option<Chosen>,
    pub group_left: bool,
    pub left: Expression,
    pub right: Expression,
}

#[derive(Debug, Clone)]
pub enum Expression {
    Number(f64),
    Selector(Selector),
    Rollup { function: &'static str, selector: Selector, window: i64 },
    Subquery { function: &'static str, inner: Box<Expression>, window: i64, step: i64 },
    Call { function: &'static str, inner: Box<Expression> },
    Aggregate { function: &'static str, parameter: Option<f64>, grouping: Option<Chosen>, inner: Box<Expression> },
    Binary(Box<Binary>),
}

pub fn is_set(op: &str) -> bool {
    ["and", "or", "unless"].contains(&op)
}

pub fn is_comparison(op: &str) -> bool {
    ["==", "!=", ">", "<", ">=", "<="].contains(&op)
}

impl Expression {
    pub fn random(dialect: Dialect, rng: &mut Rng) -> Self {
        Maker { dialect, rng }.vector(DEPTH, true)
    }

    /// The labels that all series of it have (dialect `metricsql`).
    pub fn labels(&self) -> LabelNames {
        match self {
            Self::Number(_) => LabelNames::new(),
            Self::Selector(_) | Self::Rollup { .. } => LABELS.into_iter().collect(),
            Self::Subquery { inner, .. } => inner.labels(),
            Self::Call { function: "absent", .. } => LabelNames::new(),
            Self::Call { inner, .. } => inner.labels(),
            Self::Aggregate { function, grouping, inner, .. } => {
                let mut labels = grouping.as_ref().map_or_else(LabelNames::new, |chosen| chosen.of(&inner.labels()));
                labels.extend((*function == "count_values").then_some("v"));
                labels
            }
            Self::Binary(binary) => {
                let (left, right) = (binary.left.labels(), binary.right.labels());
                match (&binary.left, &binary.right, &binary.matching) {
                    (Self::Number(_), _, _) => right,
                    (_, Self::Number(_), _) => left,
                    // A series without labels goes with every series of the other side.
                    (_, _, None) if !is_set(binary.op) && left.is_empty() => right,
                    (_, _, Some(chosen)) if !is_set(binary.op) && !binary.group_left => chosen.of(&left),
                    _ => left,
                }
            }
        }
    }
}

struct Maker<'a> {
    dialect: Dialect,
    rng: &'a mut Rng,
}

impl Maker<'_> {
    fn is_promql(&self) -> bool {
        self.dialect == Dialect::PromQl
    }

    fn selector(&mut self, metric: &'static str) -> Selector {
        let value_of_i = self.rng.chance(0.3).then(|| *self.rng.pick(&["x", "y", "nosuch"]));
        let offset = if self.rng.chance(0.2) { self.rng.below(900_000) as i64 - 200_000 } else { 0 };
        Selector { metric, value_of_i, offset }
    }

    fn leaf(&mut self) -> Expression {
        let gauge = *self.rng.pick(&["a", "b"]);
        if self.is_promql() && self.rng.chance(0.4) {
            return Expression::Selector(self.selector(gauge));
        }
        let window = 1_000 + self.rng.below(900_000) as i64;
        if self.is_promql() && self.rng.chance(0.3) {
            let function = *self.rng.pick(&["rate", "increase", "resets"]);
            return Expression::Rollup { function, selector: self.selector("c_total"), window };
        }
        let function = self.over_time();
        Expression::Rollup { function, selector: self.selector(gauge), window }
    }

    /// A function over windows that looks at nothing before them.
    fn over_time(&mut self) -> &'static str {
        let both = [
            "sum_over_time",
            "avg_over_time",
            "min_over_time",
            "max_over_time",
            "count_over_time",
            "last_over_time",
            "first_over_time",
            "present_over_time",
            "stddev_over_time",
        ];
        let own = if self.is_promql() { ["changes", "delta"] } else { ["changes_prometheus", "delta_prometheus"] };
        let at = self.rng.index(both.len() + own.len());
        both.get(at).copied().unwrap_or_else(|| own[at - both.len()])
    }

    /// An expression of series. `top`: nothing stands around it.
    fn vector(&mut self, depth: usize, top: bool) -> Expression {
        let Some(depth) = depth.checked_sub(1).filter(|depth| *depth > 0) else { return self.leaf() };
        match self.rng.below(10) {
            0 => self.leaf(),
            1 => Expression::Subquery {
                function: self.over_time(),
                inner: Box::new(self.vector(depth, false)),
                window: 60_000 + self.rng.below(600_000) as i64,
                step: 5_000 + self.rng.below(120_000) as i64,
            },
            2 | 3 => {
                let function = *self.rng.pick(&["abs", "ceil", "floor", "-", "sgn", "absent"]);
                // Dialect `metricsql` makes 0 of gaps with `sgn`; what is absent over a whole range is another question than at an instant.
                let is_known = match function {
                    "sgn" => self.is_promql(),
                    "absent" => top,
                    _ => true,
                };
                let function = if is_known { function } else { "abs" };
                Expression::Call { function, inner: Box::new(self.vector(depth, false)) }
            }
            4..=6 => self.aggregate(depth),
            _ => self.binary(depth, top),
        }
    }

    fn aggregate(&mut self, depth: usize) -> Expression {
        let function = *self.rng.pick(&[
            "sum",
            "avg",
            "min",
            "max",
            "count",
            "group",
            "stddev",
            "stdvar",
            "quantile",
            "count_values",
        ]);
        let parameter = (function == "quantile").then(|| *self.rng.pick(&[0.0, 0.25, 0.5, 1.0, -1.0, 2.0]));
        let grouping = self.rng.chance(0.6).then(|| Chosen::random(self.rng));
        Expression::Aggregate { function, parameter, grouping, inner: Box::new(self.vector(depth, false)) }
    }

    fn binary(&mut self, depth: usize, top: bool) -> Expression {
        let arithmetic = ["+", "-", "*", "/", "%", "^"];
        let comparisons = ["==", "!=", ">", "<", ">=", "<="];
        let op = match self.rng.below(10) {
            0..=4 => *self.rng.pick(&arithmetic),
            5..=7 => *self.rng.pick(&comparisons),
            // `or` over a range may unite series that are there at different times; in dialect `promql` also two metrics whose names go later, when the whole
            // expression is evaluated, which an evaluator of single instants does not know.
            _ if !self.is_promql() && top => *self.rng.pick(&["and", "or", "unless"]),
            _ => *self.rng.pick(&["and", "unless"]),
        };
        let returns_bool = is_comparison(op) && self.rng.chance(0.4);
        if !is_set(op) && self.rng.chance(0.4) {
            let number = Expression::Number(*self.rng.pick(&[0.0, 1.0, -2.0, 0.5, 3.0]));
            let series = self.vector(depth, false);
            let (left, right) = if self.rng.chance(0.5) { (number, series) } else { (series, number) };
            return Expression::Binary(Box::new(Binary {
                op,
                returns_bool,
                matching: None,
                group_left: false,
                left,
                right,
            }));
        }
        let (left, right) = (self.vector(depth, false), self.vector(depth, false));
        let matching = self.rng.chance(0.5).then(|| Chosen::random(self.rng));
        let group_left = !is_set(op) && matching.is_some() && self.rng.chance(0.4);
        Expression::Binary(Box::new(Binary { op, returns_bool, matching, group_left, left, right }))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filter = self.value_of_i.map(|value| format!("{{i=\"{value}\"}}")).unwrap_or_default();
        write!(f, "{}{filter}", self.metric)
    }
}

impl Selector {
    fn shift(&self) -> String {
        if self.offset == 0 { String::new() } else { format!(" offset {}ms", self.offset) }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Selector(selector) => write!(f, "{selector}{}", selector.shift()),
            Self::Rollup { function, selector, window } => {
                write!(f, "{function}({selector}[{window}ms]{})", selector.shift())
            }
            Self::Subquery { function, inner, window, step } => {
                write!(f, "{function}(({inner})[{window}ms:{step}ms])")
            }
            Self::Call { function: "-", inner } => write!(f, "-({inner})"),
            Self::Call { function, inner } => write!(f, "{function}({inner})"),
            Self::Aggregate { function, parameter, grouping, inner } => {
                let grouping = grouping.as_ref().map(|chosen| chosen.text("by", "without")).unwrap_or_default();
                match parameter {
                    Some(parameter) => write!(f, "{function} {grouping} ({parameter}, {inner})"),
                    None if *function == "count_values" => write!(f, "{function} {grouping} (\"v\", {inner})"),
                    None => write!(f, "{function} {grouping} ({inner})"),
                }
            }
            Self::Binary(binary) => {
                let word = if binary.returns_bool { " bool" } else { "" };
                let matching =
                    binary.matching.as_ref().map(|chosen| chosen.text(" on", " ignoring")).unwrap_or_default();
                let group = if binary.group_left { " group_left ()" } else { "" };
                write!(f, "({}) {}{word}{matching}{group} ({})", binary.left, binary.op, binary.right)
            }
        }
    }
}
