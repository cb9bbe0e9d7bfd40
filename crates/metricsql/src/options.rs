//! Where the two languages read one text differently, and the limits of what is read.

/// The rules in which the languages cannot both be had. All other syntax of both is always understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// `"a" + "b"` is the text `"ab"`, and a comparison of two texts is a number. Else both stay operators, which a check may refuse.
    pub folds_texts: bool,
    /// `2h-5m` is one duration of 115 minutes, so that `m offset 2h-5m` shifts by it. Else it is a subtraction: `(m offset 2h) - 5m`.
    pub negative_duration_parts: bool,
    /// The templates `ru`, `ttf`, `range_median` and `alias` are there without being written.
    pub predefined_templates: bool,
    /// `m{__name__="n"}` is refused.
    pub metric_name_once: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { folds_texts: true, negative_duration_parts: true, predefined_templates: true, metric_name_once: false }
    }
}

/// No longer text is read, in bytes.
pub const TEXT_MAX: usize = 1 << 20;
/// No higher tree is made: whoever walks it by recursion may rely on it.
pub const HEIGHT_MAX: usize = 500;
/// So deep may parentheses, brackets and arguments lie in one another; the parser recurses that deep.
pub const NESTING_MAX: usize = 150;
/// Expanding templates makes no more nodes.
pub const EXPANDED_NODES_MAX: usize = 100_000;
