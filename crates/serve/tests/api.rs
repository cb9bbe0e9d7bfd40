//! The API in front of a store of a few series.

mod fake;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use basalt_http::{Method, MetricsSource, MetricsText, Request, Secret};
use fake::Fake;
use model::STALE_NAN_BITS;
use query::{Dialect, Engine, EngineOptions};
use serve::{Endpoint, Keys, Options, QueryOptions, Server};
use testkit::ManualClock;

/// 2026-01-02T03:04:05.678Z
const NOW: i64 = 1_767_323_045_678;

struct Source;

impl MetricsSource for Source {
    fn write_metrics(&self, out: &mut MetricsText) {
        out.line("process_open_fds", 7);
    }
}

fn options() -> Options {
    Options {
        concurrent_max: 2,
        queue_wait_max: Duration::from_secs(10),
        tenant_by_headers: true,
        compress: true,
        queries: QueryOptions {
            dialect: Dialect::MetricsQl,
            time_max: Duration::from_secs(30),
            text_bytes_max: 100,
            lookback: None,
            lookback_is_step: false,
            slow: Duration::ZERO,
            memory_noted: 0,
        },
        federate_series_max: 100,
        export_series_max: 100,
        export_time_max: Duration::from_secs(60),
        series_max: 3,
        labels_series_max: 100,
        labels_time_max: Duration::from_secs(5),
        label_names_max: 100,
        label_values_max: 100,
        status_series_max: 100,
        status_time_max: Duration::from_secs(60),
        deny_tracing: false,
        status_top_max: 50,
        delete_series_max: 100,
        delete_time_max: Duration::from_secs(5),
        keys: Keys::default(),
        names_stats: None,
        flags: vec![("storageDataPath", "x".to_string(), true)],
        version: "basalt-9.9.9",
        has_nodes: false,
        deny_partial: false,
        data_path: "x".to_string(),
        results_bytes_max: 0,
        free_disk_bytes_min: 5,
        hourly_series_max: 0,
        daily_series_max: 0,
    }
}

fn fake() -> Fake {
    Fake::default()
        .with(&[("__name__", "up"), ("job", "a")], &[1.0, 0.5, f64::from_bits(STALE_NAN_BITS), f64::INFINITY])
        .with(&[("__name__", "up"), ("job", "b")], &[2.0])
        .with(&[("__name__", "down"), ("le", "5")], &[3.0])
}

fn server_with(fake: Fake, options: Options) -> (Arc<Fake>, Arc<Server>) {
    let fake = Arc::new(fake);
    let clock = Arc::new(ManualClock::new(NOW));
    let all_are_remembered = EngineOptions { top_query_duration_min: Duration::ZERO, ..EngineOptions::default() };
    let engine = Arc::new(Engine::new(fake.clone(), clock.clone(), all_are_remembered));
    let server = Server::new(engine, fake.clone(), fake.clone(), clock, vec![Arc::new(Source)], options);
    (fake, Arc::new(server))
}

