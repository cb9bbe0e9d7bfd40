//! Endpoints in front of the real store.

use crate::{
    server::{Basalt, folder},
    wire::{BodyWriter, field, labels},
};

/// 2026-01-02T00:00:00Z
const START_MS: i64 = 1_767_312_000_000;
const RANGE: &str = "start=2026-01-02&end=2026-01-03";

fn filled() -> (tempfile::TempDir, Basalt) {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &["-snapshotAuthKey=s3cret"]);
    let mut body = BodyWriter::default();
    for job in ["a", "b"] {
        for code in ["200", "404", "500"] {
            body.series(&labels(&[("__name__", "requests"), ("job", job), ("code", code)]), &[(START_MS, 1.0)]);
        }
    }
    body.series(&labels(&[("__name__", "up"), ("job", "a")]), &[(START_MS, 1.0), (START_MS + 3_600_000, 0.0)]);
    let metadata =
        [&[0x08, 0x01][..], &field(0x12, b"requests"), &field(0x22, b"How many."), &field(0x2a, b"1")].concat();
    body.body.extend(field(0x1a, &metadata));
    assert_eq!(basalt.write(&body.body).status, 204);
    (folder, basalt)
}

#[test]
fn series_and_labels_are_found_in_memory_and_on_disk() {
    let (_folder, basalt) = filled();
    for place in ["memory", "disk"] {
        for (path, want) in [
            (r#"/api/v1/label/code/values?"#, r#"["200","404","500"]"#),
            (r#"/api/v1/label/code/values?match[]={job="b",code!="200"}&"#, r#"["404","500"]"#),
            (r#"/api/v1/label/job/values?match[]=up&"#, r#"["a"]"#),
            (r#"/api/v1/labels?match[]=up&"#, r#"["__name__","job"]"#),
            (r#"/api/v1/labels?limit=2&"#, r#"["__name__","code"]"#),
            (
                r#"/api/v1/series?match[]={__name__="up" or code=~"5..",job="b"}&"#,
                r#"[{"__name__":"requests","code":"500","job":"b"},{"__name__":"up","job":"a"}]"#,
            ),
            (
                r#"/api/v1/series?match[]={code=~"4.*"}&extra_label=job=b&"#,
                r#"[{"__name__":"requests","code":"404","job":"b"}]"#,
            ),
        ] {
            let answer = basalt.ok(&format!("{path}{RANGE}"));
            assert_eq!(answer, format!("{{\"status\":\"success\",\"data\":{want}}}"), "{place}: {path}");
        }
        assert_eq!(basalt.ok("/api/v1/series/count"), r#"{"status":"success","data":[7]}"#, "{place}");
        let status = basalt.ok("/api/v1/status/tsdb?date=2026-01-02&topN=1&focusLabel=job");
        assert!(status.contains(r#""totalSeries":7"#), "{place}: {status}");
        // How often it was asked for is a matter of its own test.
        let metrics = r#""seriesCountByMetricName":[{"name":"requests","value":6,"requestsCount":"#;
        assert!(status.contains(metrics), "{place}: {status}");
        assert!(status.contains(r#""seriesCountByFocusLabelValue":[{"name":"a","value":4}]"#), "{place}: {status}");
        basalt.ok("/internal/force_flush");
    }
    let bad = basalt.get(r#"/api/v1/series?match[]={job=~"("}"#);
    assert_eq!(bad.status, 400, "{}", bad.text());
    assert!(bad.text().starts_with(r#"{"status":"error","errorType":"400","error":""#), "{}", bad.text());
    let unknown = basalt.get("/api/v1/nothing");
    assert!(unknown.status == 400 && unknown.text().contains("unsupported path"), "{}", unknown.text());
    assert!(unknown.header("x-server-hostname").is_some());
}

#[test]
fn metadata_survives_a_restart() {
    let (folder, basalt) = filled();
    let want = r#"{"status":"success","data":{"requests":[{"type":"counter","unit":"1","help":"How many."}]}}"#;
    assert_eq!(basalt.ok("/api/v1/metadata"), want);
    basalt.kill9();
    let basalt = Basalt::start(folder.path(), &[]);
    assert_eq!(basalt.ok("/api/v1/metadata?metric=requests"), want);
    basalt.stop();
    let folder = crate::server::folder();
    let basalt = Basalt::start(folder.path(), &["-enableMetadata=false"]);
    let body = field(0x1a, &[&[0x08, 0x01][..], &field(0x12, b"requests"), &field(0x22, b"How many.")].concat());
    assert_eq!(basalt.write(&body).status, 204);
    assert_eq!(basalt.ok("/api/v1/metadata"), r#"{"status":"success","data":{}}"#);
}

#[test]
fn deleted_series_are_gone_and_come_back_only_if_they_are_written_again() {
    let (folder, basalt) = filled();
    let delete = "/api/v1/admin/tsdb/delete_series?match[]={job=%22a%22}";
    assert_eq!(basalt.get(delete).status, 405);
    basalt.ok("/internal/force_flush");
    assert_eq!(basalt.client().post(delete, "", None, b"").expect("an answer").status, 204);
    assert_eq!(basalt.export(r#"{__name__=~".%2b"}"#).0.len(), 3);
    basalt.kill9();
    let basalt = Basalt::start(folder.path(), &[]);
    assert_eq!(basalt.export(r#"{__name__=~".%2b"}"#).0.len(), 3, "a delete is durable");
    let mut again = BodyWriter::default();
    again.series(&labels(&[("__name__", "up"), ("job", "a")]), &[(START_MS + 7_200_000, 5.0)]);
    assert_eq!(basalt.write(&again.body).status, 204);
    assert_eq!(basalt.export("up"), again.ledger);
    basalt.ok("/internal/force_flush");
    basalt.ok("/internal/force_merge?wait=1");
    assert_eq!(basalt.export("up"), again.ledger);
}

#[test]
fn snapshots_are_made_listed_and_removed_under_their_key() {
    let (folder, basalt) = filled();
    assert_eq!(basalt.get("/snapshot/create").status, 401);
    let created: serde_json::Value = serde_json::from_str(&basalt.ok("/snapshot/create?authKey=s3cret")).expect("JSON");
    let name = created["snapshot"].as_str().expect("a name").to_string();
    assert_eq!(basalt.ok("/snapshot/list?authKey=s3cret"), format!("{{\"status\":\"ok\",\"snapshots\":[\"{name}\"]}}"));
    assert!(!basalt.ok("/flags").contains("s3cret"));

    // A snapshot is a data folder: it can be opened after it was copied.
    let copy = self::folder();
    let from = format!("{}/snapshots/{name}/.", folder.path().display());
    let copied = std::process::Command::new("cp").args(["-r", &from]).arg(copy.path()).status();
    assert!(copied.expect("cp runs").success());
    let restored = Basalt::start(copy.path(), &[]);
    assert_eq!(restored.export("requests"), basalt.export("requests"));

    assert_eq!(basalt.ok(&format!("/snapshot/delete?authKey=s3cret&snapshot={name}")), r#"{"status":"ok"}"#);
    assert_eq!(basalt.get(&format!("/snapshot/delete?authKey=s3cret&snapshot={name}")).status, 404);
    assert_eq!(basalt.get("/snapshot/delete?authKey=s3cret&snapshot=../parts").status / 100, 4);
}

#[test]
fn refusals_are_named_and_counted() {
    let folder = folder();
    let basalt =
        Basalt::start(folder.path(), &["-retentionPeriod=2d", "-maxLabelsPerTimeseries=2", "-maxLabelValueLen=5"]);
    let mut body = BodyWriter::default();
    body.series(&labels(&[("__name__", "old")]), &[(START_MS - 86_400_000 * 365, 1.0)]);
    body.series(
        &labels(&[("__name__", "new")]),
        &[(START_MS + 86_400_000 * 36_500, 1.0), (START_MS + 86_400_000 * 36_501, 1.0)],
    );
    body.series(&labels(&[("__name__", "x"), ("a", "1"), ("b", "2")]), &[(START_MS, 1.0)]);
    body.series(&labels(&[("__name__", "longer")]), &[(START_MS, 1.0)]);
    let response = basalt.write(&body.body);
    assert_eq!(response.status, 204);
    let said = response.header("x-basalt-refused").expect("it says what was refused").to_string();
    for part in ["small_timestamp=1", "big_timestamp=2", "too_many_labels=1", "too_long_label_value=1"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(basalt.metric("vm_rows_ignored_total{reason=\"big_timestamp\"}"), 2.0);
    assert_eq!(basalt.metric("vm_rows_ignored_total{reason=\"native_histogram\"}"), 0.0);
    assert_eq!(basalt.metric("vm_rows_inserted_total{type=\"promremotewrite\"}"), 0.0);
    basalt.process.wait_for_line("refused samples", crate::server::PATIENCE).expect("it is logged");
}
