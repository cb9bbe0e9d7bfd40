//! Forms in parts, `multipart/form-data`, as `curl -F` sends them.
//!
//! 1. The parts stand between lines of two dashes and the boundary, which the content type names; the last such line has two dashes behind it.
//! 2. A part has headers, an empty line, and its content. Its name stands in `Content-Disposition`.
//! 3. Files are no arguments and are left out, as are parts without a name, and all behind so many parts.

/// More parts no form has.
const PARTS_MAX: usize = 1_000;

/// The boundary that a content type names, if it is that of such a form.
pub fn boundary(kind: &str) -> Option<&str> {
    let (name, parameters) = kind.split_once(';')?;
    let is_form = name.trim().eq_ignore_ascii_case("multipart/form-data");
    is_form.then(|| parameter(parameters, "boundary")).flatten().filter(|boundary| !boundary.is_empty())
}

/// The names and contents of the parts.
pub fn fields(body: &[u8], boundary: &str) -> Vec<(String, String)> {
    let line = format!("\r\n--{boundary}");
    // Before the first line stands no line end.
    let first = body.starts_with(&line.as_bytes()[2..]).then_some(0);
    let Some(mut rest) = first.map(|at| &body[at + line.len() - 2..]).or_else(|| Some(split(body, line.as_bytes())?.1))
    else {
        return Vec::new();
    };
    let mut fields = Vec::new();
    for _ in 0..PARTS_MAX {
        let Some((part, behind)) = split(rest, line.as_bytes()).filter(|_| !rest.starts_with(b"--")) else { break };
        fields.extend(field(part));
        rest = behind;
    }
    fields
}

fn field(part: &[u8]) -> Option<(String, String)> {
    let (headers, content) = split(part, b"\r\n\r\n")?;
    let headers = std::str::from_utf8(headers).ok()?;
    let disposition = headers.split("\r\n").find_map(|header| {
        let (name, value) = header.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let (_, parameters) = disposition.split_once(';')?;
    if parameter(parameters, "filename").is_some() {
        return None;
    }
    Some((parameter(parameters, "name")?.to_string(), String::from_utf8_lossy(content).into_owned()))
}

/// The value of `name=value` or `name="value"` among parameters with semicolons between them.
fn parameter<'t>(parameters: &'t str, name: &str) -> Option<&'t str> {
    parameters.split(';').find_map(|parameter| {
        let (have, value) = parameter.split_once('=')?;
        have.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// What stands before and behind the first `mark`.
fn split<'b>(bytes: &'b [u8], mark: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    Some((&bytes[..at], &bytes[at + mark.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundary_stands_in_the_content_type() {
        assert_eq!(boundary("multipart/form-data; boundary=--x"), Some("--x"));
        assert_eq!(boundary("Multipart/Form-Data; charset=x; Boundary=\"a b\""), Some("a b"));
        for kind in ["", "multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=x"] {
            assert_eq!(boundary(kind), None, "{kind}");
        }
    }

    #[test]
    fn parts_are_arguments_and_files_are_none() {
        let part = |disposition: &str, content: &str| {
            format!(
                "--x\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: text/plain\r\n\r\n{content}\r\n"
            )
        };
        let file = part("name=\"f\"; filename=\"f.txt\"", "c");
        let body = format!("{}{file}{}--x--\r\nbehind", part("name=\"query\"", "up\r\n--y"), part("name=time", ""));
        let want = [("query".to_string(), "up\r\n--y".to_string()), ("time".to_string(), String::new())];
        assert_eq!(fields(body.as_bytes(), "x"), want);
        assert_eq!(fields(format!("before\r\n{body}").as_bytes(), "x"), want);
        for end in 0..body.len() {
            assert!(fields(&body.as_bytes()[..end], "x").len() <= want.len());
        }
        assert_eq!(fields(&part("name=a", "1").repeat(PARTS_MAX + 5).into_bytes(), "x").len(), PARTS_MAX);
    }
}
