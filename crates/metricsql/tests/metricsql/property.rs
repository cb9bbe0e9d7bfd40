//! Any tree is read again from what is printed of it, whatever the style.

use metricsql::{Options, format_query, fuzz::is_same, parse, prettify};
use proptest::prelude::*;

use crate::generate::{bare, tree};

/// Nothing is folded, so that all trees that can be made can be read.
const PLAIN: Options = Options {
    folds_texts: false,
    negative_duration_parts: false,
    predefined_templates: false,
    metric_name_once: false,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_tree_is_read_as_the_same_tree(tree in tree()) {
        let printed = tree.to_string();
        let again = parse(&printed, &PLAIN).map_err(|error| TestCaseError::fail(format!("{printed}: {error}")))?;
        prop_assert!(is_same(&bare(tree.clone()), &bare(again.clone())), "{} is read as {:#?}", printed, again);
        prop_assert_eq!(again.to_string(), printed, "printed again");
    }

    #[test]
    fn both_layouts_are_read_as_the_same_tree(tree in tree()) {
        let printed = tree.to_string();
        for (layout, text) in [("prettify", prettify(&printed)), ("format_query", format_query(&printed))] {
            let text = text.map_err(|error| TestCaseError::fail(format!("{layout} of {printed}: {error}")))?;
            let again = parse(&text, &PLAIN).map_err(|error| TestCaseError::fail(format!("{layout}: {text}: {error}")))?;
            if layout == "prettify" {
                prop_assert!(is_same(&bare(tree.clone()), &bare(again)), "{}: {} became {}", layout, printed, text);
            }
        }
    }
}
