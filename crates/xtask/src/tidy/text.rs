//! Rules about the text of files.

use crate::source::SourceFile;

const LINES_MAX: usize = 600;
const TEST_LINES_MAX: usize = 900;
const COLUMNS_MAX: usize = 180;

/// Only these crates may touch files: everything else goes through `disk`, whose double can lose, tear and refuse writes.
const FILE_IO_CRATES: &[&str] = &["disk", "testkit", "xtask"];
/// Single files that read what is no data.
const FILE_IO_FILES: &[&str] = &["crates/basalt/src/files.rs", "crates/basalt/src/machine.rs"];
const FILE_IO: &[&str] = &["std::fs", "tokio::fs", "File::open", "File::create", "OpenOptions", "memmap2::"];

/// Where somebody's machine shows through.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];

/// Every Rust file opens by saying what it is.
pub fn module_docs(files: &[SourceFile]) -> Vec<String> {
    let silent = |file: &&SourceFile| file.is_rust() && !file.text.starts_with("//! ");
    files.iter().filter(silent).map(|file| format!("{}: does not open with a module doc (//!)", file.path)).collect()
}

/// Files and lines stay short enough to be read.
pub fn lengths(files: &[SourceFile]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let max = if file.is_test() { TEST_LINES_MAX } else { LINES_MAX };
        let lines = file.text.lines().count();
        if lines > max {
            complaints.push(format!("{}: {lines} lines, at most {max} are allowed", file.path));
        }
        for (number, line) in file.text.lines().enumerate() {
            if line.chars().count() > COLUMNS_MAX {
                complaints.push(format!("{}:{}: longer than {COLUMNS_MAX} columns", file.path, number + 1));
            }
        }
    }
    complaints
}

/// No blanks at line ends, and exactly one line end at the end.
pub fn whitespace(files: &[SourceFile]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                complaints.push(format!("{}:{}: blanks at the end of the line", file.path, number + 1));
            }
        }
        if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
            complaints.push(format!("{}: must end with exactly one line end", file.path));
        }
    }
    complaints
}

/// Nothing depends on where somebody keeps a checkout.
pub fn machine_paths(files: &[SourceFile]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(path) = MACHINE_PATHS.iter().find(|path| line.contains(**path)) {
                complaints.push(format!("{}:{}: names a path of a machine: {path}", file.path, number + 1));
            }
        }
    }
    complaints
}

/// Files are touched in one place.
pub fn file_io(files: &[SourceFile]) -> Vec<String> {
    let mut complaints = Vec::new();
    let excepted = |file: &SourceFile| {
        file.is_test()
            || file.crate_name().is_none_or(|name| FILE_IO_CRATES.contains(&name))
            || FILE_IO_FILES.contains(&file.path.as_str())
    };
    for file in files.iter().filter(|file| file.is_rust() && !excepted(file)) {
        for (number, line) in file.code_lines() {
            let code = line.split("//").next().unwrap_or("");
            if let Some(call) = FILE_IO.iter().find(|call| names(code, call)) {
                complaints.push(format!("{}:{number}: {call}: file IO belongs into crates/disk", file.path));
            }
        }
    }
    complaints
}

/// Whether `name` stands in `code`, and not as the end of a longer name.
fn names(code: &str, name: &str) -> bool {
    let ends_longer = |at: usize| code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    code.match_indices(name).any(|(at, _)| !ends_longer(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_string(), text: text.to_string() }
    }

    fn complaints(rule: fn(&[SourceFile]) -> Vec<String>, path: &str, text: &str) -> usize {
        rule(&[file(path, text)]).len()
    }

    #[test]
    fn a_file_must_say_what_it_is() {
        assert_eq!(complaints(module_docs, "crates/x/src/lib.rs", "use a;\n"), 1);
        assert_eq!(complaints(module_docs, "crates/x/src/lib.rs", "//! X.\n"), 0);
    }

    #[test]
    fn a_file_must_be_short() {
        let long = "x\n".repeat(LINES_MAX + 1);
        assert_eq!(complaints(lengths, "crates/x/src/lib.rs", &long), 1);
        assert_eq!(complaints(lengths, "crates/x/tests/lib.rs", &long), 0);
        assert_eq!(complaints(lengths, "crates/x/src/lib.rs", &"x".repeat(COLUMNS_MAX + 1)), 1);
    }

    #[test]
    fn blanks_are_seen() {
        assert_eq!(complaints(whitespace, "a.md", "x \ny\n"), 1);
        assert_eq!(complaints(whitespace, "a.md", "x\n\n"), 1);
        assert_eq!(complaints(whitespace, "a.md", "x"), 1);
        assert_eq!(complaints(machine_paths, "a.md", &format!("see {}x\n", MACHINE_PATHS[0])), 1);
    }

    #[test]
    fn file_io_is_seen_outside_tests_and_comments() {
        let code = "//! X.\nuse std::fs;\n";
        assert_eq!(complaints(file_io, "crates/index/src/a.rs", "//! X.\nlet x = IndexFile::open();\n"), 0);
        assert_eq!(complaints(file_io, "crates/store/src/a.rs", code), 1);
        assert_eq!(complaints(file_io, "crates/disk/src/a.rs", code), 0);
        assert_eq!(complaints(file_io, "crates/store/tests/a.rs", code), 0);
        let tested = "//! X.\n// std::fs is not for us\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        assert_eq!(complaints(file_io, "crates/store/src/a.rs", tested), 0);
    }
}
