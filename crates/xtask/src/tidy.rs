//! Rules that no compiler knows, each a function from the project's files to complaints.
//!
//! A rule that is not a test is a wish: `cargo test -p xtask` and `cargo xtask tidy` run all of them on the project itself.

mod layers;
mod reachable;
mod text;

use std::path::Path;

use crate::source::{self, SourceFile};

type Rule = fn(&[SourceFile]) -> Vec<String>;

const RULES: &[Rule] = &[
    text::module_docs,
    text::lengths,
    text::whitespace,
    text::machine_paths,
    text::file_io,
    layers::directions,
    reachable::dead_files,
];

/// Checks the project at `root`; the error lists every complaint.
pub fn run(root: &Path) -> Result<(), String> {
    let files = source::read_all(root).map_err(|why| format!("cannot read the sources: {why}"))?;
    let complaints: Vec<String> = RULES.iter().flat_map(|rule| rule(&files)).collect();
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_project_is_tidy() {
        super::run(&crate::root()).unwrap_or_else(|complaints| panic!("\n{complaints}\n"));
    }
}
