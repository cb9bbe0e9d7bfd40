//! `info()` of dialect `promql`: labels that info series tell about the target of a series.
//!
//! 1. The second argument says which info series are meant (`__name__`, else `target_info`), and which of their labels are taken (else all). If it
//!    only says which names are not meant, all others that end in `_info` are.
//! 2. Info series are found by the labels that identify a target; without any of them there is none. Of several of one name the one with the newest
//!    sample counts at each instant; two that are equally new are an error.
//! 3. Labels that the series has itself stay. Series of the info metrics stay as they are.
//! 4. Where no info series is found the series stays as it is, unless a filter asks for a label that is not empty.

use hashbrown::HashMap;
use metricsql::{Call, Expr, ExprKind, Span};
use model::{METRIC_NAME, MatchOp, Matcher, Selector};
use regex::Regex;

use super::{Evaluation, Scope};
use crate::{
    api::QueryError,
    frame::{Operand, Row, is_absent},
    labels::Labels,
    values::Values,
};

/// The labels that say whose series one is.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
/// The info metric if none is asked for.
const METRIC_DEFAULT: &str = "target_info";
/// The info metrics if it is only said which ones are not asked for.
const METRICS_DEFAULT: &str = ".+_info";

impl Evaluation<'_> {
    pub(super) fn eval_info(&self, call: &Call, span: Span, scope: &Scope) -> Result<Operand, QueryError> {
        let base = match call.args.first().map(|arg| self.eval(arg, scope)).transpose()? {
            Some(Operand::Rows(rows)) => rows,
            _ => return fail("expected type instant vector in call to function \"info\""),
        };
        let selector = info_selector(call.args.get(1))?;
        let wanted = Wanted::new(&selector)?;
        let expr = Expr { kind: ExprKind::Selector(selector), span };
        let plan = self.plan_sample_times(&expr, scope)?;
        let targets = Targets::new(self.run_plan(&plan, scope)?);
        let mut enriched = Vec::with_capacity(base.len());
        for row in base {
            self.ledger.hold(row.values.len() * size_of::<f64>())?;
            match wanted.is_info(&row) {
                true => enriched.push(row),
                false => targets.enrich(&row, &wanted, &mut enriched)?,
            }
        }
        Ok(Operand::Rows(enriched))
    }
}

/// The selector of the info series.
fn info_selector(arg: Option<&Expr>) -> Result<Selector, QueryError> {
    let mut matchers = match arg.map(|arg| &arg.kind) {
        None => Vec::new(),
        Some(ExprKind::Selector(selector)) if selector.any_of.len() <= 1 => {
            selector.any_of.first().cloned().unwrap_or_default()
        }
        Some(_) => return fail("expected label selectors only"),
    };
    let mut of_names = matchers.iter().filter(|matcher| matcher.name == METRIC_NAME).peekable();
    let default = match of_names.peek() {
        None => Some(Matcher::equal(METRIC_NAME, METRIC_DEFAULT)),
        Some(_) => of_names
            .all(|matcher| matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRegex))
            .then(|| Matcher::new(METRIC_NAME, MatchOp::Regex, METRICS_DEFAULT)),
    };
    matchers.splice(..0, default);
    Ok(Selector::all_of(matchers))
}

/// A matcher that is ready to be asked.
struct Condition {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Regex>,
}

impl Condition {
    fn new(matcher: &Matcher) -> Result<Self, QueryError> {
        let regex = match matcher.op {
            MatchOp::Regex | MatchOp::NotRegex => Some(Regex::new(&format!("^(?s:{})$", matcher.value))),
            MatchOp::Equal | MatchOp::NotEqual => None,
        };
        let regex = regex.transpose().map_err(|error| QueryError::Evaluation(error.to_string()))?;
        Ok(Self { name: matcher.name.clone(), op: matcher.op, value: matcher.value.clone(), regex })
    }

    fn holds(&self, value: &str) -> bool {
        let matches = self.regex.as_ref().map_or(self.value == value, |regex| regex.is_match(value));
        matches == matches!(self.op, MatchOp::Equal | MatchOp::Regex)
    }
}

/// What the second argument asks for.
struct Wanted {
    /// Of the name of the info metric.
    metric: Vec<Condition>,
    /// Of its other labels, which are those that are taken.
    data: Vec<Condition>,
}

impl Wanted {
    fn new(selector: &Selector) -> Result<Self, QueryError> {
        let all = selector.any_of.iter().flatten().map(Condition::new).collect::<Result<Vec<_>, _>>()?;
        let (metric, data) = all.into_iter().partition(|condition| condition.name == METRIC_NAME);
        Ok(Self { metric, data })
    }

