//! All scripts of `testdata/promql` over HTTP, by the runner that runs them inside of the engine's tests.

// The runner asks `crate::driver`, which is another one here.
#[path = "../../../query/tests/tests/script.rs"]
mod script;

use std::{fs, path::Path, rc::Rc};

use query::Dialect;

use crate::{
    cluster::Cluster,
    driver::{Single, Target, aim_at},
    server::Basalt,
};

/// A cluster, and a single node beside it.
struct Beside {
    cluster: Cluster,
    single: Single,
}

impl Target for Beside {
    fn written(&self) -> &Basalt {
        &self.cluster.insert
    }

    fn asked(&self) -> &Basalt {
        &self.cluster.select
    }

    fn witness(&self) -> Option<&Basalt> {
        Some(self.single.asked())
    }
}

#[test]
fn scripts_pass_over_http() {
    all_pass();
}

#[test]
fn scripts_pass_on_a_cluster_and_give_what_a_single_node_gives() {
    pass_on_a_cluster(1);
}

#[test]
fn scripts_pass_on_a_cluster_with_two_copies_and_give_what_a_single_node_gives() {
    pass_on_a_cluster(2);
}

fn pass_on_a_cluster(copies: usize) {
    let beside = Rc::new(Beside { cluster: Cluster::start(3, copies, false), single: Single::start() });
    aim_at(Rc::clone(&beside) as Rc<dyn Target>);
    all_pass();
    let asked_for = beside.asked().metric("basalt_gather_sub_plans_total");
    let in_force = beside.asked().metric("basalt_gather_partial_results_total");
    assert!(in_force > 100.0, "{in_force} of {asked_for} sub-plans were in force");
}

fn all_pass() {
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
