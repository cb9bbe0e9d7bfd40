//! Who is let in, what an operator may change about answers, and how the process leaves.

use std::{fs, process::Command};

use crate::server::{Basalt, PATIENCE, folder};

const PASSWORD: (&str, &str) = ("Authorization", "Basic dXNlcjpwYXNz");

fn status(basalt: &Basalt, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    basalt.client().request(method, path, headers, b"").expect("the server answers").status
}

#[test]
fn a_password_is_asked_for_on_every_path_but_probes() {
    let folder = folder();
    let secret = folder.path().join("password");
    fs::write(&secret, "pass\n").expect("a file");
    let flags = ["-httpAuth.username=user".to_string(), format!("-httpAuth.password=file://{}", secret.display())];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let basalt = Basalt::start(&folder.path().join("data"), &flags);
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/metrics"),
        ("GET", "/flags"),
        ("GET", "/api/v1/labels"),
        ("POST", "/api/v1/write"),
        ("GET", "/-/reload"),
        ("GET", "/internal/force_flush"),
    ] {
        let refused = basalt.client().request(method, path, &[], b"").expect("the server answers");
        assert_eq!(refused.status, 401, "{path}");
        assert!(refused.header("www-authenticate").is_some_and(|value| value.starts_with("Basic ")));
        assert_eq!(status(&basalt, method, path, &[("Authorization", "Basic dXNlcjp4")]), 401, "{path}");
        assert_ne!(status(&basalt, method, path, &[PASSWORD]), 401, "{path}");
    }
    for path in ["/health", "/-/healthy", "/-/ready", "/ping", "/robots.txt", "/favicon.ico"] {
        assert!(matches!(status(&basalt, "GET", path, &[]), 200 | 204), "{path}");
    }
    let shown = basalt.client().request("GET", "/flags", &[PASSWORD], b"").expect("an answer").text();
    assert!(shown.contains("-httpAuth.password=\"secret\"") && !shown.contains("pass\""), "{shown}");
    let shown = basalt.client().request("GET", "/metrics", &[PASSWORD], b"").expect("an answer").text();
    assert!(shown.contains("flag{name=\"httpAuth.password\", value=\"secret\", is_set=\"true\"} 1"));
}

#[test]
fn every_key_guards_its_paths() {
    let folder = folder();
    let guarded = [
        ("reloadAuthKey", "GET", "/-/reload"),
        ("flagsAuthKey", "GET", "/flags"),
        ("metricsAuthKey", "GET", "/metrics"),
        ("pprofAuthKey", "GET", "/debug/pprof/"),
        ("snapshotAuthKey", "GET", "/snapshot/list"),
        ("forceMergeAuthKey", "GET", "/internal/force_merge"),
        ("forceFlushAuthKey", "GET", "/internal/force_flush"),
        ("deleteAuthKey", "POST", "/api/v1/admin/tsdb/delete_series"),
        ("search.resetCacheAuthKey", "GET", "/internal/resetRollupResultCache"),
        ("configAuthKey", "GET", "/config"),
        ("metricNamesStatsResetAuthKey", "POST", "/api/v1/admin/status/metric_names_stats/reset"),
    ];
    let flags: Vec<String> = guarded.iter().map(|(flag, ..)| format!("-{flag}=key-{flag}")).collect();
    let flags: Vec<&str> =
        flags.iter().map(String::as_str).chain(["-httpAuth.username=user", "-httpAuth.password=pass"]).collect();
    let basalt = Basalt::start(folder.path(), &flags);
    for (flag, method, path) in guarded {
        assert_eq!(status(&basalt, method, path, &[PASSWORD]), 401, "{path} without a key");
        assert_eq!(status(&basalt, method, &format!("{path}?authKey=key-other"), &[PASSWORD]), 401, "{path}");
        assert_ne!(status(&basalt, method, &format!("{path}?authKey=key-{flag}"), &[]), 401, "{path}");
    }
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let post = |path: &str, body: &[u8]| basalt.client().request("POST", path, &form, body).expect("an answer").status;
    assert_eq!(post("/internal/force_flush", b"authKey=key-forceFlushAuthKey"), 200);
    assert_eq!(post("/internal/force_flush", b"authKey=wrong"), 401);
    assert_eq!(post("/metrics", b"authKey=key-metricsAuthKey"), 401, "only the query names this key");
}

#[test]
fn answers_have_the_headers_that_were_asked_for() {
    let folder = folder();
    let flags = [
        "-http.header.hsts=max-age=31536000",
        "-http.header.csp=default-src 'self'",
        "-http.header.frameOptions=DENY",
        "-http.pathPrefix=/tsdb/",
        "-http.disableKeepAlive",
    ];
    let basalt = Basalt::start(folder.path(), &flags);
    for path in ["/health", "/tsdb/health", "/tsdb/api/v1/labels", "/nothing"] {
        let answer = basalt.get(path);
        for (name, value) in [
            ("strict-transport-security", "max-age=31536000"),
            ("content-security-policy", "default-src 'self'"),
            ("x-frame-options", "DENY"),
            ("access-control-allow-origin", "*"),
            ("connection", "close"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(answer.header("x-server-hostname").is_some());
    }
    basalt.stop();
    let basalt = Basalt::start(folder.path(), &["-http.disableCORS"]);
    let answer = basalt.get("/health");
    assert_eq!((answer.header("access-control-allow-origin"), answer.header("connection")), (None, None));
}

#[test]
fn a_delayed_stop_tells_balancers_first() {
    let folder = folder();
    let mut basalt = Basalt::start(folder.path(), &["-http.shutdownDelay=1s"]);
    let told = Command::new("kill").args(["-TERM", &basalt.process.pid().to_string()]).status();
    assert!(told.expect("kill runs").success());
    basalt.process.wait_for_line("probes are answered with 503", PATIENCE).expect("it says so");
    assert_eq!(status(&basalt, "GET", "/health", &[]), 503);
    assert_eq!(status(&basalt, "GET", "/api/v1/labels", &[]), 200, "others are served until the end");
    let ended = basalt.process.wait_for_end(PATIENCE).expect("it ends");
    assert!(ended.success(), "{ended}");
}
