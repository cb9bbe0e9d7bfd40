//! The tree of an expression, as it was written. Meaning (types, dialects, defaults) is not decided here.

use model::{MatchOp, Selector};

/// Where in the text something stands, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// Behind the last byte.
    pub end: u32,
}

/// An expression and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `1.5`, `0x1f`, `1_000`, `5Ki`, `Inf`, `NaN`.
    Number(f64),
    /// `1h5m`, `10i`, `1.5d`: one number a unit, in the order of writing.
    Duration(Vec<(f64, Unit)>),
    /// `"text"`, concatenations already joined. A byte of an escape that makes no UTF-8 stands as one character, see `stray_byte`.
    Text(String),
    /// `m`, `m{a="b" or c="d"}`, `{"m", a="b"}`; the metric name is a matcher on `__name__` and stands first in each set.
    Selector(Selector),
    /// What stands in front of `[…]`, `offset`, `@`, `anchored` and `smoothed`.
    Rollup(Box<Rollup>),
    /// `f(…)`.
    Call(Call),
    /// `sum(…) by (…)`.
    Aggregate(Aggregate),
    /// `a + b`.
    Binary(Box<Binary>),
    /// `-a`.
    Negate(Box<Expr>),
    /// `+a`.
    Plus(Box<Expr>),
    /// `(a)`.
    Paren(Box<Expr>),
    /// `()`, `(a, b)`.
    Union(Vec<Expr>),
    /// What [`crate::parse`] has expanded already; only `parse_written` gives it, for printing as it was written.
    Template(Box<Template>),
}

/// Unit of a part of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// `ms`
    Millisecond,
    /// `s`
    Second,
    /// `m`
    Minute,
    /// `h`
    Hour,
    /// `d`
    Day,
    /// `w`
    Week,
    /// `y`, 365 days
    Year,
    /// `i`: the step of the query
    Step,
}

/// A range, a subquery, a shift in time, in any combination on one expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollup {
    /// What is looked at.
    pub inner: Expr,
    /// `[window]`; a number, a duration, or an expression of such, `step()`, `range()`, `min`, `max`.
    pub window: Option<Expr>,
    /// `[window:step]`.
    pub subquery: Option<Subquery>,
    /// `offset x`; of the same form as a window.
    pub offset: Option<Expr>,
    /// `@ t`.
    pub at: Option<At>,
    /// `anchored` or `smoothed`.
    pub smoothing: Option<Smoothing>,
}

/// That a range is one of a subquery.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// Its step, if it was written.
    pub step: Option<Expr>,
}

/// The instant of `@`.
#[derive(Debug, Clone, PartialEq)]
pub enum At {
    /// `@ start()`
    Start,
    /// `@ end()`
    End,
    /// `@ expression`, in seconds.
    Time(Expr),
}

/// How a range treats its borders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Smoothing {
    /// `anchored`
    Anchored,
    /// `smoothed`
    Smoothed,
}

/// A function's call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The name as it was written.
    pub name: String,
    /// The arguments.
    pub args: Vec<Expr>,
    /// `keep_metric_names` stands behind it.
    pub keep_metric_names: bool,
}

/// An aggregation over series.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// The name in lower case.
    pub name: String,
    /// The arguments, parameters first.
    pub args: Vec<Expr>,
    /// `by` or `without`; `None` if neither was written.
    pub grouping: Option<Grouping>,
    /// `limit n`.
    pub limit: Option<u64>,
}

/// Which series an aggregation puts together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grouping {
    /// `by (labels)`
    By(Vec<String>),
    /// `without (labels)`
    Without(Vec<String>),
}

/// An operator between two expressions.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// `bool` stands behind it.
    pub returns_bool: bool,
    /// Its left side.
    pub left: Expr,
    /// Its right side.
    pub right: Expr,
    /// `on (…)` or `ignoring (…)`.
    pub matching: Option<Matching>,
    /// `group_left (…)` or `group_right (…)`.
    pub group: Option<Group>,
    /// `fill (…)`, `fill_left (…)`, `fill_right (…)`.
    pub fill: Fill,
    /// `keep_metric_names` stands behind the operation in parentheses.
    pub keep_metric_names: bool,
}

impl Binary {
    /// `left op right` without any modifier.
    pub fn plain(left: Expr, op: BinaryOp, right: Expr) -> Self {
        let fill = Fill::default();
        Self { op, returns_bool: false, left, right, matching: None, group: None, fill, keep_metric_names: false }
    }
}

/// Operators, those that bind less first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "their names say it")]
pub enum BinaryOp {
    Default,
    If,
    IfNot,
    Or,
    And,
    Unless,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Atan2,
    Power,
}

/// On which labels two sides are matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matching {
    /// On these.
    On(Vec<String>),
    /// On all but these.
    Ignoring(Vec<String>),
}

/// Many to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Which side has the many.
    pub side: GroupSide,
    /// Labels taken from the other side; `*` takes all.
    pub labels: Vec<String>,
    /// `prefix "…"` in front of the names of labels that are taken.
    pub prefix: Option<String>,
}

/// A side of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupSide {
    /// `group_left`
    Left,
    /// `group_right`
    Right,
}

/// What stands for the partner that a series lacks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fill {
    /// For a missing one on the left.
    pub left: Option<f64>,
    /// For a missing one on the right.
    pub right: Option<f64>,
}

/// What only the text before expansion has. [`crate::parse`] gives trees without it, so an evaluation never meets it.
#[derive(Debug, Clone, PartialEq)]
pub enum Template {
    /// `WITH (…) body`.
    With {
        /// The definitions, in the order of writing; each sees those before it.
        definitions: Vec<Definition>,
        /// Where they hold.
        body: Expr,
    },
    /// A selector with a template among its filters or in a filter's value.
    Pattern {
        /// The metric name in front of the braces.
        name: Option<String>,
        /// The alternatives between `or`.
        any_of: Vec<Vec<Filter>>,
    },
}

/// `name = body` or `name(params) = body`.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// The name.
    pub name: String,
    /// The parameters, if there are parentheses.
    pub params: Option<Vec<String>>,
    /// What stands for it.
    pub body: Expr,
}

/// A filter of a selector that is not expanded yet.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// The filters of the selector that this name stands for.
    Template(String, Span),
    /// `label op value`; the value comes to a text.
    Matcher {
        /// The label.
        label: String,
        /// The comparison.
        op: MatchOp,
        /// Text, name of a template, or a concatenation.
        value: Expr,
    },
}
