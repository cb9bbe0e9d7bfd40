//! The words that the grammar knows.

use crate::ast::BinaryOp;

/// The aggregations of both languages, in lower case: the only functions that take `by`, `without` and `limit`.
pub const AGGREGATES: &[&str] = &[
    "any",
    "avg",
    "bottomk",
    "bottomk_avg",
    "bottomk_last",
    "bottomk_max",
    "bottomk_median",
    "bottomk_min",
    "count",
    "count_values",
    "distinct",
    "geomean",
    "group",
    "histogram",
    "limit_ratio",
    "limitk",
    "mad",
    "max",
    "median",
    "min",
    "mode",
    "outliers_iqr",
    "outliers_mad",
    "outliersk",
    "quantile",
    "quantiles",
    "share",
    "stddev",
    "stdvar",
    "sum",
    "sum2",
    "topk",
    "topk_avg",
    "topk_last",
    "topk_max",
    "topk_median",
    "topk_min",
    "zscore",
];

/// Names that would be taken for something else where an operand stands; they are printed in quotes.
const RESERVED: &[&str] = &[
    "anchored",
    "and",
    "atan2",
    "bool",
    "by",
    "default",
    "fill",
    "fill_left",
    "fill_right",
    "group_left",
    "group_right",
    "if",
    "ifnot",
    "ignoring",
    "inf",
    "keep_metric_names",
    "limit",
    "nan",
    "offset",
    "on",
    "or",
    "prefix",
    "smoothed",
    "unless",
    "with",
    "without",
];

/// Whether a name, in any case, is that of an aggregation.
pub fn is_aggregate(name: &str) -> bool {
    AGGREGATES.binary_search(&&*name.to_ascii_lowercase()).is_ok()
}

/// Whether a name needs quotes to be the name of a metric.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.binary_search(&&*name.to_ascii_lowercase()).is_ok()
}

impl BinaryOp {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Default,
        Self::If,
        Self::IfNot,
        Self::Or,
        Self::And,
        Self::Unless,
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
        Self::Add,
        Self::Subtract,
        Self::Multiply,
        Self::Divide,
        Self::Modulo,
        Self::Atan2,
        Self::Power,
    ];

    /// How it is written.
    pub fn text(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::If => "if",
            Self::IfNot => "ifnot",
            Self::Or => "or",
            Self::And => "and",
            Self::Unless => "unless",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Atan2 => "atan2",
            Self::Power => "^",
        }
    }

    /// How tightly it binds.
    pub fn precedence(self) -> u8 {
        match self {
            Self::Default => 1,
            Self::If | Self::IfNot => 2,
            Self::Or => 3,
            Self::And | Self::Unless => 4,
            op if op.is_comparison() => 5,
            Self::Add | Self::Subtract => 6,
            Self::Power => 8,
            _ => Self::UNARY_PRECEDENCE,
        }
    }

    /// How tightly a sign binds: as `*` does, so that `-2 ^ 2` is −4.
    pub const UNARY_PRECEDENCE: u8 = 7;

    /// Whether `a op b op c` is `a op (b op c)`.
    pub fn is_right_associative(self) -> bool {
        self == Self::Power
    }

    /// `==`, `!=`, `<`, `<=`, `>`, `>=`.
    pub fn is_comparison(self) -> bool {
        (Self::Equal..=Self::GreaterOrEqual).contains(&self)
    }

    /// `and`, `or`, `unless`.
    pub fn is_set(self) -> bool {
        matches!(self, Self::Or | Self::And | Self::Unless)
    }

    /// Whether it computes a number of two.
    pub fn is_arithmetic(self) -> bool {
        self >= Self::Add
    }

    /// The operator that is written as a word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let words = [Self::Default, Self::If, Self::IfNot, Self::Or, Self::And, Self::Unless, Self::Atan2];
        words.into_iter().find(|op| op.text().eq_ignore_ascii_case(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_for_their_search() {
        assert!(AGGREGATES.is_sorted() && RESERVED.is_sorted());
        assert!(is_aggregate("SUM") && is_aggregate("zscore") && !is_aggregate("rate"));
        assert!(is_reserved("NaN") && !is_reserved("sum"));
    }
}
