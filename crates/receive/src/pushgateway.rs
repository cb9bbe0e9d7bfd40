//! Labels in paths, as clients of a push gateway send them: `…/metrics/job/<job>/<name>/<value>/…`, each name perhaps with `@base64` behind it.

use basalt_http::{StatusCode, percent_decoded};
use decode::{base64_decode, rows::ExtraLabels};

use crate::{door::IMPORT_PROMETHEUS, rejection::Rejection};

/// Where labels begin.
const LABELS: &str = "/metrics/job";

/// The labels behind the import's path; `None` if there is nothing behind it. They are read from the path as it came (`raw`), where two slashes stand
/// around an empty value.
pub fn labels(path: &str, raw: &str) -> Result<Option<ExtraLabels>, Rejection> {
    let at = path.find(IMPORT_PROMETHEUS).map_or(path.len(), |at| at + IMPORT_PROMETHEUS.len());
    let Some(plain) = path[at..].strip_prefix("/metrics/") else {
        return Ok(None);
    };
    let rest = raw.find(LABELS).map_or(plain, |at| &raw[at + "/metrics/".len()..]);
    let wrong =
        |why: &str| Rejection::new(StatusCode::BAD_REQUEST, format!("cannot read labels in path {path:?}: {why}"));
    let parts: Vec<&str> =
        rest.strip_suffix('/').filter(|rest| !rest.ends_with('/')).unwrap_or(rest).split('/').collect();
    let (pairs, left) = parts.as_chunks::<2>();
    if !left.is_empty() {
        return Err(wrong("want pairs of name and value"));
    }
    let read = |[name, value]: &[&str; 2]| {
        let name = percent_decoded(name).ok_or_else(|| wrong("a name that is no text"))?;
        let value = percent_decoded(value).ok_or_else(|| wrong("a value that is no text"))?;
        Ok(match name.strip_suffix("@base64") {
            Some(name) => (name.to_string(), base64_text(&value).ok_or_else(|| wrong("a value that is no base64"))?),
            None => (name, value),
        })
    };
    let pairs = pairs.iter().map(read).collect::<Result<Vec<_>, Rejection>>()?;
    Ok(Some(ExtraLabels::new(pairs)?))
}

/// A text in base64.
fn base64_text(text: &str) -> Option<String> {
    String::from_utf8(base64_decode(text)?).ok()
}

#[cfg(test)]
mod tests {
    use basalt_http::{Method, Request};

    use super::*;

    fn read(rest: &str) -> Result<Option<ExtraLabels>, String> {
        let raw = format!("/insert/0/prometheus{IMPORT_PROMETHEUS}{rest}");
        let request = Request::in_memory(Method::POST, &raw, "");
        labels(request.path(), request.raw_path()).map_err(|error| error.to_string())
    }

    fn want(pairs: &[(&str, &str)]) -> Result<Option<ExtraLabels>, String> {
        let pairs = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Ok(Some(ExtraLabels::new(pairs).expect("few labels")))
    }

    #[test]
    fn labels_stand_in_the_path() {
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("/metrics/job/a"), want(&[("job", "a")]));
        assert_eq!(read("/metrics/job/a%20b/instance/x%2Fy"), want(&[("job", "a b"), ("instance", "x/y")]));
        assert_eq!(read("/metrics/job@base64/L2EvYsO8/x@base64/="), want(&[("job", "/a/bü"), ("x", "")]));
        assert_eq!(read("/metrics/job@base64/w7w_/"), read("/metrics/job@base64/w7w%2F"));
        assert_eq!(read("/metrics/job/a/x//y/z"), want(&[("job", "a"), ("x", ""), ("y", "z")]));
        assert_eq!(read("//metrics/job/a"), want(&[("job", "a")]));
        assert_eq!(read("/metrics//job/a"), want(&[("job", "a")]));
        for broken in
            ["/metrics/job", "/metrics/job/a/b", "/metrics/job@base64/A", "/metrics/job@base64/!", "/metrics/job/%zz"]
        {
            assert!(read(broken).is_err_and(|error| error.starts_with("400")), "{broken}");
        }
    }
}
