//! Text ↔ tree of the union of PromQL and MetricsQL.
//!
//! Architecture invariant: knows the language, and neither data nor what an expression means.

mod ast;

pub use ast::{
    Aggregate, At, Binary, BinaryOp, Call, Definition, Expr, ExprKind, Fill, Filter, Group, GroupSide, Grouping,
    Matching, Rollup, Smoothing, Span, Subquery, Template, Unit,
};
