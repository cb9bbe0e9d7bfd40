//! Configuration and secrets that flags name by path.
//!
//! It reads what an operator wrote, never data.

use std::{fs::File, io::Read};

/// What the environment says about a name.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads a file of at most so many bytes.
pub fn read(path: &str, bytes_max: usize) -> Result<Vec<u8>, String> {
    let failed = |why: std::io::Error| format!("cannot read {path:?}: {why}");
    let file = File::open(path.strip_prefix("file://").unwrap_or(path)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > bytes_max {
        return Err(format!("{path:?} is longer than {bytes_max} bytes"));
    }
    Ok(bytes)
}

/// Reads a file of text and replaces `%{NAME}` in it by what the environment says.
pub fn read_text(path: &str, bytes_max: usize, environment: Environment<'_>) -> Result<String, String> {
    let text = String::from_utf8(read(path, bytes_max)?).map_err(|_| format!("{path:?} is not UTF-8"))?;
    expand(&text, environment).map_err(|why| format!("cannot expand {path:?}: {why}"))
}

/// Replaces `%{NAME}` by what the environment says.
pub fn expand(text: &str, environment: Environment<'_>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("%{") {
        let (name, behind) = behind.split_once('}').ok_or("%{ without }")?;
        out.push_str(before);
        out.push_str(&environment(name).ok_or_else(|| format!("the environment has no {name}"))?);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        (name == "A").then(|| "x%{A}".to_string())
    }

    #[test]
    fn names_in_braces_are_replaced_once() {
        assert_eq!(expand("1%{A}2 %A %{A}", &environment), Ok("1x%{A}2 %A x%{A}".to_string()));
        assert_eq!(expand("%{B}", &environment), Err("the environment has no B".to_string()));
        assert_eq!(expand("%{A", &environment), Err("%{ without }".to_string()));
    }

    #[test]
    fn files_are_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f").display().to_string();
        std::fs::write(&path, "a=%{A}").expect("it can be written");
        assert_eq!(read_text(&format!("file://{path}"), 6, &environment), Ok("a=x%{A}".to_string()));
        assert!(read_text(&path, 5, &environment).expect_err("too long").contains("longer than 5 bytes"));
        assert!(read(&format!("{path}x"), 5).expect_err("there is none").contains("cannot read"));
    }
}
