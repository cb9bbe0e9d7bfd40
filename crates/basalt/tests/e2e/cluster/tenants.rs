//! Whose samples an insert takes: what a path, headers and labels say of the tenant.

use std::collections::BTreeMap;

use serde_json::Value;
use testkit::http::Response;

use super::nodes::{Nodes, Shape, start_role};
use crate::{
    queries::address,
    server::Basalt,
    wire::{BodyWriter, labels},
};

/// 2026-01-02T00:00:00Z
const TIME_S: i64 = 1_767_312_000;
const ONE_OF_EACH: Shape = Shape { inserts: 1, storages: 1, copies: 1 };

fn insert(nodes: &Nodes) -> &Basalt {
    nodes.inserts[0].node.as_ref().expect("it runs")
}

fn select(nodes: &Nodes) -> &Basalt {
    nodes.select()
}

/// Sends series with one sample each to a path of an insert.
fn send(insert: &Basalt, path: &str, headers: &[(&str, &str)], series: &[&[(&str, &str)]]) -> Response {
    let mut body = BodyWriter::default();
    for pairs in series {
        body.series(&labels(pairs), &[(TIME_S * 1000, 1.0)]);
    }
    let packed = snap::raw::Encoder::new().compress_vec(&body.body).expect("snappy packs everything");
    let usual = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy")];
    insert.client().request("POST", path, &[&usual[..], headers].concat(), &packed).expect("an answer")
}

/// Every series of every tenant, as `account:project name{labels}`.
fn stored(select: &Basalt) -> Vec<String> {
    let tenants: Value = serde_json::from_str(&select.ok("/admin/tenants")).expect("JSON");
    let tenants = tenants["data"].as_array().expect("a list").iter().map(|tenant| tenant.as_str().expect("a text"));
    let of_tenant = |tenant: &str| {
        let range = [("match[]", "{__name__!=\"\"}"), ("start", "1"), ("end", "2200")];
        let path = address(&format!("/select/{tenant}/prometheus/api/v1/series"), &range);
        let answer: Value = serde_json::from_str(&select.ok(&path)).expect("JSON");
        let row = |row: &Value| {
            let labels: BTreeMap<String, String> = serde_json::from_value(row.clone()).expect("labels");
            let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{tenant} {}", labels.join(" "))
        };
        answer["data"].as_array().expect("a list").iter().map(row).collect::<Vec<_>>()
    };
    let mut all: Vec<String> = tenants.flat_map(of_tenant).collect();
    all.sort();
    all
}

#[test]
fn labels_name_the_tenant_where_all_tenants_are_written_to() {
    let nodes = Nodes::start(ONE_OF_EACH);
    let series: [&[(&str, &str)]; 5] = [
        &[("__name__", "m"), ("of", "both"), ("vm_account_id", "7"), ("vm_project_id", "1")],
        &[("__name__", "m"), ("of", "account"), ("vm_account_id", "8")],
        &[("__name__", "m"), ("of", "project"), ("vm_project_id", "9")],
        &[("__name__", "m"), ("of", "none")],
        &[("__name__", "m"), ("of", "another"), ("vm_account_id", "7"), ("vm_project_id", "1")],
    ];
    let answer = send(insert(&nodes), "/insert/multitenant/prometheus/api/v1/write", &[], &series);
    assert_eq!(answer.status, 204, "{}", answer.text());
    let mut all = vec![
        "0:0 __name__=m of=none",
        "0:9 __name__=m of=project",
        "7:1 __name__=m of=another",
        "7:1 __name__=m of=both",
        "8:0 __name__=m of=account",
    ];
    assert_eq!(stored(select(&nodes)), all, "the labels that name the tenant are taken away");

    // So do other protocols; headers say nothing there.
    let line = b"n{vm_account_id=\"7\",vm_project_id=\"1\"} 1 1767312000000\n";
    let path = "/insert/multitenant/prometheus/api/v1/import/prometheus";
    let headers = [("AccountID", "5")];
    let taken = insert(&nodes).client().request("POST", path, &headers, line).expect("an answer");
    assert_eq!(taken.status, 204, "{}", taken.text());
    all.push("7:1 __name__=n");
    all.sort_unstable();
    assert_eq!(stored(select(&nodes)), all);

    // A path that names a tenant takes the labels as they are.
    let kept: &[(&str, &str)] = &[("__name__", "k"), ("vm_account_id", "7")];
    assert_eq!(send(insert(&nodes), "/insert/3/prometheus/api/v1/write", &[], &[kept]).status, 204);
    assert!(stored(select(&nodes)).contains(&"3:0 __name__=k vm_account_id=7".to_string()));
}

