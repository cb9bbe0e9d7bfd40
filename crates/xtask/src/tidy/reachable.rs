//! Every Rust file is reached from the root of a crate: a file that no `mod` names is not compiled, and rots.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::SourceFile;

/// Complains about files that no crate root leads to.
pub fn dead_files(files: &[SourceFile]) -> Vec<String> {
    let texts: BTreeMap<&str, &str> =
        files.iter().filter(|file| file.is_rust()).map(|file| (file.path.as_str(), file.text.as_str())).collect();
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<String> = texts.keys().filter(|path| is_root(path)).map(|path| path.to_string()).collect();
    while let Some(path) = waiting.pop() {
        let Some(text) = texts.get(path.as_str()) else {
            continue;
        };
        if reached.insert(path.clone()) {
            waiting.extend(modules(text).flat_map(|module| places(&path, module)));
        }
    }
    let dead = texts.keys().filter(|path| !reached.contains(**path));
    dead.map(|path| format!("{path}: no crate root leads here, so it is not compiled")).collect()
}

/// `crates/x/src/{lib,main}.rs`, every file straight in `src/bin`, `tests`, `benches`, `examples`, and `main.rs` of a folder there.
fn is_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        [.., "src", "lib.rs" | "main.rs"] | [.., "build.rs"] => true,
        [.., "src", "bin", _] => true,
        [.., "tests" | "benches" | "examples", _, "main.rs"] => true,
        [.., folder, _] => matches!(folder, "tests" | "benches" | "examples") && !parts.contains(&"src"),
        _ => false,
    }
}

/// The names in `mod name;` lines.
fn modules(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub(super) ")).unwrap_or(line);
        line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ")?.strip_suffix(';')
    })
}

/// Where a module of the file at `path` may lie.
fn places(path: &str, module: &str) -> [String; 2] {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.trim_end_matches(".rs");
    let folder = match stem {
        "lib" | "main" | "mod" => folder.to_string(),
        _ if is_root(path) => folder.to_string(),
        _ => format!("{folder}/{stem}"),
    };
    [format!("{folder}/{module}.rs"), format!("{folder}/{module}/mod.rs")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_no_module_names_is_dead() {
        let file = |path: &str, text: &str| SourceFile { path: path.to_string(), text: text.to_string() };
        let files = [
            file("crates/x/src/lib.rs", "mod a;\npub mod b;\n"),
            file("crates/x/src/a.rs", "pub(crate) mod c;\n"),
            file("crates/x/src/a/c.rs", ""),
            file("crates/x/src/b/mod.rs", ""),
            file("crates/x/src/dead.rs", ""),
            file("crates/x/tests/e2e.rs", "mod client;\n"),
            file("crates/x/tests/client/mod.rs", ""),
            file("crates/x/tests/client/dead.rs", ""),
            file("crates/x/tests/whole/main.rs", ""),
        ];
        let complaints = dead_files(&files);
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert!(complaints[0].starts_with("crates/x/src/dead.rs"));
        assert!(complaints[1].starts_with("crates/x/tests/client/dead.rs"));
    }
}
