//! All scripts of `testdata/promql`.

use std::{fs, path::PathBuf};

use query::Dialect;

use crate::script;

/// Further scripts can be run from the folder that this variable names.
const FOLDER_VARIABLE: &str = "BASALT_PROMQL_SCRIPTS";

#[test]
fn scripts_pass() {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/promql");
    let folders = [Some(own), std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from)];
    let mut failures = Vec::new();
    for folder in folders.into_iter().flatten() {
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()))
            .map(|entry| entry.expect("a folder can be read").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
            .collect();
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file).expect("a script can be read");
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let dialect = if name.starts_with("metricsql") { Dialect::MetricsQl } else { Dialect::PromQl };
            let (passed, failed) = script::run(dialect, &text);
            println!("{name}: {passed} passed, {} failed", failed.len());
            failures.extend(failed.into_iter().map(|failure| format!("{name}: {failure}")));
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}