#[test]
fn headers_name_the_tenant_where_the_path_does_not() {
    let nodes = Nodes::start(ONE_OF_EACH);
    for (of, path, headers, status) in [
        ("both", "/insert/prometheus/api/v1/write", &[("AccountID", "7"), ("ProjectID", "1")][..], 204),
        ("account", "/insert/prometheus/api/v1/write", &[("accountid", "8")], 204),
        ("none", "/insert/prometheus/api/v1/write", &[], 204),
        ("path", "/insert/9:2/prometheus/api/v1/write", &[("AccountID", "7"), ("ProjectID", "1")], 204),
        ("bare", "/api/v1/write", &[], 204),
        ("wrong", "/insert/prometheus/api/v1/write", &[("AccountID", "x")], 400),
        ("wrong", "/insert/prometheus/api/v1/write", &[("ProjectID", "4294967296")], 400),
        ("wrong", "/insert/9:x/prometheus/api/v1/write", &[], 400),
        ("wrong", "/insert/prometheus/api/v1/write", &[("AccountID", "4294967295"), ("ProjectID", "4294967295")], 400),
    ] {
        let answer = send(insert(&nodes), path, headers, &[&[("__name__", "m"), ("of", of)]]);
        assert_eq!(answer.status, status, "{of}: {}", answer.text());
    }
    let all = [
        "0:0 __name__=m of=bare",
        "0:0 __name__=m of=none",
        "7:1 __name__=m of=both",
        "8:0 __name__=m of=account",
        "9:2 __name__=m of=path",
    ];
    assert_eq!(stored(select(&nodes)), all);
    for (path, headers, found) in [
        ("/select/prometheus/api/v1/series", &[("AccountID", "7"), ("ProjectID", "1")][..], 1),
        ("/select/prometheus/api/v1/series", &[("AccountID", "7")], 0),
        ("/select/9:2/prometheus/api/v1/series", &[("AccountID", "7"), ("ProjectID", "1")], 1),
        ("/select/prometheus/api/v1/series", &[], 2),
    ] {
        let path = address(path, &[("match[]", "m"), ("start", "1"), ("end", "2200")]);
        let answer = select(&nodes).client().request("GET", &path, headers, b"").expect("an answer");
        let answer: Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert_eq!(answer["data"].as_array().map(Vec::len), Some(found), "{path} {headers:?}: {answer}");
    }
}

#[test]
fn headers_may_be_told_to_mean_nothing() {
    let nodes = Nodes::start(ONE_OF_EACH);
    let list = format!("-storageNode={}", nodes.storages[0].insert_address(0));
    let strict = start_role("insert", &[list, "-enableMultitenancyViaHeaders=false".to_string()]);
    let path = "/insert/prometheus/api/v1/write";
    let refused = send(&strict, path, &[("AccountID", "7")], &[&[("__name__", "m"), ("of", "headers")]]);
    assert_eq!(refused.status, 400, "{}", refused.text());
    let taken = send(&strict, "/insert/7/prometheus/api/v1/write", &[], &[&[("__name__", "m"), ("of", "path")]]);
    assert_eq!(taken.status, 204, "{}", taken.text());
    assert_eq!(stored(select(&nodes)), ["7:0 __name__=m of=path"]);
}
