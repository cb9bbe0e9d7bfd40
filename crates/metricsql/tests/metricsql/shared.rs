//! All expressions of the query scripts beside the checkout, where they are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use metricsql::{Options, fuzz::is_same, parse};

fn scripts() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).expect("BUG: the crate is in a workspace");
    let Ok(entries) = fs::read_dir(root.join("shared/promql")) else { return Vec::new() };
    entries.map_while(Result::ok).map(|entry| entry.path()).collect()
}

/// The expression of a line `eval instant at t expression` or `eval range from a to b step c expression`.
fn expression(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("eval")?;
    let words = |text: &'static [&str]| text;
    for form in [words(&[" instant ", "at ", " "]), words(&[" range ", " step ", " "])] {
        let mut rest = rest;
        let found = form.iter().all(|part| match rest.split_once(part) {
            Some((_, behind)) => {
                rest = behind;
                true
            }
            None => false,
        });
        if found {
            return Some(rest.trim());
        }
    }
    None
}

#[test]
fn expressions_of_the_scripts_are_read() {
    let options = Options {
        folds_texts: false,
        negative_duration_parts: false,
        predefined_templates: false,
        metric_name_once: true,
    };
    let mut count = 0;
    for path in scripts() {
        let text = fs::read_to_string(&path).expect("a script can be read");
        let is_list = path.extension().is_some_and(|extension| extension == "txt");
        let (lines, options) = match is_list {
            true => (
                text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect::<Vec<_>>(),
                Options::default(),
            ),
            false => (text.lines().filter_map(expression).collect(), options),
        };
        for line in lines {
            let expr = match parse(line, &options) {
                Ok(expr) => expr,
                Err(error) if line.ends_with("offset") => {
                    assert!(error.message.contains("end of the expression"), "{error}");
                    continue;
                }
                Err(error) => panic!("{}: {line}: {error}", path.display()),
            };
            let printed = expr.to_string();
            let again =
                parse(&printed, &options).unwrap_or_else(|error| panic!("{line} printed as {printed}: {error}"));
            assert!(is_same(&expr, &again), "{line} is read differently as {printed}");
            count += 1;
        }
    }
    println!("{count} expressions");
}
