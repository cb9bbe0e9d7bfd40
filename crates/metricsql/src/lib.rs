//! Text ↔ tree of the union of PromQL and MetricsQL.
//!
//! Architecture invariant: knows the language, and neither data nor what an expression means.

mod ast;

pub use ast::{
    Aggregate, At, Binary, BinaryOp, Call, Expr, ExprKind, Fill, Group, GroupSide, Grouping, Matching, Rollup,
    Smoothing, Span, Subquery, Unit,
};
