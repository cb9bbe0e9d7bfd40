//! What a function takes and gives.

use super::{Type, nearest::nearest, table::TABLE};
use crate::{api::Dialect, dialect::function_name};

/// As many arguments as are given.
pub const ANY_NUMBER: usize = usize::MAX;

/// What a function works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The samples of a window of each series.
    Rollup,
    /// Series at their instants.
    Transform,
    /// Groups of series.
    Aggregate,
}

/// A function of one or both languages.
#[derive(Debug, Clone, Copy)]
pub struct Signature {
    /// Its name in lower case.
    pub name: &'static str,
    /// What it works on.
    pub kind: Kind,
    /// In PromQL.
    pub promql: Option<Typed>,
    /// In MetricsQL: how many arguments at least and at most.
    pub metricsql: Option<(usize, usize)>,
}

/// Arguments with types.
#[derive(Debug, Clone, Copy)]
pub struct Typed {
    /// A letter an argument: `s` scalar, `v` instant vector, `m` range vector, `t` text.
    args: &'static str,
    /// How many more than the last may follow it, the last one being optional then; none, if it is 0, and any number, if it is negative.
    variadic: i8,
    /// What comes out.
    pub returns: Type,
}

impl Typed {
    /// How many arguments at least and at most.
    pub fn count(&self) -> (usize, usize) {
        let named = self.args.len();
        match self.variadic {
            0 => (named, named),
            more if more < 0 => (named - 1, ANY_NUMBER),
            more => (named - 1, named - 1 + more.unsigned_abs() as usize),
        }
    }

    /// The type of argument `at`.
    pub fn argument(&self, at: usize) -> Option<Type> {
        let letter =
            self.args.as_bytes().get(at).or_else(|| self.args.as_bytes().last().filter(|_| self.variadic != 0))?;
        Some(match letter {
            b's' => Type::Scalar,
            b'm' => Type::RangeVector,
            b't' => Type::Text,
            _ => Type::InstantVector,
        })
    }
}

const fn typed(args: &'static str, variadic: i8) -> Option<Typed> {
    Some(Typed { args, variadic, returns: Type::InstantVector })
}

/// A function of both languages that gives an instant vector.
pub(super) const fn both(
    name: &'static str,
    kind: Kind,
    args: &'static str,
    variadic: i8,
    count: (usize, usize),
) -> Signature {
    Signature { name, kind, promql: typed(args, variadic), metricsql: Some(count) }
}

/// One of PromQL alone.
pub(super) const fn prom(name: &'static str, kind: Kind, args: &'static str, variadic: i8) -> Signature {
    Signature { name, kind, promql: typed(args, variadic), metricsql: None }
}

/// One of MetricsQL alone.
pub(super) const fn metrics(name: &'static str, kind: Kind, count: (usize, usize)) -> Signature {
    Signature { name, kind, promql: None, metricsql: Some(count) }
}

impl Signature {
    /// The same function, but a scalar comes out in PromQL.
    pub(super) const fn to_scalar(mut self) -> Self {
        if let Some(typed) = &mut self.promql {
            typed.returns = Type::Scalar;
        }
        self
    }

    /// Whether the dialect has it.
    pub fn is_of(&self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::PromQl => self.promql.is_some(),
            Dialect::MetricsQl => self.metricsql.is_some(),
        }
    }
}

/// All functions of a dialect.
pub fn signatures(dialect: Dialect) -> impl Iterator<Item = &'static Signature> {
    TABLE.iter().copied().flatten().filter(move |signature| signature.is_of(dialect))
}

/// The function of a name as it was written.
pub fn find(dialect: Dialect, name: &str) -> Option<&'static Signature> {
    let name = function_name(dialect, name);
    signatures(dialect).find(|signature| signature.name == name)
}

/// ` (did you mean "x"?)`, or nothing.
pub(super) fn suggestion(dialect: Dialect, name: &str) -> String {
    match nearest(name, signatures(dialect).map(|signature| signature.name)) {
        Some(known) => format!(" (did you mean {known:?}?)"),
        None => String::new(),
    }
}
