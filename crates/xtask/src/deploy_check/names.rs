//! What stands under `deploy/` and somewhere else, too, is the same in both places.
//!
//! 1. The chart has the program's version, and the image is built with the compiler that the workspace wants.
//! 2. Every alert is in the table of docs/operations.md, and has a test that it fires; the table names no other.
//! 3. Every reason for which the program refuses samples is in a table of that page.
//! 4. Links between the pages under `deploy/`, and from docs/operations.md and docs/migration.md, lead somewhere.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

use super::{files, yaml};

/// Pages whose links are followed, beside those under `deploy/`.
const PAGES: &[&str] = &["docs/operations.md", "docs/migration.md"];

/// Checks names, versions and links of the project at `root`.
pub fn check(root: &Path) -> Result<(), String> {
    let mut complaints = versions(root)?;
    complaints.extend(alerts(root)?);
    let mut pages: Vec<_> = PAGES.iter().map(|page| root.join(page)).collect();
    pages
        .extend(files::below(&root.join("deploy"))?.into_iter().filter(|path| path.extension() == Some("md".as_ref())));
    for page in &pages {
        let folder = page.parent().unwrap_or(root);
        let text = files::read(page)?;
        let broken = links(&text).filter(|link| !folder.join(link).exists());
        complaints.extend(broken.map(|link| format!("{}: {link} is not there", page.display())));
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
}

/// Checks that docs/operations.md explains every reason that `/metrics` counts refused samples by.
pub fn check_reasons(root: &Path, metrics: &str) -> Result<(), String> {
    let page = files::read(&root.join(PAGES[0]))?;
    let counted = metrics.split("vm_rows_ignored_total{reason=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let untold: Vec<&str> = counted.filter(|reason| !page.contains(&format!("`{reason}`"))).collect();
    if untold.is_empty() { Ok(()) } else { Err(format!("{} does not explain {untold:?}", PAGES[0])) }
}

fn versions(root: &Path) -> Result<Vec<String>, String> {
    let workspace = files::read(&root.join("Cargo.toml"))?;
    let setting = |name: &str| {
        let line = workspace.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        line.map(|value| value.trim_matches('"').to_string()).ok_or_else(|| format!("Cargo.toml sets no {name}"))
    };
    let (version, compiler) = (setting("version")?, setting("rust-version")?);
    let chart = yaml::document(&files::read(&root.join("deploy/helm/basalt/Chart.yaml"))?)?;
    let mut found = Vec::new();
    if chart["appVersion"] != version {
        found.push(format!("the chart's appVersion is {}, the program's {version}", chart["appVersion"]));
    }
    if !files::read(&root.join("deploy/docker/Dockerfile"))?.contains(&format!("FROM rust:{compiler}-")) {
        found.push(format!("the image is not built with Rust {compiler}"));
    }
    Ok(found)
}

fn alerts(root: &Path) -> Result<Vec<String>, String> {
    let names = |path: &str, key: &str, beside: &str| -> Result<BTreeSet<String>, String> {
        let mut found = BTreeSet::new();
        for document in yaml::documents(&files::read(&root.join(path))?)? {
            collect(&document, key, beside, &mut found);
        }
        Ok(found)
    };
    let rules = names("deploy/alerts/basalt.yaml", "alert", "expr")?;
    let tested = names("deploy/alerts/tests/basalt.test.yaml", "alertname", "exp_alerts")?;
    let page = files::read(&root.join(PAGES[0]))?;
    let told: BTreeSet<String> = page.split('`').filter(|word| is_alert(word)).map(str::to_string).collect();
    let mut found = Vec::new();
    for (other, place) in [(&tested, "its tests"), (&told, PAGES[0])] {
        found.extend(rules.difference(other).map(|alert| format!("alert {alert} is missing in {place}")));
        found.extend(other.difference(&rules).map(|alert| format!("{place}: there is no alert {alert}")));
    }
    Ok(found)
}

/// `BasaltDown` and the like.
fn is_alert(word: &str) -> bool {
    let rest = word.strip_prefix("Basalt").unwrap_or("");
    !rest.is_empty() && rest.chars().all(|letter| letter.is_ascii_alphabetic())
}

/// Texts under `key` in maps that have an entry `beside`, too.
fn collect(value: &Value, key: &str, beside: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) => {
            let own = entries.get(key).filter(|_| entries.contains_key(beside));
            found.extend(own.and_then(Value::as_str).map(str::to_string));
            entries.values().for_each(|value| collect(value, key, beside, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, key, beside, found)),
        _ => {}
    }
}

/// Links of a page that lead to files.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(|link| link.split('#').next().unwrap_or("")).filter(|link| !link.is_empty() && !link.contains("://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_links_are_whole() {
        check(&crate::root()).unwrap_or_else(|complaints| panic!("\n{complaints}\n"));
    }

    #[test]
    fn alerts_and_links_are_told_from_other_words() {
        assert!(is_alert("BasaltDown") && !is_alert("Basalt") && !is_alert("basalt_flushes_total"));
        let text = "a [b](c.md) [d](../e.md#f) [g](https://h) [i](#j)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["c.md", "../e.md"]);
    }
}
