//! Everything under `deploy/`, checked as far as this machine can.
//!
//! 1. Every JSON and YAML file is read; versions, names of alerts and links hold.
//! 2. The chart: its values fit its schema, its templates render with every file of `ci/`, and what comes out fits together; where `helm` is
//!    installed, it must render the same.
//! 3. The unit, by `systemd-analyze verify`; alerts, their tests and Prometheus' configuration, by `promtool`; each where it is installed.
//! 4. The program: it takes the flags of unit, compose file and chart; fed with its own `/metrics`, it answers every expression of dashboards and
//!    alerts, and knows each of their metrics.

mod chart;
mod expressions;
mod files;
mod names;
mod program;
mod schema;
mod template;
mod tools;
mod yaml;

use std::path::{Path, PathBuf};

use chart::Chart;
use program::Program;

/// Checks the files under `deploy/` of the project at `root` with the built program at `program`.
pub fn run(root: &Path, program: &Path) -> Result<(), String> {
    let program = &program.canonicalize().map_err(|why| format!("{}: {why}; build it first", program.display()))?;
    let deploy = root.join("deploy");
    let work = WorkFolder::make()?;
    let texts = files::read_all(&deploy)?;
    println!("{} JSON and YAML files are read", texts.len());
    names::check(root)?;
    let chart = Chart::load(&deploy.join("helm/basalt"))?;
    let renderings = chart.check()?;
    println!("the chart is rendered with {} sets of values", renderings.len());
    tools::check_helm(&chart, &renderings)?;
    tools::check_units(&deploy.join("systemd/basalt.service"), program, &work.0)?;
    tools::check_prometheus(&deploy, &work.0)?;

    let mut command_lines = vec![
        files::unit_arguments(&deploy.join("systemd/basalt.service"))?,
        files::unit_arguments(&deploy.join("systemd/basalt.default"))?,
        files::compose_arguments(&deploy.join("compose/compose.yaml"))?,
    ];
    for rendering in &renderings {
        command_lines.push(rendering.arguments(&work.0)?);
    }
    command_lines.extend(program::LINES_OF_VICTORIA_METRICS.iter().map(|line| program::words(line)));
    for line in &command_lines {
        program::check_flags(program, line)?;
    }
    println!("the program takes {} command lines", command_lines.len());

    let expressions = expressions::find(&texts)?;
    let running = Program::start(program, &work.0.join("data"))?;
    let explained = running.get("/metrics").and_then(|metrics| names::check_reasons(root, &metrics));
    let answered = expressions::check(&expressions, &running);
    running.stop()?;
    explained?;
    println!("{} expressions are answered, {} selectors have series", expressions.len(), answered?);
    Ok(())
}

/// A folder for what the check writes, removed when it ends.
struct WorkFolder(PathBuf);

impl WorkFolder {
    fn make() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("basalt-deploy-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|why| format!("cannot make {}: {why}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        if let Err(why) = std::fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {why}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_whole_and_the_chart_renders() {
        let deploy = crate::root().join("deploy");
        let texts = files::read_all(&deploy).expect("readable files");
        assert!(expressions::find(&texts).expect("expressions").len() > 50);
        Chart::load(&deploy.join("helm/basalt")).and_then(|chart| chart.check()).expect("a good chart");
    }
}