async fn ask(server: &Server, method: Method, address: &str) -> (u16, String) {
    let request = Request::in_memory(method, &address.replace('"', "%22"), "");
    let entrance = Endpoint::find(request.path()).expect("a known path").expect("a good tenant");
    let response = server.serve(entrance, request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap_or_else(|_| "(broken off)".into());
    (status, String::from_utf8(body).expect("text"))
}

async fn get(server: &Server, address: &str) -> (u16, String) {
    ask(server, Method::GET, address).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn exports_are_json_lines() {
    let (_, server) = server_with(fake(), options());
    let (status, body) = get(&server, "/api/v1/export?match[]=up").await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        "{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"values\":[1,0.5,null,\"Infinity\"],\"timestamps\":[0,1000,2000,3000]}\n\
         {\"metric\":{\"__name__\":\"up\",\"job\":\"b\"},\"values\":[2],\"timestamps\":[0]}\n"
    );
    let (_, body) =
        get(&server, "/prometheus/api/v1/export?match[]={job=\"a\"}&max_rows_per_line=3&start=1&reduce_mem_usage=1")
            .await;
    assert_eq!(
        body,
        "{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"values\":[0.5,null,\"Infinity\"],\"timestamps\":[1000,2000,3000]}\n"
    );
    let (_, body) = get(&server, "/api/v1/export?match[]=up&max_rows_per_line=2").await;
    assert_eq!(body.lines().count(), 3);
    let (_, of_unknown) = get(&server, "/api/v1/export?match[]=up&max_rows_per_line=2&format=xml").await;
    assert_eq!(of_unknown, body);
    for (address, part) in [
        ("/api/v1/export", "missing argument match[]"),
        ("/api/v1/export?match[]={", "cannot parse selector"),
        ("/api/v1/export?match[]=up&start=x", "cannot parse argument start"),
        ("/api/v1/export?match[]=up&start=5&end=4", "lies behind end"),
        ("/api/v1/export?match[]=up&max_rows_per_line=x", "want a whole number"),
    ] {
        let (status, body) = get(&server, address).await;
        assert!(
            status == 400 && body.starts_with("{\"status\":\"error\",\"errorType\":\"400\"") && body.contains(part),
            "{body}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn exports_have_the_form_that_is_asked_for() {
    let (_, server) = server_with(fake(), options());
    let (status, body) = get(&server, "/api/v1/export?match[]=up&format=prometheus").await;
    assert_eq!(
        (status, body.as_str()),
        (
            200,
            "up{job=\"a\"} 1 0\nup{job=\"a\"} 0.5 1000\nup{job=\"a\"} NaN 2000\nup{job=\"a\"} +Inf 3000\nup{job=\"b\"} 2 0\n"
        )
    );
    let (status, body) = get(&server, "/api/v1/export?match[]=up&format=promapi&max_rows_per_line=3").await;
    assert_eq!(
        (status, body.as_str()),
        (
            200,
            "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[\
             {\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"values\":[[0,\"1\"],[1,\"0.5\"],[2,\"NaN\"]]},\
             {\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"values\":[[3,\"+Inf\"]]},\
             {\"metric\":{\"__name__\":\"up\",\"job\":\"b\"},\"values\":[[0,\"2\"]]}]}}"
        )
    );
    let (_, body) = get(&server, "/api/v1/export?match[]=nosuch&format=promapi").await;
    assert_eq!(body, "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[]}}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_export_that_fails_in_the_middle_is_not_taken_for_whole() {
    let (_, server) = server_with(Fake { broken: Some(1), ..fake() }, options());
    assert_eq!(get(&server, "/api/v1/export?match[]=up").await.1, "(broken off)");
    assert_eq!(get(&server, "/api/v1/export?match[]=down").await.1.lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_long_export_streams_and_ends_when_its_client_leaves() {
    let (fake, server) = server_with(Fake::default().with(&[("a", "b")], &vec![0.1; 300_000]), options());
    let (_, body) = get(&server, "/api/v1/export?match[]={a=\"b\"}").await;
    assert_eq!(body.matches("0.1").count(), 300_000);
    let request = Request::in_memory(Method::GET, "/api/v1/export?match[]={a=%22b%22}", "");
    let entrance = Endpoint::find(request.path()).expect("a known path").expect("a good tenant");
    let response = server.serve(entrance, request).await;
    assert!(!fake.last_cancel().is_cancelled());
    drop(response);
    assert!(fake.last_cancel().is_cancelled());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_end_before_the_start_is_no_error_of_a_list() {
    let (_, server) = server_with(fake(), options());
    for path in ["/api/v1/series?match[]=up", "/api/v1/labels?match[]=up", "/api/v1/label/job/values?match[]=up"] {
        let (status, body) = get(&server, &format!("{path}&start=5&end=4")).await;
        assert!(status == 200 && !body.contains("[]"), "{path}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn series_and_labels_are_listed() {
    let (fake, server) = server_with(fake(), options());
    for (address, want) in [
        (
            "/api/v1/series?match[]=up&match[]=down&limit=2",
            r#"[{"__name__":"up","job":"a"},{"__name__":"up","job":"b"}]"#,
        ),
        ("/api/v1/series?match[]={le=~\"5.*\"}", r#"[{"__name__":"down","le":"5"}]"#),
        ("/api/v1/labels", r#"["__name__","job","le"]"#),
        ("/api/v1/labels?match[]=up&limit=1", r#"["__name__"]"#),
        ("/api/v1/label/job/values", r#"["a","b"]"#),
        ("/api/v1/label/__name__/values?match[]={job=\"b\"}", r#"["up"]"#),
        ("/api/v1/series/count", "[3]"),
    ] {
        let want = format!("{{\"status\":\"success\",\"data\":{want}}}");
        assert_eq!(get(&server, address).await, (200, want), "{address}");
    }
    assert!(fake.last_cancel().is_cancelled(), "a finished query needs nothing any more");
    let narrow = Options { series_max: 1, ..options() };
    let (status, body) = get(&server_with(self::fake(), narrow).1, "/api/v1/series?match[]=up").await;
    assert!(status == 422 && body.contains("at least 2 series, 1 are allowed"), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn operators_get_their_wishes() {
    let (fake, server) = server_with(fake(), options());
    let ok = |body: &str| (200, body.to_string());
    assert_eq!(get(&server, "/snapshot/create").await, ok(r#"{"status":"ok","snapshot":"s0"}"#));
    assert_eq!(
        ask(&server, Method::POST, "/api/v1/admin/tsdb/snapshot").await,
        ok(r#"{"status":"success","data":{"name":"s1"}}"#)
    );
    assert_eq!(get(&server, "/snapshot/list").await, ok(r#"{"status":"ok","snapshots":["s0","s1"]}"#));
    assert_eq!(get(&server, "/snapshot/delete?snapshot=s0").await, ok(r#"{"status":"ok"}"#));
    assert_eq!(get(&server, "/snapshot/delete?snapshot=s0").await.0, 404);
    assert_eq!(get(&server, "/snapshot/delete").await.0, 400);
    assert_eq!(get(&server, "/snapshot/delete_all").await.0, 200);
    assert_eq!(get(&server, "/snapshot/list").await, ok(r#"{"status":"ok","snapshots":[]}"#));
    assert_eq!(get(&server, "/internal/force_flush").await.0, 200);
    assert_eq!(fake.flushes.load(Ordering::Relaxed), 1);
    assert_eq!(get(&server, "/internal/force_merge?partition_prefix=2026&wait=1").await.0, 200);
    assert_eq!(get(&server, "/internal/force_merge?partition_prefix=bad&wait=1").await.0, 500);
    assert_eq!(*fake.merges.lock().expect("nobody panics"), ["2026", "bad"]);

    assert_eq!(get(&server, "/api/v1/admin/tsdb/delete_series?match[]=up").await.0, 405);
    let entrance = Endpoint::find("/api/v1/admin/tsdb/delete_series").expect("a known path").expect("no tenant");
    let request = Request::in_memory(Method::PUT, "/api/v1/admin/tsdb/delete_series", "");
    assert_eq!(server.serve(entrance, request).await.headers()["allow"], "POST");
    assert_eq!(ask(&server, Method::POST, "/api/v1/admin/tsdb/delete_series").await.0, 400);
    assert_eq!(
        ask(&server, Method::POST, "/delete/5:6/prometheus/api/v1/admin/tsdb/delete_series?match[]=up").await.0,
        204
    );
    let deleted = fake.deleted.lock().expect("nobody panics").clone();
    assert!(deleted.len() == 1 && deleted[0].starts_with("5:6 [[Matcher"), "{deleted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_tenant_sees_its_own_queries() {
    let (_, server) = server_with(fake(), options());
    for (tenant, query) in [("7", "up"), ("8:1", "down")] {
        assert_eq!(get(&server, &format!("/select/{tenant}/prometheus/api/v1/query?query={query}")).await.0, 200);
    }
    for (path, sees_up, sees_down) in [
        ("/select/7/prometheus/api/v1/status/top_queries", true, false),
        ("/select/8:1/prometheus/api/v1/status/top_queries", false, true),
        ("/select/8/prometheus/api/v1/status/top_queries", false, false),
        ("/select/multitenant/prometheus/api/v1/status/top_queries", true, true),
        ("/api/v1/status/top_queries", true, true),
    ] {
        let (_, body) = get(&server, path).await;
        let seen = |text: &str| body.contains(&format!("\"query\":\"{text}\""));
        assert_eq!((seen("up"), seen("down")), (sees_up, sees_down), "{path}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn headers_name_a_tenant_only_where_they_may() {
    for (tenant_by_headers, wanted) in [(true, 200), (false, 400)] {
        let (_, server) = server_with(fake(), Options { tenant_by_headers, ..options() });
        assert_eq!(get(&server, "/select/prometheus/api/v1/query?query=up").await.0, wanted);
        assert_eq!(get(&server, "/select/0/prometheus/api/v1/query?query=up").await.0, 200);
        assert_eq!(get(&server, "/api/v1/query?query=up").await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn statistics_and_metadata() {
    let (_, server) = server_with(fake(), options());
    let (_, body) = get(&server, "/api/v1/status/tsdb?topN=70").await;
    assert!(body.contains(r#""totalSeries":3"#) && body.contains(r#"[{"name":"top 50 days 1","value":3}]"#), "{body}");
    assert!(body.contains(r#""labelValueCountByLabelName":[]"#), "{body}");
    let (_, body) = get(&server, "/api/v1/metadata?limit_per_metric=1").await;
    assert_eq!(
        body,
        r#"{"status":"success","data":{"a":[{"type":"gauge","unit":"s","help":"one"}],"b":[{"type":"gauge","unit":"s","help":"three"}]}}"#
    );
    let (_, body) = get(&server, "/metrics").await;
    for line in [
        "vm_rows{type=\"storage/small\"} 42\n",
        "vm_storage_is_read_only{path=\"x\"} 1\n",
        "vm_app_version{version=\"basalt-9.9.9\", short_version=\"9.9.9\"} 1\n",
        "flag{name=\"storageDataPath\", value=\"x\", is_set=\"true\"} 1\n",
        "process_open_fds 7\n",
        "vm_http_requests_total{path=\"/api/v1/metadata\"} 1\n",
    ] {
        assert!(body.contains(line), "{line}{body}");
    }
    let names: Vec<&str> = body.lines().filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name).collect();
    let distinct: std::collections::BTreeSet<&&str> = names.iter().collect();
    assert_eq!(names.len(), distinct.len(), "a metric stands there twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn pages_answer_and_keys_lock() {
    let (_, server) = server_with(fake(), options());
    assert_eq!(get(&server, "/health").await, (200, "OK".to_string()));
    assert_eq!(get(&server, "/-/ready").await.0, 200);
    assert_eq!(get(&server, "/flags").await, (200, "-storageDataPath=\"x\"\n".to_string()));
    assert!(get(&server, "/api/v1/status/buildinfo").await.1.contains("2.24.0"));
    assert!(get(&server, "/").await.1.contains("/api/v1/export"));
    let keys = Keys { snapshot: Secret::new("open"), ..Keys::default() };
    let (_, locked) = server_with(fake(), Options { keys, ..options() });
    assert_eq!(get(&locked, "/snapshot/list").await.0, 401);
    assert_eq!(get(&locked, "/snapshot/list?authKey=opem").await.0, 401);
    assert_eq!(get(&locked, "/snapshot/list?authKey=open").await.0, 200);
    assert_eq!(get(&locked, "/metrics").await.0, 200);
}
