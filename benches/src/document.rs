//! Tables that programs write into pages.
//!
//! A page holds `<!-- name:begin -->` and `<!-- name:end -->`; what stands between them belongs to the program.

use std::io;
use std::path::Path;

/// Replaces the text between the marks of `name` in a page.
pub fn replace(page: &Path, name: &str, text: &str) -> io::Result<()> {
    let before = std::fs::read_to_string(page)?;
    let after = replaced(&before, name, text)
        .ok_or_else(|| io::Error::other(format!("{} has no marks for {name}", page.display())))?;
    std::fs::write(page, after)
}

fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
    let (head, rest) = page.split_once(&begin)?;
    let (_, tail) = rest.split_once(&end)?;
    Some(format!("{head}{begin}\n{}\n{end}{tail}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_part_is_replaced() {
        let page = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb <!-- y:begin --><!-- y:end -->";
        let expected = "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb <!-- y:begin --><!-- y:end -->";
        assert_eq!(replaced(page, "x", "new\n").as_deref(), Some(expected));
        assert_eq!(replaced(page, "z", "new"), None);
    }
}
