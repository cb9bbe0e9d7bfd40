//! The Helm chart: values against its schema, templates against each set of values, and what they come to against itself.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{files, schema, template::Templates, yaml};

/// Name of the release that the check pretends to install.
pub const RELEASE: &str = "check";
/// The namespace of the release.
pub const NAMESPACE: &str = "metrics";
/// Where the container looks for the rules of the ConfigMap.
const RULES_PATH: &str = "/etc/basalt/relabel.yaml";
/// What Kubernetes lets a name be long.
const NAME_LEN_MAX: usize = 63;

/// A chart as it lies on disk.
#[derive(Debug)]
pub struct Chart {
    /// Its folder.
    pub folder: PathBuf,
    about: Value,
    schema: Value,
    values: Value,
    /// Files of values that are laid over the defaults, and what stands in them.
    overlays: Vec<(PathBuf, Value)>,
    templates: Templates,
}

/// What the templates come to with one set of values.
#[derive(Debug)]
pub struct Rendering {
    /// The file of values; `None` for the defaults.
    pub values: Option<PathBuf>,
    /// The objects for Kubernetes.
    pub objects: Vec<Value>,
}

impl Chart {
    /// Reads a chart.
    pub fn load(folder: &Path) -> Result<Self, String> {
        let text = |name: &str| files::read(&folder.join(name));
        let yaml_file = |name: &str| yaml::document(&text(name)?).map_err(|why| format!("{name}: {why}"));
        let schema = text("values.schema.json")?;
        let mut templates = Templates::default();
        for path in files::below(&folder.join("templates"))? {
            templates.add(&path.file_name().unwrap_or_default().to_string_lossy(), &files::read(&path)?)?;
        }
        let mut overlays = Vec::new();
        for path in files::below(&folder.join("ci"))? {
            let values = yaml::document(&files::read(&path)?).map_err(|why| format!("{}: {why}", path.display()))?;
            overlays.push((path, values));
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            about: yaml_file("Chart.yaml")?,
            schema: serde_json::from_str(&schema).map_err(|why| format!("values.schema.json: {why}"))?,
            values: yaml_file("values.yaml")?,
            overlays,
            templates,
        })
    }

    /// Renders the chart with its defaults and with each overlay, and looks whether everything fits together.
    pub fn check(&self) -> Result<Vec<Rendering>, String> {
        let bogus = json!({"bogus": 1});
        if schema::complaints(&self.schema, &bogus).is_empty() {
            return Err("values.schema.json takes values that no template knows".to_string());
        }
        let mut renderings = vec![self.rendering(None, &Value::Object(Map::new()))?];
        for (path, overlay) in &self.overlays {
            renderings.push(self.rendering(Some(path.clone()), overlay)?);
        }
        Ok(renderings)
    }

    fn rendering(&self, path: Option<PathBuf>, overlay: &Value) -> Result<Rendering, String> {
        let name = path.as_ref().map_or("values.yaml".into(), |path| path.display().to_string());
        let mut values = self.values.clone();
        lay_over(&mut values, overlay);
        let mut complaints = schema::complaints(&self.schema, &values);
        if complaints.is_empty() {
            let objects = self.render(&values).map_err(|why| format!("{name}: {why}"))?;
            complaints = objects.iter().flat_map(complaints_of_object).collect();
            complaints.extend(complaints_of_whole(&objects));
            if complaints.is_empty() {
                return Ok(Rendering { values: path, objects });
            }
        }
        Err(format!("{name}: {}", complaints.join("; ")))
    }

    fn render(&self, values: &Value) -> Result<Vec<Value>, String> {
        let about = &self.about;
        let root = json!({
            "Values": values,
            "Chart": {"Name": about["name"], "Version": about["version"], "AppVersion": about["appVersion"]},
            "Release": {"Name": RELEASE, "Namespace": NAMESPACE, "Service": "Helm"},
        });
        let mut objects = Vec::new();
        for (name, text) in self.templates.render(&root)? {
            if name.ends_with(".yaml") {
                objects.extend(yaml::documents(&text).map_err(|why| format!("{name}: {why}\n{text}"))?);
            }
        }
        Ok(objects)
    }
}

impl Rendering {
    /// The container's arguments, with the rules of the ConfigMap in a file below `work`. Without TLS, whose certificate is in a Secret.
    pub fn arguments(&self, work: &Path) -> Result<Vec<String>, String> {
        let pod = the(&self.objects, "StatefulSet").ok_or("no StatefulSet")?;
        let arguments = files::texts(&pod["spec"]["template"]["spec"]["containers"][0]["args"]);
        let mut arguments = arguments.ok_or("the container has no arguments")?;
        arguments.retain(|argument| !argument.starts_with("-tls"));
        if let Some(rules) = the(&self.objects, "ConfigMap") {
            let path = work.join("relabel.yaml");
            let text = rules["data"]["relabel.yaml"].as_str().ok_or("the ConfigMap holds no rules")?;
            std::fs::write(&path, text).map_err(|why| format!("cannot write {}: {why}", path.display()))?;
            let named = arguments.iter_mut().find(|argument| argument.ends_with(RULES_PATH));
            *named.ok_or("no flag names the rules")? = format!("-relabelConfig={}", path.display());
        }
        Ok(arguments)
    }
}

/// The only object of a kind.
fn the<'a>(objects: &'a [Value], kind: &str) -> Option<&'a Value> {
    objects.iter().find(|object| object["kind"] == kind)
}

