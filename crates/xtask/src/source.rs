//! The files of the project, read once for all rules.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Folders that hold no sources of ours.
const SKIPPED: &[&str] = &["target", ".git", "testdata"];

/// A text file of the project.
#[derive(Debug)]
pub struct SourceFile {
    /// Path from the root, with `/`.
    pub path: String,
    /// What stands in it.
    pub text: String,
}

impl SourceFile {
    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the whole file is test, bench or tooling code.
    pub fn is_test(&self) -> bool {
        let folder = |name: &str| self.path.contains(&format!("/{name}/"));
        folder("tests") || folder("benches") || self.path.starts_with("benches/") || self.path.ends_with("/tests.rs")
    }

    /// The crate's folder, for files under crates/.
    pub fn crate_name(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    /// The lines before the module of unit tests, numbered from 1.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = self.text.split("#[cfg(test)]\nmod ").next().unwrap_or("");
        code.lines().enumerate().map(|(number, line)| (number + 1, line))
    }
}

/// All text files of the project, by path.
pub fn read_all(root: &Path) -> io::Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if is_text(&name) {
                let text = fs::read_to_string(root.join(&path))?;
                files.push(SourceFile { path: path.to_string_lossy().into_owned(), text });
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn is_text(name: &str) -> bool {
    let endings = [".rs", ".toml", ".md", ".yml", ".yaml", ".sh"];
    endings.iter().any(|ending| name.ends_with(ending)) || ["run", "install", "link-static"].contains(&name)
}
