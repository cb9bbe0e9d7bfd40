//! What is wrong with a file of rules.

use std::fmt;

/// An error in a file of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 if it is about the whole file.
    pub line: usize,
    /// The number of the rule, from 1; 0 if it is about no single one.
    pub entry: usize,
    /// The field of the rule, if it is about one.
    pub field: Option<String>,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ", line {}", self.line)?;
        }
        if self.entry > 0 {
            write!(f, ", entry {}", self.entry)?;
        }
        if let Some(field) = &self.field {
            write!(f, ", field `{field}`")?;
        }
        write!(f, ": {}", self.why)
    }
}

impl std::error::Error for ConfigError {}
