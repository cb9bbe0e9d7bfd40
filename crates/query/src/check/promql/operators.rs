//! Types on both sides of operators.

use ::metricsql::{Binary, ExprKind, Matching, ParseError, Span};

use super::{Checker, Type};

impl Checker<'_> {
    pub(super) fn binary(&self, binary: &Binary, span: Span) -> Result<Type, ParseError> {
        let left = self.type_of(&binary.left)?;
        let right = self.type_of(&binary.right)?;
        let between = Span { start: binary.left.span.end, end: binary.right.span.start };
        let op_span = self.trimmed(between);
        let has_scalar = left == Type::Scalar || right == Type::Scalar;
        let both_scalar = left == Type::Scalar && right == Type::Scalar;
        if binary.op.is_comparison() && !binary.returns_bool && both_scalar {
            return self.wrong(op_span, "comparisons between scalars must use BOOL modifier");
        }
        self.labels_stand_once(binary, op_span)?;
        for (side, operand) in [(left, &binary.left), (right, &binary.right)] {
            // Texts are compared and joined nowhere.
            if !matches!(side, Type::Scalar | Type::InstantVector) || matches!(operand.kind, ExprKind::Text(_)) {
                return self.wrong(operand.span, "binary expression must contain only scalar and instant vector types");
            }
        }
        match has_scalar {
            true => self.with_scalar(binary, span)?,
            false if binary.op.is_set() => self.sets(binary, span)?,
            false => {}
        }
        Ok(if both_scalar { Type::Scalar } else { Type::InstantVector })
    }

    fn labels_stand_once(&self, binary: &Binary, op_span: Span) -> Result<(), ParseError> {
        let (Some(Matching::On(on)), Some(group)) = (&binary.matching, &binary.group) else { return Ok(()) };
        match on.iter().find(|label| group.labels.contains(label)) {
            Some(label) => {
                self.wrong(op_span, format!("label {label:?} must not occur in ON and GROUP clause at once"))
            }
            None => Ok(()),
        }
    }

    fn with_scalar(&self, binary: &Binary, span: Span) -> Result<(), ParseError> {
        let matched = match &binary.matching {
            Some(Matching::On(labels) | Matching::Ignoring(labels)) => !labels.is_empty(),
            None => false,
        };
        if matched {
            return self.wrong(span, "vector matching only allowed between instant vectors");
        }
        if self.fills(binary) {
            return self.wrong(span, "filling in missing series only allowed between instant vectors");
        }
        if binary.op.is_set() {
            let op = binary.op.text();
            return self.wrong(span, format!("set operator {op:?} not allowed in binary scalar expression"));
        }
        Ok(())
    }

    fn sets(&self, binary: &Binary, span: Span) -> Result<(), ParseError> {
        if binary.group.is_some() {
            return self.wrong(span, format!("no grouping allowed for {:?} operation", binary.op.text()));
        }
        if self.fills(binary) {
            return self.wrong(span, "filling in missing series not allowed for set operators");
        }
        Ok(())
    }

    fn fills(&self, binary: &Binary) -> bool {
        binary.fill.left.is_some() || binary.fill.right.is_some()
    }

    /// The span without the blanks at its ends.
    fn trimmed(&self, span: Span) -> Span {
        let Some(between) = self.text.get(span.start as usize..span.end as usize) else { return span };
        let start = span.start + (between.len() - between.trim_start().len()) as u32;
        Span { start, end: start + between.trim().len() as u32 }
    }
}
