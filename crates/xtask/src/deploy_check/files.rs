//! The files under `deploy/`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{program, yaml};

/// A JSON or YAML file.
#[derive(Debug)]
pub struct Data {
    /// Where it is, below `deploy/`.
    pub path: PathBuf,
    /// What stands in it.
    pub documents: Vec<Value>,
}

/// Reads a file as text.
pub fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|why| format!("cannot read {}: {why}", path.display()))
}

/// Files of a folder and of those in it, by path.
pub fn below(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let failed = |why| format!("cannot list {}: {why}", folder.display());
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

/// Reads all JSON and YAML files; templates are none.
pub fn read_all(deploy: &Path) -> Result<Vec<Data>, String> {
    let mut found = Vec::new();
    for path in below(deploy)? {
        let is_template = path.components().any(|part| part.as_os_str() == "templates");
        let text = |path: &Path| read(path);
        let documents = match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => serde_json::from_str(&text(&path)?).map(|value| vec![value]).map_err(|why| why.to_string()),
            Some("yaml" | "yml") if !is_template => yaml::documents(&text(&path)?),
            _ => continue,
        };
        let documents = documents.map_err(|why| format!("{}: {why}", path.display()))?;
        let path = path.strip_prefix(deploy).expect("BUG: it was listed there").to_path_buf();
        found.push(Data { path, documents });
    }
    Ok(found)
}

/// The flags that a unit, or its file of variables, gives the program as `ARGS`.
pub fn unit_arguments(path: &Path) -> Result<Vec<String>, String> {
    let text = read(path)?;
    let arguments = text.lines().find_map(|line| {
        let line = line.strip_prefix("Environment=").map_or(line, |quoted| quoted.trim_matches('"'));
        line.strip_prefix("ARGS=")
    });
    let arguments = arguments.ok_or_else(|| format!("{} sets no ARGS", path.display()))?;
    Ok(program::words(arguments.trim_matches('"')))
}

/// The flags that the compose file gives the program.
pub fn compose_arguments(path: &Path) -> Result<Vec<String>, String> {
    let compose = yaml::document(&read(path)?)?;
    texts(&compose["services"]["basalt"]["command"]).ok_or_else(|| format!("{}: no command", path.display()))
}

/// A list of texts.
pub fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_string)).collect()
}