    fn is_info(&self, row: &Row) -> bool {
        self.metric.iter().all(|condition| condition.holds(row.labels.metric_name()))
    }

    fn takes(&self, label: &str) -> bool {
        self.data.is_empty() || self.data.iter().any(|condition| condition.name == label)
    }

    /// Whether series for which nothing is found stay.
    fn keeps_others(&self) -> bool {
        self.data.iter().all(|condition| condition.holds(""))
    }
}

/// Info series by their target.
struct Targets {
    /// The times of their newest samples, in seconds.
    infos: Vec<Row>,
    /// By target, the info series of each name.
    places: HashMap<[String; 2], Vec<Vec<usize>>>,
}

impl Targets {
    fn new(infos: Vec<Row>) -> Self {
        let mut places: HashMap<[String; 2], Vec<Vec<usize>>> = HashMap::new();
        for (at, info) in infos.iter().enumerate() {
            let target = target(&info.labels);
            if target.iter().all(String::is_empty) {
                continue;
            }
            let of_target = places.entry(target).or_default();
            let name = info.labels.metric_name();
            match of_target.iter_mut().find(|same_name| infos[same_name[0]].labels.metric_name() == name) {
                Some(same_name) => same_name.push(at),
                None => of_target.push(vec![at]),
            }
        }
        Self { infos, places }
    }

    /// Adds the series with its new labels; it becomes several if they change.
    fn enrich(&self, base: &Row, wanted: &Wanted, into: &mut Vec<Row>) -> Result<(), QueryError> {
        let none = Vec::new();
        let of_target = self.places.get(&target(&base.labels)).unwrap_or(&none);
        // Which info series count, and the row that the values go to then.
        let mut known: Vec<(Vec<usize>, Option<usize>)> = Vec::new();
        for (i, value) in base.values.iter().enumerate().filter(|(_, value)| !is_absent(**value)) {
            let chosen = self.newest(of_target, i)?;
            let found = known.iter().find(|(other, _)| *other == chosen).map(|(_, row)| *row);
            let row = match found {
                Some(row) => row,
                None => {
                    let labels = self.labels(base, &chosen, wanted)?;
                    let row = labels.map(|labels| {
                        let values = Values::absent(base.values.len());
                        into.push(Row { labels, values, drop_name: base.drop_name });
                        into.len() - 1
                    });
                    known.push((chosen, row));
                    row
                }
            };
            if let Some(row) = row {
                into[row].values.whole()[i] = *value;
            }
        }
        Ok(())
    }

    /// Of each name the info series with the newest sample at instant `i`.
    fn newest(&self, of_target: &[Vec<usize>], i: usize) -> Result<Vec<usize>, QueryError> {
        let mut chosen = Vec::with_capacity(of_target.len());
        for same_name in of_target {
            let mut newest: Option<usize> = None;
            for at in same_name.iter().copied().filter(|at| !is_absent(self.infos[*at].values[i])) {
                let time = self.infos[at].values[i];
                match newest {
                    Some(other) if self.infos[other].values[i] > time => {}
                    Some(other) if self.infos[other].values[i] == time => {
                        let (existing, new) = (&self.infos[other].labels, &self.infos[at].labels);
                        return fail(format!(
                            "found duplicate series for info metric: existing {existing:?} @ {time}, new {new:?} @ {time}"
                        ));
                    }
                    _ => newest = Some(at),
                }
            }
            chosen.extend(newest);
        }
        Ok(chosen)
    }

    /// The labels of the series with those of the chosen info series; `None` if it is left out.
    fn labels(&self, base: &Row, chosen: &[usize], wanted: &Wanted) -> Result<Option<Labels>, QueryError> {
        let mut told = Labels::default();
        for at in chosen {
            for (name, value) in self.infos[*at].labels.iter() {
                if name == METRIC_NAME || !wanted.takes(name) {
                    continue;
                }
                let have = told.get(name);
                if !have.is_empty() && have != value {
                    return fail(format!("conflicting label: {name}"));
                }
                if base.labels.get(name).is_empty() {
                    told.set(name, value);
                }
            }
        }
        if chosen.is_empty() && !wanted.keeps_others() {
            return Ok(None);
        }
        let mut labels = base.labels.clone();
        told.iter().for_each(|(name, value)| labels.set(name, value));
        Ok(Some(labels))
    }
}

fn target(labels: &Labels) -> [String; 2] {
    IDENTIFYING.map(|name| labels.get(name).to_string())
}

fn fail<T>(message: impl Into<String>) -> Result<T, QueryError> {
    Err(QueryError::Evaluation(message.into()))
}
