//! Flags of the store and of what is asked of it: what is kept, what is answered.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{
    queries::{END, answer, cluster},
    server::{Basalt, folder},
    wire::{BodyWriter, labels},
};

const DAY_MS: i64 = 86_400_000;

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

/// Sends one sample of each series; gives what was refused.
fn send(basalt: &Basalt, samples: &[(&str, i64)]) -> (u16, String) {
    let mut body = BodyWriter::default();
    for (name, time) in samples {
        body.series(&labels(&[("__name__", name)]), &[(*time, 1.0)]);
    }
    let answer = basalt.write(&body.body);
    (answer.status, answer.header("x-basalt-refused").unwrap_or_default().to_string())
}

#[test]
fn times_have_their_limits() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &["-maxBackfillAge=2d", "-futureRetention=4d"]);
    let now = now_ms();
    let old_and_new =
        [("old", now - 3 * DAY_MS), ("late", now - DAY_MS), ("early", now + 3 * DAY_MS), ("new", now + 5 * DAY_MS)];
    assert_eq!(send(&basalt, &old_and_new), (204, "small_timestamp=1, big_timestamp=1".to_string()));
    basalt.stop();
    let basalt = Basalt::start(folder.path(), &[]);
    assert_eq!(send(&basalt, &old_and_new[..1]).1, "", "there is no further limit by default");
    assert_eq!(send(&basalt, &old_and_new[2..3]).1, "big_timestamp=1");
}

#[test]
fn of_samples_close_to_each_other_the_last_stays() {
    for (flag, want) in [("-dedup.minScrapeInterval=1m", 1), ("-dedup.minScrapeInterval=0s", 3)] {
        let folder = folder();
        let basalt = Basalt::start(folder.path(), &[flag]);
        let start = 1_767_312_000_000;
        let mut body = BodyWriter::default();
        body.series(&labels(&[("__name__", "m")]), &[(start + 1, 1.0), (start + 2, 2.0), (start + 3, 3.0)]);
        assert_eq!(basalt.write(&body.body).status, 204);
        assert_eq!(basalt.export("m").samples(), want, "{flag}");
    }
}

#[test]
fn what_lies_outside_the_retention_may_be_denied() {
    for (flags, want) in [(&["-denyQueriesOutsideRetention"][..], 503), (&[], 200)] {
        let folder = folder();
        let basalt = Basalt::start(folder.path(), &[&["-retentionPeriod=3d"], flags].concat());
        assert_eq!(send(&basalt, &[("m", now_ms())]).0, 204);
        let ago = |days: i64| ((now_ms() - days * DAY_MS) / 1000).to_string();
        for (path, arguments) in [
            ("/api/v1/query", &[("query", "m"), ("time", &*ago(4))][..]),
            ("/api/v1/query_range", &[("query", "m"), ("start", &*ago(5)), ("step", "1h")]),
            ("/api/v1/export", &[("match[]", "m"), ("start", &*ago(4))]),
            ("/api/v1/label/__name__/values", &[("start", &*ago(5))]),
        ] {
            let refused = basalt.get(&crate::queries::address(path, arguments));
            assert_eq!(refused.status, want, "{path}: {}", refused.text());
            assert!(want == 200 || refused.text().contains("-denyQueriesOutsideRetention"), "{}", refused.text());
        }
        let inside = answer(&basalt, "/api/v1/query", &[("query", "count_over_time(m[1d])"), ("latency_offset", "0s")]);
        assert_eq!(inside.0, 200, "{flags:?}: {}", inside.1);
    }
}

#[test]
fn a_full_disk_takes_no_writes() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &["-storage.minFreeDiskSpaceBytes=1000TB"]);
    crate::prometheus::wait_until("it is found out", || send(&basalt, &[("m", now_ms())]).0 == 503);
    let path = format!("vm_storage_is_read_only{{path=\"{}\"}}", folder.path().display());
    assert_eq!(basalt.metric(&path), 1.0);
}

#[test]
fn new_series_have_their_limits() {
    let now = now_ms();
    let samples = [("a", now), ("b", now), ("c", now)];
    for (flag, reason) in [
        ("-storage.maxHourlySeries=2", "hourly_limit_exceeded=1"),
        ("-storage.maxDailySeries=2", "daily_limit_exceeded=1"),
    ] {
        let folder = folder();
        let basalt = Basalt::start(folder.path(), &[flag]);
        assert_eq!(send(&basalt, &samples), (204, reason.to_string()));
    }
}

#[test]
fn memory_is_a_share_or_a_number() {
    let allowed = |flag: &str| {
        let folder = folder();
        let basalt = Basalt::start(folder.path(), &[flag]);
        (basalt.metric("vm_allowed_memory_bytes"), basalt.metric("vm_available_memory_bytes"))
    };
    assert_eq!(allowed("-memory.allowedBytes=256MiB").0, 268_435_456.0);
    let (quarter, all) = allowed("-memory.allowedPercent=25");
    assert!((quarter / all - 0.25).abs() < 0.001, "{quarter} of {all}");
}