/// Values over defaults, as Helm does it: maps are joined, everything else is replaced.
fn lay_over(values: &mut Value, overlay: &Value) {
    match (values, overlay) {
        (Value::Object(values), Value::Object(overlay)) => {
            for (name, value) in overlay {
                lay_over(values.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (values, overlay) => *values = overlay.clone(),
    }
}

/// What Kubernetes would refuse in an object.
fn complaints_of_object(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let kind = object["kind"].as_str().unwrap_or("an object without kind");
    let name = object["metadata"]["name"].as_str().unwrap_or("");
    let is_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if object["apiVersion"].as_str().is_none_or(str::is_empty) {
        found.push(format!("{kind} has no apiVersion"));
    }
    if name.is_empty() || name.len() > NAME_LEN_MAX || !name.chars().all(is_name) {
        found.push(format!("{kind} has the name {name:?}"));
    }
    if object["metadata"]["namespace"] != NAMESPACE {
        found.push(format!("{kind} {name} is not in the release's namespace"));
    }
    complaints_of_labels(object, &mut found);
    found
}

/// Labels, annotations and selectors hold texts and nothing else.
fn complaints_of_labels(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                let holds_texts = ["labels", "annotations", "matchLabels", "nodeSelector"].contains(&name.as_str());
                let all_texts = value.as_object().is_some_and(|entries| entries.values().all(Value::is_string));
                if holds_texts && !all_texts {
                    found.push(format!("{name} holds what is no text: {value}"));
                }
                complaints_of_labels(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| complaints_of_labels(item, found)),
        _ => {}
    }
}

/// What does not fit together.
fn complaints_of_whole(objects: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    let Some(set) = the(objects, "StatefulSet") else {
        return vec!["there is no StatefulSet".to_string()];
    };
    let pod = &set["spec"]["template"];
    let pod_labels = &pod["metadata"]["labels"];
    let mut must = |holds: bool, what: &str| {
        if !holds {
            found.push(what.to_string());
        }
    };
    let services: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "Service").collect();
    let is_named = |service: &&&Value, name: &Value| service["metadata"]["name"] == *name;
    let headless = services.iter().find(|service| is_named(service, &set["spec"]["serviceName"]));
    must(selects(&set["spec"]["selector"]["matchLabels"], pod_labels), "the StatefulSet does not select its pod");
    must(headless.is_some_and(|service| service["spec"]["clusterIP"] == "None"), "serviceName is no headless Service");
    must(services.iter().all(|service| selects(&service["spec"]["selector"], pod_labels)), "a Service misses the pod");
    must(has_volumes(set), "a mount has no volume");
    let scheme = scheme(set);
    must(probes_ask(set, scheme), "a probe does not speak what the program speaks");
    for object in objects {
        match object["kind"].as_str() {
            Some("ServiceMonitor") => {
                must(
                    object["spec"]["endpoints"][0]["scheme"] == scheme,
                    "the ServiceMonitor does not speak what the program speaks",
                );
                let selector = &object["spec"]["selector"]["matchLabels"];
                let hit = services.iter().filter(|service| selects(selector, &service["metadata"]["labels"])).count();
                must(hit == 1, "the ServiceMonitor does not mean exactly one Service");
            }
            Some("PodMonitor") => {
                let endpoint = &object["spec"]["podMetricsEndpoints"][0];
                must(endpoint["scheme"] == scheme, "the PodMonitor does not speak what the program speaks");
                let selector = &object["spec"]["selector"]["matchLabels"];
                must(selects(selector, pod_labels), "the PodMonitor misses the pod");
            }
            Some("Ingress") => {
                let backend = &object["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"];
                must(services.iter().any(|service| is_named(&service, backend)), "the Ingress leads nowhere");
            }
            Some("ServiceAccount") => {
                let name = &object["metadata"]["name"];
                must(pod["spec"]["serviceAccountName"] == *name, "the pod has another ServiceAccount");
            }
            _ => {}
        }
    }
    found
}

/// Whether a selector, which must not be empty, means an object with these labels.
fn selects(selector: &Value, labels: &Value) -> bool {
    selector.as_object().is_some_and(|want| {
        !want.is_empty() && want.iter().all(|(name, value)| labels.get(name).is_some_and(|label| label == value))
    })
}

/// What the program speaks with its arguments.
fn scheme(set: &Value) -> &'static str {
    let arguments = files::texts(&set["spec"]["template"]["spec"]["containers"][0]["args"]).unwrap_or_default();
    if arguments.iter().any(|argument| argument == "-tls=true") { "https" } else { "http" }
}

/// Whether every probe asks by this scheme.
fn probes_ask(set: &Value, scheme: &str) -> bool {
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    ["startupProbe", "readinessProbe", "livenessProbe"].iter().all(|probe| {
        let asks_by = container[probe]["httpGet"]["scheme"].as_str().unwrap_or("HTTP");
        asks_by.eq_ignore_ascii_case(scheme)
    })
}

/// Whether every mount of the container has a volume or a claim.
fn has_volumes(set: &Value) -> bool {
    let pod = &set["spec"]["template"]["spec"];
    let named = |list: &Value, path: &str| -> Vec<String> {
        let items = list.as_array().into_iter().flatten();
        items.filter_map(|item| item.pointer(path)?.as_str().map(str::to_string)).collect()
    };
    let mut volumes = named(&pod["volumes"], "/name");
    volumes.extend(named(&set["spec"]["volumeClaimTemplates"], "/metadata/name"));
    let mounts = named(&pod["containers"][0]["volumeMounts"], "/name");
    !mounts.is_empty() && mounts.iter().all(|mount| volumes.contains(mount))
}
