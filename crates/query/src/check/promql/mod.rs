//! Dialect `promql`: types, as Prometheus checks them.

mod operators;
mod selectors;

use ::metricsql::{Aggregate, Call, Expr, ExprKind, ParseError, Span};

use super::{
    Type,
    signature::{ANY_NUMBER, Kind, Signature, find, suggestion},
    wrong,
};
use crate::api::Dialect;

pub(super) fn check(text: &str, expr: &Expr) -> Result<Type, ParseError> {
    Checker { text }.type_of(expr)
}

struct Checker<'a> {
    text: &'a str,
}

impl Checker<'_> {
    /// The type of an expression in which nothing is wrong.
    fn type_of(&self, expr: &Expr) -> Result<Type, ParseError> {
        match &expr.kind {
            ExprKind::Number(_) | ExprKind::Duration(_) => Ok(Type::Scalar),
            ExprKind::Text(_) => Ok(Type::Text),
            ExprKind::Selector(selector) => self.selector(selector, expr.span),
            ExprKind::Rollup(rollup) => self.rollup(rollup, expr.span),
            ExprKind::Call(call) => self.call(call, expr.span),
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate, expr.span),
            ExprKind::Binary(binary) => self.binary(binary, expr.span),
            ExprKind::Negate(inner) | ExprKind::Plus(inner) => self.signed(inner, expr.span),
            ExprKind::Paren(inner) => self.type_of(inner),
            ExprKind::Union(members) => {
                members.iter().try_for_each(|member| self.type_of(member).map(drop))?;
                Ok(Type::InstantVector)
            }
            ExprKind::Template(_) => self.wrong(expr.span, "a template was left in the tree"),
        }
    }

    fn signed(&self, inner: &Expr, span: Span) -> Result<Type, ParseError> {
        match self.type_of(inner)? {
            found @ (Type::Scalar | Type::InstantVector) => Ok(found),
            found => self.wrong(
                span,
                format!(
                    "unary expression only allowed on expressions of type scalar or instant vector, got {:?}",
                    found.name()
                ),
            ),
        }
    }

    fn signature(&self, name: &str, is_aggregate: bool, span: Span) -> Result<&'static Signature, ParseError> {
        let found = find(Dialect::PromQl, name).filter(|found| (found.kind == Kind::Aggregate) == is_aggregate);
        match found {
            Some(signature) => Ok(signature),
            None => {
                let suggestion = suggestion(Dialect::PromQl, name);
                self.wrong(span, format!("unknown function with name {name:?}{suggestion}"))
            }
        }
    }

    fn call(&self, call: &Call, span: Span) -> Result<Type, ParseError> {
        let (name, count) = (&call.name, call.args.len());
        let signature = self.signature(name, false, span)?;
        let typed = signature.promql.expect("BUG: a signature of the dialect has types");
        let (least, most) = typed.count();
        let expected = match (least, most) {
            (least, most) if least == most && count != least => format!("{least}"),
            (least, _) if count < least => format!("at least {least}"),
            (_, most) if count > most && most < ANY_NUMBER => format!("at most {most}"),
            _ => String::new(),
        };
        if !expected.is_empty() {
            return self.wrong(span, format!("expected {expected} argument(s) in call to {name:?}, got {count}"));
        }
        for (at, arg) in call.args.iter().enumerate() {
            if name == "info" && at == 1 {
                self.label_selector(arg)?;
                continue;
            }
            let Some(want) = typed.argument(at) else { continue };
            self.expect(arg, want, &format!("call to function {name:?}"))?;
        }
        Ok(typed.returns)
    }

    /// The second argument of `info`: filters, which may match all. A name stands inside of the braces.
    fn label_selector(&self, arg: &Expr) -> Result<(), ParseError> {
        let written = self.text.get(arg.span.start as usize..).unwrap_or_default();
        match &arg.kind {
            ExprKind::Selector(_) if written.starts_with('{') => Ok(()),
            ExprKind::Selector(_) => self.wrong(arg.span, "expected label selectors only, got vector selector instead"),
            _ => self.wrong(arg.span, "expected label selectors only"),
        }
    }

    fn aggregate(&self, aggregate: &Aggregate, span: Span) -> Result<Type, ParseError> {
        let signature = self.signature(&aggregate.name, true, span)?;
        let typed = signature.promql.expect("BUG: a signature of the dialect has types");
        let (count, (want, _)) = (aggregate.args.len(), typed.count());
        if count == 0 {
            return self.wrong(span, "no arguments for aggregate expression provided");
        }
        if count != want {
            return self.wrong(
                span,
                format!("wrong number of arguments for aggregate expression provided, expected {want}, got {count}"),
            );
        }
        self.expect(&aggregate.args[want - 1], Type::InstantVector, "aggregation expression")?;
        if let ([param, _], Some(want)) = (aggregate.args.as_slice(), typed.argument(0)) {
            self.expect(param, want, "aggregation parameter")?;
        }
        Ok(Type::InstantVector)
    }

    fn expect(&self, expr: &Expr, want: Type, context: &str) -> Result<(), ParseError> {
        let found = self.type_of(expr)?;
        if found == want {
            return Ok(());
        }
        self.wrong(expr.span, format!("expected type {} in {context}, got {}", want.name(), found.name()))
    }

    fn wrong<T>(&self, span: Span, message: impl Into<String>) -> Result<T, ParseError> {
        wrong(self.text, span, message)
    }
}
