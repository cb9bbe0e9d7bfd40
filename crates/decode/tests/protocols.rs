//! Mutated bodies of every protocol break nothing.

use std::time::Duration;

use decode::fuzz;

const TIME: Duration = Duration::from_millis(300);

fn run(name: &str, corpus: &[&[u8]], target: fn(&[u8])) {
    let corpus: Vec<Vec<u8>> = corpus.iter().map(|body| body.to_vec()).collect();
    testkit::fuzz::run(name, &corpus, TIME, target);
}

#[test]
fn imports() {
    let json: &[u8] =
        br#"{"metric":{"__name__":"a","b":"\u00fc"},"values":[1,null,"NaN",-1e9],"timestamps":[1,2,3,4]}"#;
    run("import-json", &[json, &[json, b"\n", json].concat()], fuzz::fuzz_import_json);
    let text = b"# TYPE a counter\n# HELP a b\\n\na{b=\"c\\\"\",d=\"e\"} 1.5 1700000000000 # {x=\"y\"} 1\n{\"q q\",\"l\"=\"v\"} +Inf\nb NaN 17.5";
    run("prometheus-text", &[text], fuzz::fuzz_prometheus_text);
    let csv =
        b"1:metric:m,2:label:l,3:time:custom:2006-01-02 15:04:05.999,4:time\n1.5,\"a\"\"b\",2026-01-02 03:04:05.5\n,,";
    let other = b"3:metric:m,1:label:l,2:time:rfc3339\na,2026-01-02T03:04:05+01:00,7\n'x',2026-01-02T03:04:05Z,-1";
    run("csv", &[csv, other, b"1:metric:m,2:time:unix_ns\n1,1700000000000000000"], fuzz::fuzz_csv);
}

#[test]
fn natives() {
    let range = [0u64.to_be_bytes(), (1u64 << 42).to_be_bytes()].concat();
    let part = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    let name = part(b"na\x01job\x01x\x01inst\x01a\x001b\x01");
    let differences = b"\x80\xa0\xab\xfe\xf9\x62\xc8\x01\x03\x03\x05\x06\x03\xd0\x0f\0\x03\xac\x02\x64";
    let constant = b"\x80\xa0\xab\xfe\xf9\x62\x0a\x03\0\x02\x03\x02\xd0\x0f\0";
    let wide = [2, 6, 10, 2, 1, 2, 3, 64, 1, 4, 0];
    let packed = zstd::bulk::compress(&[2; 200], 1).expect("zstd packs everything");
    let packed = [&[2, 10, 201, 1, 1, 3, 4, packed.len() as u8][..], &packed, &[packed.len() as u8], &packed].concat();
    let records = [&differences[..], constant, &wide, &packed].map(|block| [&range[..], &name, &part(block)].concat());
    run("native", &records.each_ref().map(Vec::as_slice), fuzz::fuzz_native);
}

#[test]
fn lines_of_agents() {
    let influx = b"m,a=b\\ c,d=e f=1,g=2i,h=t,s=\"x \\\"y\" 1700000000000000000\n# c\nm f=1u";
    run("influx", &[influx], fuzz::fuzz_influx);
    run("graphite", &[b"a.b.c;d=e;f=g 1.5 1700000000\nx 1\ny\t-1e3\t-1"], fuzz::fuzz_graphite);
    let puts: &[u8] = b"put a.b 1700000000 1.5 c=d e=f\nput x 0 1";
    let json: &[u8] =
        br#"[{"metric":"m","timestamp":1700000000,"value":"1.5","tags":{"a":"b","c":1}},{"metric":"n","value":2}]"#;
    run("opentsdb", &[puts, json], fuzz::fuzz_opentsdb);
    let zabbix = br#"{"host":{"host":"a","name":"b"},"groups":["c"]"#;
    let rest = br#","item_tags":[{"tag":"t","value":""},{"tag":"t","value":"1"}],"name":"m","clock":17,"ns":5,"value":1.5,"type":0}"#;
    run("zabbix", &[&[&zabbix[..], rest].concat()], fuzz::fuzz_zabbix);
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

#[test]
fn bodies_of_agents() {
    let one =
        br#"{"series":[{"metric":"a.b!c","points":[[1700000000,1.5]],"host":"h","device":"d","tags":["e:f","g"]}]}"#;
    let two = br#"{"series":[{"metric":"m","points":[{"timestamp":17,"value":1}],"resources":[{"type":"host","name":"h"}],"tags":["a:b"]}]}"#;
    let point = [&[0x09][..], &1.5f64.to_le_bytes(), &[0x10, 7]].concat();
    let series =
        [field(1, &[field(1, b"host"), field(2, b"h")].concat()), field(2, b"m"), field(3, b"a:b"), field(4, &point)];
    run("datadog", &[one, two, &field(1, &series.concat())], fuzz::fuzz_datadog);
    let events = br#"[{"EntityID":7,"Events":[{"eventType":"S","timestamp":1700000000,"a":"b","c":1.5,"d":null}]}]"#;
    run("newrelic", &[events], fuzz::fuzz_newrelic);
}

#[test]
fn protobufs() {
    let attribute = |value: &[u8]| [field(1, b"a.b"), field(2, value)].concat();
    let array = field(5, &field(1, &field(1, b"x")));
    let time = [&[0x19][..], &5_000_000u64.to_le_bytes()].concat();
    let double = |key: u8| [&[key][..], &1.5f64.to_le_bytes()].concat();
    let number = [time.clone(), double(0x21), field(7, &attribute(&field(1, b"v")))].concat();
    let counts = [1u64, 2].iter().flat_map(|count| count.to_le_bytes()).collect::<Vec<u8>>();
    let histogram = [time.clone(), double(0x29), field(6, &counts), field(7, &1.5f64.to_le_bytes())].concat();
    let exponential = [time.clone(), double(0x29), vec![0x30, 1], field(8, &[0x08, 2, 0x12, 2, 3, 4])].concat();
    let summary = [time, double(0x29), field(6, &[double(0x09), double(0x11)].concat())].concat();
    let metric = |kind: u8, point: &[u8]| {
        field(2, &[field(1, b"m"), field(3, b"By/s"), field(kind, &[field(1, point), vec![0x10, 2]].concat())].concat())
    };
    let metrics =
        [metric(5, &number), metric(7, &number), metric(9, &histogram), metric(10, &exponential), metric(11, &summary)];
    let bodies: Vec<Vec<u8>> = metrics
        .iter()
        .map(|metric| field(1, &[field(1, &field(1, &attribute(&array))), field(2, metric)].concat()))
        .collect();
    run("otlp", &bodies.iter().map(Vec::as_slice).collect::<Vec<_>>(), fuzz::fuzz_otlp);

    let symbols = [&b""[..], b"__name__", b"up", b"job", b"a"].map(|symbol| field(4, symbol)).concat();
    let sample = [&[0x09][..], &1.5f64.to_le_bytes(), &[0x10, 7]].concat();
    let series =
        [field(1, &[1, 2, 3, 4]), field(2, &sample), field(3, b""), field(4, b""), field(5, &[0x08, 1, 0x18, 2])];
    run("remote-write-2", &[&[symbols, field(5, &series.concat())].concat()], fuzz::fuzz_remote_write_2);
}
