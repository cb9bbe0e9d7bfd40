//! All scripts of `testdata/promql` over HTTP, by the runner that runs them inside of the engine's tests.

// The runner asks `crate::driver`, which is another one here.
#[path = "../../../query/tests/tests/script.rs"]
mod script;

use std::{fs, path::Path};

use query::Dialect;

#[test]
fn scripts_pass_over_http() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/promql");
    let mut failures = Vec::new();
    let mut passed_all = 0;
    for entry in fs::read_dir(&folder).expect("the folder of the scripts") {
        let path = entry.expect("a folder can be read").path();
        if path.extension().is_none_or(|extension| extension != "test") {
            continue;
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let dialect = if name.starts_with("metricsql") { Dialect::MetricsQl } else { Dialect::PromQl };
        let (passed, failed) = script::run(dialect, &fs::read_to_string(&path).expect("a script can be read"));
        passed_all += passed;
        failures.extend(failed.into_iter().map(|failure| format!("{name}: {failure}")));
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(passed_all > 300, "{passed_all} evaluations");
}