/// Asks and wants an error that names a limit.
fn refused(basalt: &Basalt, path: &str, arguments: &[(&str, &str)], why: &str) {
    let response = basalt.get(&crate::queries::address(path, arguments));
    assert!((400..500).contains(&response.status) && response.text().contains(why), "{path}: {}", response.text());
}

#[test]
fn answers_of_the_api_have_their_limits() {
    let flags = [
        "-search.maxExportSeries=5",
        "-search.maxSeries=5",
        "-search.maxLabelsAPISeries=5",
        "-search.maxTSDBStatusSeries=5",
        "-search.maxDeleteSeries=5",
        "-http.disableResponseCompression",
    ];
    let (_folder, basalt) = cluster(&flags);
    let end = END.to_string();
    let all = [("match[]", "kube_node_info"), ("end", end.as_str()), ("start", "0")];
    for path in
        ["/api/v1/export", "/api/v1/export/csv", "/api/v1/series", "/api/v1/labels", "/api/v1/label/node/values"]
    {
        refused(&basalt, path, &[&all[..], &[("format", "node")]].concat(), "5");
    }
    refused(&basalt, "/api/v1/status/tsdb", &[("date", "0")], "5");
    let delete =
        basalt.client().post("/api/v1/admin/tsdb/delete_series?match[]=kube_node_info", "text/plain", None, b"");
    let delete = delete.expect("the server answers");
    assert!(delete.status == 422 && delete.text().contains("5 are allowed"), "{}: {}", delete.status, delete.text());
    let packed = [("Accept-Encoding", "gzip")];
    let answer = basalt.client().request("GET", "/metrics", &packed, b"").expect("the server answers");
    assert_eq!(answer.header("content-encoding"), None);
}

#[test]
fn lists_of_the_api_are_cut() {
    let (_folder, basalt) =
        cluster(&["-search.maxTagKeys=2", "-search.maxTagValues=3", "-search.maxTSDBStatusTopNSeries=1"]);
    let end = END.to_string();
    let range = [("start", "0"), ("end", end.as_str())];
    let count = |path: &str, member: &str, more: &[(&str, &str)]| {
        let (status, mut body) = answer(&basalt, path, &[&range[..], more].concat());
        assert_eq!(status, 200, "{path}");
        let list = if member.is_empty() { body["data"].take() } else { body["data"][member].take() };
        list.as_array().expect("a list").len()
    };
    assert_eq!(count("/api/v1/labels", "", &[]), 2);
    assert_eq!(count("/api/v1/label/node/values", "", &[]), 3);
    assert_eq!(count("/api/v1/status/tsdb", "seriesCountByMetricName", &[("date", "0"), ("topN", "9")]), 1);
}

#[test]
fn work_for_the_api_has_its_time() {
    // A microsecond is over before anything begins.
    let (_folder, basalt) = cluster(&[
        "-search.maxExportDuration=1us",
        "-search.maxLabelsAPIDuration=1us",
        "-search.maxStatusRequestDuration=1us",
        "-search.maxDeleteDuration=1us",
    ]);
    let end = END.to_string();
    let all = [("match[]", "kube_node_info"), ("end", end.as_str()), ("start", "0")];
    for path in ["/api/v1/series", "/api/v1/labels", "/api/v1/label/node/values", "/api/v1/status/tsdb"] {
        refused(&basalt, path, &[&all[..], &[("date", "0")]].concat(), "time");
    }
    // An export has begun its answer, which breaks off before its end.
    let export = crate::queries::address("/api/v1/export", &all);
    assert!(basalt.client().get(&export).map_or(true, |answer| answer.status == 422), "it was answered to its end");
    let delete = crate::queries::address("/api/v1/admin/tsdb/delete_series", &all[..1]);
    let answer = basalt.client().post(&delete, "text/plain", None, b"").expect("the server answers");
    assert!(answer.status == 503 && answer.text().contains("the delete took longer than"), "{}", answer.text());
}

#[test]
fn old_snapshots_are_removed() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &[]);
    assert_eq!(send(&basalt, &[("m", now_ms())]).0, 204);
    assert!(basalt.ok("/snapshot/create").contains("\"snapshot\":\"20"));
    basalt.stop();
    let basalt = Basalt::start(folder.path(), &[]);
    assert!(basalt.ok("/snapshot/list").contains("\"snapshots\":[\"20"), "three days are not over");
    basalt.stop();
    let basalt = Basalt::start(folder.path(), &["-snapshotsMaxAge=1ms"]);
    let none = "{\"status\":\"ok\",\"snapshots\":[]}";
    crate::prometheus::wait_until("the first look for old ones", || basalt.ok("/snapshot/list") == none);
}

#[test]
fn traces_may_be_denied() {
    let arguments = [("query", "kube_node_info"), ("trace", "1")];
    for (flags, traced) in [(&[][..], true), (&["-denyQueryTracing"], false)] {
        let (_folder, basalt) = cluster(flags);
        assert_eq!(answer(&basalt, "/api/v1/query", &arguments).1["trace"].is_object(), traced, "{flags:?}");
    }
}
