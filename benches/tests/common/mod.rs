//! The program that the short forms measure.

use std::path::{Path, PathBuf};

/// The newest build of basalt, if there is one.
pub fn newest_build() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("benches lies in the workspace");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let builds = ["release", "debug"].map(|profile| target.join(profile).join("basalt"));
    let built = |path: &PathBuf| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let newest = builds.iter().filter(|path| built(path).is_some()).max_by_key(|path| built(path)).cloned();
    if newest.is_none() {
        eprintln!("there is no build of basalt in {}", target.display());
    }
    newest
}
