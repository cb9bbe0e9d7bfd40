//! Templates → what they stand for.
//!
//! 1. A definition sees the definitions before it, whatever names the place has where it is used: scopes are a tree, and a template remembers
//!    nothing but its own place in it.
//! 2. Arguments are expanded where they are written, then bound to the parameters, then the body is expanded over them.
//! 3. A name without arguments that is a template with parameters is the name of a metric.
//! 4. `template{filters}` adds the filters to those of the selector that the template is; `{template, filters}` takes that selector's filters in.
//! 5. Lengths of time are looked at when nothing more can be put into them.
//!
//! What is made is bounded by [`EXPANDED_NODES_MAX`] and [`HEIGHT_MAX`]; the recursion by the latter too.

mod selector;

pub(crate) use selector::metric_name;

use std::sync::OnceLock;

use crate::{
    ast::{
        Aggregate, At, Binary, Call, Definition, Expr, ExprKind, Group, Grouping, Matching, Rollup, Span, Subquery,
        Template,
    },
    error::ParseError,
    options::{EXPANDED_NODES_MAX, HEIGHT_MAX, Options},
    parse::{fold_texts, parse_written},
};

/// Templates that are there without being written.
const PREDEFINED: &str = "WITH (
    ru(free, max) = clamp_min(max - clamp_min(free, 0), 0) / clamp_min(max, 0) * 100,
    ttf(free) = smooth_exponential(
        clamp_max(clamp_max(-free, 0) / clamp_max(deriv_fast(free), 0), 365*24*3600), clamp_max(step()/300, 1)),
    range_median(q) = range_quantile(0.5, q),
    alias(q, name) = label_set(q, \"__name__\", name),
) 0";

fn predefined() -> &'static [Definition] {
    static PARSED: OnceLock<Vec<Definition>> = OnceLock::new();
    PARSED.get_or_init(|| {
        let written = parse_written(PREDEFINED, &Options::default()).expect("BUG: predefined templates parse");
        match written.kind {
            ExprKind::Template(template) => match *template {
                Template::With { definitions, .. } => definitions,
                Template::Pattern { .. } => Vec::new(),
            },
            _ => Vec::new(),
        }
    })
}

/// The tree without templates.
pub(crate) fn expand(text: &str, written: &Expr, options: &Options) -> Result<Expr, ParseError> {
    let mut expander = Expander { text, options, scopes: Vec::new(), nodes: 0, depth: 0, height: 0 };
    let scope = match options.predefined_templates {
        true => expander.define(predefined(), None),
        false => None,
    };
    expander.expr(written, scope)
}

/// A name that is bound, over the scope that its meaning sees.
struct Scope<'a> {
    parent: Option<usize>,
    name: &'a str,
    bound: Bound<'a>,
}

enum Bound<'a> {
    Template(&'a Definition),
    /// An argument, expanded, with its height and number of nodes.
    Value {
        expr: Expr,
        height: usize,
        nodes: usize,
    },
}

struct Expander<'a> {
    text: &'a str,
    options: &'a Options,
    scopes: Vec<Scope<'a>>,
    /// Made so far.
    nodes: usize,
    /// Of the recursion.
    depth: usize,
    /// Of the tree that was made last.
    height: usize,
}

impl<'a> Expander<'a> {
    fn define(&mut self, definitions: &'a [Definition], mut parent: Option<usize>) -> Option<usize> {
        for definition in definitions {
            self.scopes.push(Scope { parent, name: &definition.name, bound: Bound::Template(definition) });
            parent = Some(self.scopes.len() - 1);
        }
        parent
    }

    fn find(&self, name: &str, mut scope: Option<usize>) -> Option<usize> {
        while let Some(at) = scope {
            if self.scopes[at].name == name {
                return Some(at);
            }
            scope = self.scopes[at].parent;
        }
        None
    }

    fn expr(&mut self, expr: &'a Expr, scope: Option<usize>) -> Result<Expr, ParseError> {
        if self.depth == HEIGHT_MAX {
            return Err(self.too_big(expr.span));
        }
        self.depth += 1;
        let result = self.kind(expr, scope);
        self.depth -= 1;
        result
    }

