//! Which crate may stand on which: ground < contract < receive, decode, store and its parts < serve < the binary.

use crate::source::SourceFile;

/// What each crate may depend on, among those of this workspace. Dev-dependencies are free.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("codec", &["model"]),
    ("disk", &[]),
    ("http", &[]),
    ("tasks", &[]),
    ("storage-api", &["model", "codec", "tasks"]),
    ("decode", &["model", "storage-api"]),
    ("relabel", &["model", "index"]),
    ("receive", &["model", "http", "tasks", "storage-api", "decode", "relabel"]),
    ("index", &["model", "codec", "disk", "storage-api"]),
    ("wal", &["model", "codec", "disk", "storage-api"]),
    ("head", &["model", "codec", "storage-api", "index"]),
    ("part", &["model", "codec", "disk", "storage-api", "index"]),
    ("store", &["model", "codec", "disk", "storage-api", "index", "wal", "head", "part"]),
    ("route", &["model", "disk", "tasks", "storage-api", "wal", "head"]),
    ("rpc", &["model", "codec", "tasks", "storage-api"]),
    ("metricsql", &["model"]),
    ("query", &["model", "codec", "storage-api", "metricsql"]),
    ("gather", &["model", "storage-api", "rpc"]),
    ("serve", &["model", "http", "storage-api", "metricsql", "query"]),
    (
        "basalt",
        &[
            "model",
            "disk",
            "http",
            "storage-api",
            "decode",
            "relabel",
            "receive",
            "store",
            "query",
            "serve",
            "route",
            "rpc",
            "gather",
        ],
    ),
    ("testkit", &["model", "codec", "disk", "storage-api"]),
    ("xtask", &["testkit"]),
];

/// Complains about a dependency that the table does not allow, and about a crate that it does not know.
pub fn directions(files: &[SourceFile]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        let Some(name) = manifest_of(&file.path) else {
            continue;
        };
        let Some((_, allowed)) = LAYERS.iter().find(|(known, _)| *known == name) else {
            complaints.push(format!("{}: crate {name} has no line in the table of layers", file.path));
            continue;
        };
        for dependency in own_dependencies(&file.text) {
            if !allowed.contains(&dependency) {
                complaints.push(format!("{}: {name} must not stand on {dependency}", file.path));
            }
        }
    }
    complaints
}

fn manifest_of(path: &str) -> Option<&str> {
    path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml").filter(|name| !name.contains('/'))
}

/// The crates of this workspace under `[dependencies]`.
fn own_dependencies(manifest: &str) -> Vec<&'static str> {
    let section = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let names = section.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split(['=', '.', ' ']).next());
    let own = |name: &str| LAYERS.iter().map(|(known, _)| *known).find(|known| *known == name);
    // The registry has an `http` too: ours is called otherwise in manifests.
    let folder_of = |name| match name {
        "basalt-http" => Some("http"),
        "http" => None,
        name => Some(name),
    };
    names.filter_map(|name| own(folder_of(name)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, dependencies: &str) -> usize {
        let text = format!(
            "[package]\nname = \"x\"\n\n[dependencies]\n{dependencies}\n[dev-dependencies]\nstore = {{ path = \"\" }}\n"
        );
        directions(&[SourceFile { path: path.to_string(), text }]).len()
    }

    #[test]
    fn the_direction_is_kept() {
        assert_eq!(complaints("crates/index/Cargo.toml", "store = { workspace = true }\n"), 1);
        assert_eq!(complaints("crates/index/Cargo.toml", "model = { workspace = true }\nfst.workspace = true\n"), 0);
        assert_eq!(complaints("crates/serve/Cargo.toml", "basalt-http = { workspace = true }\n"), 0);
        assert_eq!(complaints("crates/model/Cargo.toml", "basalt-http = { workspace = true }\n"), 1);
        assert_eq!(complaints("crates/model/Cargo.toml", "http = { workspace = true }\n"), 0);
        assert_eq!(complaints("crates/unheard/Cargo.toml", ""), 1);
    }
}
