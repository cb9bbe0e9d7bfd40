//! Lists of queries, and what is known to differ.
//!
//! 1. A line of a list is a query; `# …` is a comment; `! …` is a query that both must refuse. `{{a|b}}` stands for each of the choices, so that one line
//!    may be many queries.
//! 2. In `judged.txt`, `## name` begins a rule, comments below say what it is and where it stands, and the queries below them may differ because of it.
//!    `#! checks=a,b` narrows a rule to some checks; `#! sometimes` is for answers of the witness that are not the same every time.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::lines;

/// A line may stand for so many queries at most.
const CHOICES_MAX: usize = 1_000;

/// A query of a list.
#[derive(Debug, Clone)]
pub struct Question {
    /// File and line.
    pub place: String,
    /// The query.
    pub text: String,
    /// Whether both must refuse it.
    pub fails: bool,
}

/// The queries of all lists of a folder.
pub fn lists(folder: &Path) -> Result<Vec<Question>, String> {
    let entries = fs::read_dir(folder).map_err(|why| format!("cannot read {}: {why}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "txt") && !path.ends_with("judged.txt"));
    files.sort();
    let mut questions = Vec::new();
    for file in files {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        for (number, line) in lines(&file)?.into_iter().filter(|(_, line)| !line.starts_with('#')) {
            let (fails, template) = line.strip_prefix('!').map_or((false, line.as_str()), |rest| (true, rest.trim()));
            for text in choices(template)? {
                questions.push(Question { place: format!("{name}:{number}"), text, fails });
            }
        }
    }
    Ok(questions)
}

/// Every text that a line with `{{a|b}}` stands for.
fn choices(template: &str) -> Result<Vec<String>, String> {
    let mut texts = vec![String::new()];
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once("{{") {
        let (choices, after) = choices_end(behind).ok_or_else(|| format!("choices without end: {template}"))?;
        let longer =
            texts.iter().flat_map(|text| choices.split('|').map(move |choice| format!("{text}{before}{choice}")));
        texts = longer.collect();
        if texts.len() > CHOICES_MAX {
            return Err(format!("more than {CHOICES_MAX} queries in one line: {template}"));
        }
        rest = after;
    }
    texts.iter_mut().for_each(|text| text.push_str(rest));
    Ok(texts)
}

/// The choices at the begin of a text, and what follows them. The last choice may end with a brace of its own.
fn choices_end(text: &str) -> Option<(&str, &str)> {
    let mut end = text.find("}}")?;
    while text[end + 2..].starts_with('}') {
        end += 1;
    }
    Some((&text[..end], &text[end + 2..]))
}

/// A rule that decides where the witness answers otherwise.
#[derive(Debug, Clone, Default)]
struct Rule {
    name: String,
    checks: Option<Vec<String>>,
    sometimes: bool,
}

/// What is known to differ, by query.
#[derive(Debug, Default)]
pub struct Judged {
    rules: BTreeMap<String, Vec<Rule>>,
}

impl Judged {
    /// Reads a file; a missing one judges nothing.
    pub fn read(path: &Path) -> Result<Self, String> {
        let mut judged = Self::default();
        if !path.exists() {
            return Ok(judged);
        }
        let mut rule = Rule::default();
        for (number, line) in lines(path)? {
            if let Some(name) = line.strip_prefix("## ") {
                rule = Rule { name: name.trim().to_string(), ..Rule::default() };
            } else if let Some(order) = line.strip_prefix("#!").map(str::trim) {
                match order.strip_prefix("checks=") {
                    Some(checks) => {
                        rule.checks = Some(checks.split(',').map(|check| check.trim().to_string()).collect());
                    }
                    None if order == "sometimes" => rule.sometimes = true,
                    None => return Err(format!("{}:{number}: what is {order:?}?", path.display())),
                }
            } else if !line.starts_with('#') {
                if rule.name.is_empty() {
                    return Err(format!("{}:{number}: a query before the first rule", path.display()));
                }
                for text in choices(&line)? {
                    judged.rules.entry(text).or_default().push(rule.clone());
                }
            }
        }
        Ok(judged)
    }

    /// Whether a query may differ in a check.
    pub fn covers(&self, text: &str, check: &str) -> bool {
        let in_check =
            |rule: &Rule| rule.checks.as_ref().is_none_or(|checks| checks.iter().any(|known| known == check));
        self.rules.get(text).is_some_and(|rules| rules.iter().any(in_check))
    }

    /// The queries that must differ somewhere, each with its rule.
    pub fn expected(&self) -> impl Iterator<Item = (&str, &str)> {
        let certain = self.rules.iter().filter(|(_, rules)| rules.iter().all(|rule| !rule.sometimes));
        certain.filter_map(|(text, rules)| Some((text.as_str(), rules.first()?.name.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_multiply() {
        let texts = choices("{{a|b}}(m[{{1|2}}m])").expect("choices that end");
        assert_eq!(texts, ["a(m[1m])", "a(m[2m])", "b(m[1m])", "b(m[2m])"]);
        assert_eq!(choices("m{a=\"b\"}").expect("no choices"), ["m{a=\"b\"}"]);
        assert_eq!(choices("f({{m|m{a=\"b\"}}})").expect("choices that end"), ["f(m)", "f(m{a=\"b\"})"]);
        assert!(choices("{{a").is_err());
    }

    #[test]
    fn rules_cover_their_queries_in_their_checks() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("judged.txt");
        fs::write(&path, "## one\n# why\n{{a|b}}\n## two\n#! checks=instant\n#! sometimes\nc\n").expect("written");
        let judged = Judged::read(&path).expect("a file that can be read");
        assert!(judged.covers("a", "fine") && judged.covers("c", "instant") && !judged.covers("c", "fine"));
        assert_eq!(judged.expected().collect::<Vec<_>>(), [("a", "one"), ("b", "one")]);
        fs::write(&path, "a\n").expect("written");
        assert!(Judged::read(&path).is_err());
    }
}