    fn kind(&mut self, expr: &'a Expr, scope: Option<usize>) -> Result<Expr, ParseError> {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Number(_) | ExprKind::Duration(_) | ExprKind::Text(_) => self.made(expr.kind.clone(), span, 0),
            ExprKind::Selector(selector) => self.selector(selector.clone(), scope, span),
            ExprKind::Template(template) => match &**template {
                Template::Pattern { name, any_of } => {
                    let selector = self.completed(name.as_deref(), any_of, scope)?;
                    self.selector(selector, scope, span)
                }
                Template::With { definitions, body } => {
                    let inner = self.define(definitions, scope);
                    self.expr(body, inner)
                }
            },
            ExprKind::Rollup(rollup) => self.rollup(rollup, scope, span),
            ExprKind::Call(call) => self.call(call, scope, span),
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate, scope, span),
            ExprKind::Binary(binary) => self.binary(binary, scope, span),
            ExprKind::Negate(inner) => self.signed(inner, ExprKind::Negate, scope, span),
            ExprKind::Plus(inner) => self.signed(inner, ExprKind::Plus, scope, span),
            ExprKind::Paren(inner) => self.signed(inner, ExprKind::Paren, scope, span),
            ExprKind::Union(members) => {
                let (members, height) = self.exprs(members, scope)?;
                self.made(ExprKind::Union(members), span, height)
            }
        }
    }

    fn signed(
        &mut self,
        inner: &'a Expr,
        sign: fn(Box<Expr>) -> ExprKind,
        scope: Option<usize>,
        span: Span,
    ) -> Result<Expr, ParseError> {
        let inner = self.expr(inner, scope)?;
        self.made(sign(Box::new(inner)), span, self.height)
    }

    fn exprs(&mut self, exprs: &'a [Expr], scope: Option<usize>) -> Result<(Vec<Expr>, usize), ParseError> {
        let mut height = 0;
        let mut expanded = Vec::with_capacity(exprs.len());
        for expr in exprs {
            expanded.push(self.expr(expr, scope)?);
            height = height.max(self.height);
        }
        Ok((expanded, height))
    }

    fn call(&mut self, call: &'a Call, scope: Option<usize>, span: Span) -> Result<Expr, ParseError> {
        let (args, height) = self.exprs(&call.args, scope)?;
        if let Some(found) = self.find(&call.name, scope) {
            return self.instance(found, Some(args), span);
        }
        self.made(ExprKind::Call(Call { args, ..call_head(call) }), span, height)
    }

    fn aggregate(&mut self, written: &'a Aggregate, scope: Option<usize>, span: Span) -> Result<Expr, ParseError> {
        let (args, height) = self.exprs(&written.args, scope)?;
        if let Some(found) = self.find(&written.name, scope) {
            return self.instance(found, Some(args), span);
        }
        let grouping = match &written.grouping {
            None => None,
            Some(Grouping::By(labels)) => Some(Grouping::By(self.labels(labels, scope, span)?)),
            Some(Grouping::Without(labels)) => Some(Grouping::Without(self.labels(labels, scope, span)?)),
        };
        let aggregate = Aggregate { name: written.name.clone(), args, grouping, limit: written.limit };
        self.made(ExprKind::Aggregate(aggregate), span, height)
    }

    fn binary(&mut self, written: &'a Binary, scope: Option<usize>, span: Span) -> Result<Expr, ParseError> {
        let left = self.expr(&written.left, scope)?;
        let left_height = self.height;
        let right = self.expr(&written.right, scope)?;
        let height = left_height.max(self.height);
        let matching = match &written.matching {
            None => None,
            Some(Matching::On(labels)) => Some(Matching::On(self.labels(labels, scope, span)?)),
            Some(Matching::Ignoring(labels)) => Some(Matching::Ignoring(self.labels(labels, scope, span)?)),
        };
        let group = match &written.group {
            None => None,
            Some(group) => Some(Group { labels: self.labels(&group.labels, scope, span)?, ..group.clone() }),
        };
        let Binary { op, returns_bool, fill, keep_metric_names, .. } = *written;
        let binary = Binary { op, returns_bool, left, right, matching, group, fill, keep_metric_names };
        let kind = match self.options.folds_texts {
            true => fold_texts(binary),
            false => ExprKind::Binary(Box::new(binary)),
        };
        self.made(kind, span, height)
    }

    fn rollup(&mut self, written: &'a Rollup, scope: Option<usize>, span: Span) -> Result<Expr, ParseError> {
        let mut inner = self.expr(&written.inner, scope)?;
        let mut height = self.height;
        let was_rollup = matches!(written.inner.kind, ExprKind::Rollup(_));
        if matches!(inner.kind, ExprKind::Rollup(_)) && !was_rollup {
            inner = self.made(ExprKind::Paren(Box::new(inner)), span, height)?;
            height = self.height;
        }
        let window = self.length(written.window.as_ref(), scope, &mut height)?;
        let subquery = match &written.subquery {
            None => None,
            Some(subquery) => Some(Subquery { step: self.length(subquery.step.as_ref(), scope, &mut height)? }),
        };
        let offset = self.length(written.offset.as_ref(), scope, &mut height)?;
        let at = match &written.at {
            Some(At::Time(time)) => {
                let time = self.expr(time, scope)?;
                height = height.max(self.height);
                Some(At::Time(time))
            }
            other => other.clone(),
        };
        let rollup = Rollup { inner, window, subquery, offset, at, smoothing: written.smoothing };
        self.made(ExprKind::Rollup(Box::new(rollup)), span, height)
    }

    fn length(
        &mut self,
        written: Option<&'a Expr>,
        scope: Option<usize>,
        height: &mut usize,
    ) -> Result<Option<Expr>, ParseError> {
        let Some(written) = written else { return Ok(None) };
        let length = self.expr(written, scope)?;
        *height = (*height).max(self.height);
        self.check_length(&length)?;
        Ok(Some(length))
    }

    /// A length is made of numbers, durations, arithmetic and the functions of the grid.
    fn check_length(&self, length: &Expr) -> Result<(), ParseError> {
        let is_length = match &length.kind {
            ExprKind::Number(_) | ExprKind::Duration(_) => true,
            ExprKind::Paren(inner) | ExprKind::Negate(inner) | ExprKind::Plus(inner) => {
                return self.check_length(inner);
            }
            ExprKind::Binary(binary) if binary.op.is_arithmetic() && binary.matching.is_none() => {
                self.check_length(&binary.left)?;
                return self.check_length(&binary.right);
            }
            ExprKind::Call(call) => match (call.name.to_ascii_lowercase().as_str(), call.args.len()) {
                ("min" | "max" | "min_of" | "max_of", 2) => {
                    return call.args.iter().try_for_each(|arg| self.check_length(arg));
                }
                ("step" | "range", 0) => true,
                _ => false,
            },
            _ => false,
        };
        if is_length {
            Ok(())
        } else {
            Err(self.error(length.span, "expected a number, a duration, step() or range()"))
        }
    }

    /// What template or argument `found` comes to. No arguments at all are a mere name.
    fn instance(&mut self, found: usize, args: Option<Vec<Expr>>, span: Span) -> Result<Expr, ParseError> {
        let given = args.as_ref().map_or(0, Vec::len);
        let Scope { parent, name, bound } = &self.scopes[found];
        let (parent, name) = (*parent, *name);
        let definition = match bound {
            Bound::Value { expr, height, nodes } if given == 0 => {
                let (value, height, nodes) = (expr.clone(), *height, *nodes);
                self.spend(nodes, span)?;
                self.height = height;
                return Ok(value);
            }
            Bound::Value { .. } => return Err(self.wrong_count(span, name, given, 0)),
            Bound::Template(definition) => *definition,
        };
        let params: &'a [String] = definition.params.as_deref().unwrap_or_default();
        if params.len() != given {
            return Err(self.wrong_count(span, name, given, params.len()));
        }
        let mut scope = parent;
        for (param, expr) in params.iter().zip(args.unwrap_or_default()) {
            let (height, nodes) = extent(&expr);
            self.scopes.push(Scope { parent: scope, name: param, bound: Bound::Value { expr, height, nodes } });
            scope = Some(self.scopes.len() - 1);
        }
        let body = self.expr(&definition.body, scope)?;
        match body.kind {
            ExprKind::Binary(_) | ExprKind::Negate(_) | ExprKind::Plus(_) => {
                self.made(ExprKind::Paren(Box::new(body)), span, self.height)
            }
            _ => Ok(body),
        }
    }

    fn made(&mut self, kind: ExprKind, span: Span, height_below: usize) -> Result<Expr, ParseError> {
        self.spend(1, span)?;
        if height_below >= HEIGHT_MAX {
            return Err(self.too_big(span));
        }
        self.height = height_below + 1;
        Ok(Expr { kind, span })
    }

    fn spend(&mut self, nodes: usize, span: Span) -> Result<(), ParseError> {
        self.nodes += nodes;
        if self.nodes > EXPANDED_NODES_MAX { Err(self.too_big(span)) } else { Ok(()) }
    }

    fn too_big(&self, span: Span) -> ParseError {
        let message = format!(
            "the templates expand to more than {EXPANDED_NODES_MAX} parts, or to more than {HEIGHT_MAX} operations on one another"
        );
        self.error(span, message)
    }

    fn wrong_count(&self, span: Span, name: &str, given: usize, wanted: usize) -> ParseError {
        self.error(span, format!("the template {name:?} takes {wanted} arguments, {given} are given"))
    }

    fn error(&self, span: Span, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, span, message)
    }
}

fn call_head(call: &Call) -> Call {
    Call { name: call.name.clone(), args: Vec::new(), keep_metric_names: call.keep_metric_names }
}

/// Height and number of nodes.
fn extent(expr: &Expr) -> (usize, usize) {
    let (mut height, mut nodes) = (0, 1);
    expr.for_each_child(&mut |child| {
        let (child_height, child_nodes) = extent(child);
        height = height.max(child_height);
        nodes += child_nodes;
    });
    (height + 1, nodes)
}
