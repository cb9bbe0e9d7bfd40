//! Pages for people.

use std::{fs, process::Command};

use serde_json::Value;

use crate::{
    prometheus::is_there,
    queries::address,
    server::{Basalt, PROGRAM, folder, usual_flags},
};

/// What the page makes of what is typed into it, by its own functions, which stand before the first that needs a browser.
const TYPED: &str = r##"
const assert = require("node:assert");
const now = 1_800_000_000;
Date.now = () => now * 1000;
for (const [text, want] of [["15", 15], ["500ms", 0.5], ["1h30m", 5400], ["0.5d", 43200], [" 2w ", 1209600]]) {
  assert.strictEqual(seconds(text), want, text);
}
for (const text of ["1M", "", "0", "x", "5 m", "1h!", "-5m"]) assert.throws(() => seconds(text), /cannot read the duration/, text);
for (const [text, want] of [
  ["", now], ["now", now], ["now-1h", now - 3600], ["now - 90s", now - 90], ["-1d", now - 86400], ["1700000000.5", 1700000000.5],
  ["2026-03-02", 1772409600], ["2026-03-02 15:04", 1772463840], ["2026-03-02T15:04:05", 1772463845],
  ["2026-03-02T15:04:05Z", 1772463845], ["2026-03-02T15:04:05+09:00", 1772431445],
]) {
  assert.strictEqual(moment(text), want, text);
}
zone = "Asia/Tokyo";
assert.strictEqual(moment("2026-03-02 15:04"), 1772463840 - 9 * 3600);
for (const text of ["yesterday", "now+", "now-", "2026-99-02"]) assert.throws(() => moment(text), /cannot read the/, text);
assert.deepStrictEqual(linked({ search: "?query=up", hash: "" }), { query: "up", range: "", end: "", step: "" });
const asked = { query: "sum(up)", range: "6h", end: "2026-03-02T15:04:05", step: "15s" };
const link = "g0.expr=sum%28up%29&g0.range_input=6h&g0.end_input=2026-03-02T15%3A04%3A05&g0.step_input=15s&g0.tab=0";
assert.deepStrictEqual(linked({ search: "", hash: `#/?${link}` }), asked);
assert.deepStrictEqual(linked({ search: `?${link}`, hash: "" }), asked);
"##;

#[test]
fn the_page_reads_times_and_links_as_the_api_does() {
    if !is_there("node") {
        return;
    }
    let page = include_str!("../../src/web/app.js");
    let (functions, _) = page.split_once("const get = ").expect("functions that need no browser stand first");
    let functions = functions.replace("location.pathname", "\"/vmui/\"");
    // Zones of browsers are where their users are.
    let output = Command::new("node").env("TZ", "America/New_York").args(["-e", &(functions + TYPED)]).output();
    let output = output.expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

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
