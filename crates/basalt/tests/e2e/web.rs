//! Pages for people.

use std::{fs, process::Command};

use serde_json::Value;

use crate::{
    queries::address,
    server::{Basalt, PROGRAM, folder, usual_flags},
};

#[test]
fn the_web_interface_is_what_flags_make_it() {
    let folder = folder();
    let dashboards = folder.path().join("dashboards");
    fs::create_dir(&dashboards).expect("a folder");
    fs::write(dashboards.join("b.json"), r#"{"title":"two","rows":[]}"#).expect("a file");
    fs::write(dashboards.join("a.json"), r#"{"title":"one","rows":[]}"#).expect("a file");
    fs::write(dashboards.join("notes.txt"), "no dashboard").expect("a file");
    let flags = [
        "-vmui.defaultTimezone=Asia/Tokyo".to_string(),
        format!("-vmui.customDashboardsPath={}", dashboards.display()),
    ];
    let basalt = Basalt::start(&folder.path().join("data"), &flags.each_ref().map(String::as_str));
    assert_eq!(basalt.ok("/vmui/timezone"), "{\"timezone\":\"Asia/Tokyo\"}");
    let shown: Value = serde_json::from_str(&basalt.ok("/select/0/vmui/custom-dashboards")).expect("JSON");
    let titles: Vec<&Value> =
        shown["dashboardsSettings"].as_array().expect("a list").iter().map(|one| &one["title"]).collect();
    assert_eq!(titles, ["one", "two"]);
    let page = basalt.ok("/vmui/");
    for name in ["app.js", "style.css"] {
        assert!(page.contains(name) && !basalt.ok(&format!("/vmui/{name}")).is_empty(), "{name}");
    }
    basalt.stop();
    let basalt = Basalt::start(&folder.path().join("data"), &[]);
    assert_eq!(basalt.ok("/vmui/timezone"), "{\"timezone\":\"UTC\"}");
    assert_eq!(basalt.ok("/vmui/custom-dashboards"), "{\"dashboardsSettings\":[]}");
    let run = Command::new(PROGRAM).args(usual_flags(folder.path())).arg("-vmui.defaultTimezone=Atlantis/X").output();
    let run = run.expect("it starts");
    assert!(run.status.code() == Some(2) && String::from_utf8_lossy(&run.stderr).contains("-vmui.defaultTimezone"));
}

#[test]
fn relabeling_can_be_tried_out() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &[]);
    let rules = "- {target_label: b, replacement: x<y}\n- {action: labeldrop, regex: a}";
    let arguments = [("metric", "m{a=\"1\"}"), ("relabel_configs", rules)];
    let shown: Value = serde_json::from_str(
        &basalt.ok(&address("/metric-relabel-debug", &[&arguments[..], &[("format", "json")]].concat())),
    )
    .expect("JSON");
    assert_eq!(shown["status"], "success");
    assert_eq!(shown["steps"].as_array().map(Vec::len), Some(2));
    assert_eq!(shown["resultingLabels"], "{__name__=\"m\",b=\"x<y\"}");
    let page = basalt.ok(&address("/metric-relabel-debug", &arguments));
    assert!(page.contains("b=&quot;x&lt;y&quot;") && !page.contains("x<y"), "{page}");
    assert_eq!(basalt.export("m").samples(), 0, "nothing is stored");
}
