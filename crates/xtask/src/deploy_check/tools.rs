//! What programs of others say about the files: `helm`, `systemd-analyze`, `promtool`. One that is not installed is named and passed over.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{
    chart::{Chart, NAMESPACE, RELEASE, Rendering},
    files, yaml,
};

/// A unit as people run it for VictoriaMetrics; only the program's name is to be put in.
const UNIT_OF_VICTORIA_METRICS: &str = "[Unit]
Description=VictoriaMetrics
After=network.target

[Service]
Type=simple
DynamicUser=yes
StateDirectory=victoria-metrics
LimitNOFILE=65536
Restart=on-failure
RestartSec=1
ExecStart=PROGRAM -storageDataPath=/var/lib/victoria-metrics -retentionPeriod=12
ExecStop=/bin/kill -s SIGTERM $MAINPID

[Install]
WantedBy=multi-user.target
";
/// The version of Kubernetes that `helm` renders for.
const KUBERNETES: &str = "1.30.0";

/// `helm` finds no fault with the chart, and renders the same objects.
pub fn check_helm(chart: &Chart, renderings: &[Rendering]) -> Result<(), String> {
    if !is_installed("helm") {
        println!("helm is not installed: the chart is rendered by this check alone");
        return Ok(());
    }
    for rendering in renderings {
        let values = rendering.values.iter().flat_map(|path| ["--values".as_ref(), path.as_os_str()]);
        let mut lint = Command::new("helm");
        run(lint.args(["lint", "--strict"]).arg(&chart.folder).args(values.clone()))?;
        let mut template = Command::new("helm");
        template.args(["template", RELEASE]).arg(&chart.folder).args(["--namespace", NAMESPACE]);
        let text = run(template.args(["--kube-version", KUBERNETES]).args(values))?;
        let (theirs, ours) = (sorted(yaml::documents(&text)?), sorted(rendering.objects.clone()));
        if let Some((theirs, ours)) = theirs.iter().zip(&ours).find(|(theirs, ours)| theirs != ours) {
            return Err(format!("{:?}: helm renders\n{theirs}\nand this check\n{ours}", rendering.values));
        }
        if theirs.len() != ours.len() {
            return Err(format!(
                "{:?}: helm renders {} objects, this check {}",
                rendering.values,
                theirs.len(),
                ours.len()
            ));
        }
    }
    println!("helm renders the same");
    Ok(())
}

/// Objects in one order, without sums of texts, and with the files of a ConfigMap as what they mean: quotes may differ.
fn sorted(mut objects: Vec<Value>) -> Vec<Value> {
    for object in &mut objects {
        if let Some(Value::Object(annotations)) = object.pointer_mut("/spec/template/metadata/annotations") {
            annotations.retain(|name, _| !name.starts_with("checksum/"));
        }
        if object["kind"] == "ConfigMap" {
            for file in object["data"].as_object_mut().into_iter().flat_map(|data| data.values_mut()) {
                let meaning = file.as_str().and_then(|text| yaml::document(text).ok());
                *file = meaning.unwrap_or(Value::Null);
            }
        }
    }
    objects.sort_by_key(|object| (object["kind"].to_string(), object["metadata"]["name"].to_string()));
    objects
}

/// systemd understands every line of the unit, and of one for VictoriaMetrics with the program's name changed.
pub fn check_units(unit: &Path, program: &Path, work: &Path) -> Result<(), String> {
    if !is_installed("systemd-analyze") {
        println!("systemd-analyze is not installed: the unit is not checked");
        return Ok(());
    }
    let program = program.display().to_string();
    let installed = "/usr/local/bin/basalt";
    let own = files::read(unit)?;
    if !own.contains(&format!("ExecStart={installed} ")) {
        return Err(format!("{} does not start {installed}", unit.display()));
    }
    let units = [own.replace(installed, &program), UNIT_OF_VICTORIA_METRICS.replace("PROGRAM", &program)];
    for (name, text) in ["basalt.service", "victoria-metrics.service"].into_iter().zip(units) {
        let path = work.join(name);
        fs::write(&path, text).map_err(|why| format!("cannot write {}: {why}", path.display()))?;
        let said = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path))?;
        if said.contains(name) {
            return Err(format!("systemd-analyze says about {name}: {said}"));
        }
    }
    println!("systemd-analyze verify finds no fault with the units");
    Ok(())
}

/// Prometheus understands its configuration and the alerts, and the alerts' tests pass.
pub fn check_prometheus(deploy: &Path, work: &Path) -> Result<(), String> {
    if !is_installed("promtool") {
        println!("promtool is not installed: alerts are not checked by it");
        return Ok(());
    }
    let alerts = deploy.join("alerts");
    run(Command::new("promtool").args(["check", "rules"]).arg(alerts.join("basalt.yaml")))?;
    run(Command::new("promtool").args(["test", "rules"]).arg(alerts.join("tests/basalt.test.yaml")))?;
    let config = files::read(&deploy.join("compose/prometheus/prometheus.yml"))?;
    let path = work.join("prometheus.yml");
    let config = config.replace("/etc/prometheus/alerts", &alerts.display().to_string());
    fs::write(&path, config).map_err(|why| format!("cannot write {}: {why}", path.display()))?;
    run(Command::new("promtool").args(["check", "config"]).arg(&path))?;
    println!("promtool finds no fault with alerts, their tests, and Prometheus' configuration");
    Ok(())
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Runs a command that must succeed; gives what it wrote.
fn run(command: &mut Command) -> Result<String, String> {
    let what = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().map_err(|why| format!("cannot start {what}: {why}"))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(format!("failed: {what}\n{out}{err}"));
    }
    Ok(if out.is_empty() { err.into_owned() } else { out.into_owned() })
}
