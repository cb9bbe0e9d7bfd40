// Asks Basalt by Grafana's own data source library: `ask.cjs MODULES URL START END`; says "answered" when all answers are right.
//
// The library speaks to Grafana's server, which is written in Go: calls of "resources" are handed on by it as they come, queries it makes itself. This file
// stands for that server (`Backend`); everything in front of it is Grafana's.

const assert = require("node:assert/strict");
const { prepare } = require("./browser.cjs");

const [modules, url, startText, endText] = process.argv.slice(2);
const from = prepare(modules);
const { from: observed, lastValueFrom } = from("rxjs");
const { dateTime, FieldType, CoreApp } = from("@grafana/data");
const runtime = from("@grafana/runtime");
const { PrometheusDatasource, buildVisualQueryFromString, addLabelToQuery } = from("@grafana/prometheus");
const [start, end] = [Number(startText), Number(endText)];
const range = { from: dateTime(start * 1000), to: dateTime(end * 1000), raw: { from: "now-12h", to: "now" } };

/** What was asked of Basalt: method and path. */
const asked = [];

const form = (data) => {
  const pairs = Object.entries(data ?? {}).filter(([, value]) => value !== undefined && value !== null);
  return new URLSearchParams(pairs.flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)])));
};

async function basalt(method, path, data) {
  asked.push(`${method} ${path.split("?")[0]}`);
  const headers = { "User-Agent": "Grafana/13.2.3", "X-Dashboard-Uid": "a1", "X-Panel-Id": "2" };
  const text = form(data).toString();
  const isGet = method === "GET";
  const address = isGet && text ? `${url}${path}${path.includes("?") ? "&" : "?"}${text}` : `${url}${path}`;
  const body = isGet ? undefined : text;
  if (!isGet) headers["Content-Type"] = "application/x-www-form-urlencoded";
  const response = await fetch(address, { method, headers, body });
  return { status: response.status, ok: response.ok, data: await response.json() };
}

/** A frame as Grafana's server makes it of one series. */
function frame(query, series, points) {
  const name = series.metric.__name__ ?? query.expr;
  const values = [points.map(([time]) => time * 1000), points.map(([, value]) => Number(value))];
  const fields = [
    { name: "Time", type: "time", typeInfo: { frame: "time.Time" }, config: { interval: query.intervalMs } },
    { name: "Value", type: "number", typeInfo: { frame: "float64" }, labels: series.metric, config: { displayNameFromDS: name } },
  ];
  return { schema: { refId: query.refId, meta: { type: "timeseries-multi", typeVersion: [0, 1], custom: { resultType: "matrix" } }, fields }, data: { values } };
}

class Backend {
  /** What Grafana's server does with the queries of a panel or of Explore. */
  async queries({ queries, from: first, to: last }) {
    const results = {};
    for (const query of queries) {
      const [begin, finish] = [Number(first) / 1000, Number(last) / 1000];
      const frames = [];
      if (query.range) {
        const step = Math.max(15, query.intervalMs / 1000);
        const answer = await basalt("POST", "/api/v1/query_range", { query: query.expr, start: begin, end: finish, step });
        assert.ok(answer.ok, JSON.stringify(answer.data));
        frames.push(...answer.data.data.result.map((series) => frame(query, series, series.values)));
      }
      if (query.instant) {
        const answer = await basalt("POST", "/api/v1/query", { query: query.expr, time: finish });
        assert.ok(answer.ok, JSON.stringify(answer.data));
        frames.push(...answer.data.data.result.map((series) => frame(query, series, [series.value])));
      }
      results[query.refId] = { status: 200, frames };
    }
    return { status: 200, ok: true, data: { results } };
  }

  /** What Grafana's server does to find out whether a data source works. */
  async health() {
    const sum = await basalt("POST", "/api/v1/query", { query: "1+1", time: end });
    const build = await basalt("GET", "/api/v1/status/buildinfo");
    const works = sum.ok && sum.data.status === "success" && build.ok && typeof build.data.data.version === "string";
    return { status: 200, ok: true, data: { status: works ? "OK" : "ERROR", message: works ? "Successfully queried the Prometheus API." : "no" } };
  }

  async answer({ url: address, method = "GET", data, params }) {
    const { pathname, search } = new URL(address, "http://localhost");
    if (pathname === "/api/ds/query") return this.queries(data);
    if (pathname.endsWith("/health")) return this.health();
    const resource = pathname.split("/resources/")[1] ?? pathname.split("/resource/")[1];
    assert.ok(resource, `nobody stands for ${pathname}`);
    const answer = await basalt(method, `/${resource}${search}`, { ...params, ...data });
    if (!answer.ok) throw { status: answer.status, data: answer.data };
    return answer;
  }

  fetch(request) {
    return observed(this.answer(request));
  }

  async datasourceRequest(request) {
    return this.answer(request);
  }

  async get(address, params) {
    return (await this.answer({ url: address, params })).data;
  }
}

const texts = (found) => found.map(({ text }) => text).sort();
const panel = (target, app) => ({
  app,
  requestId: `Q${target.refId}`,
  targets: [target],
  range,
  interval: "60s",
  intervalMs: 60_000,
  maxDataPoints: 1000,
  scopedVars: {},
  startTime: Date.now(),
  timezone: "utc",
});

async function ask() {
  runtime.setBackendSrv(new Backend());
  const templates = { replace: (text) => text, getVariables: () => [], containsTemplate: () => false, getAdhocFilters: () => [], updateTimeRange: () => {} };
  runtime.setTemplateSrv(templates);
  runtime.setDataSourceSrv?.({ getInstanceSettings: () => undefined });
  const settings = { id: 1, uid: "basalt", type: "prometheus", name: "Basalt", access: "proxy", url, jsonData: { httpMethod: "POST" }, meta: { id: "prometheus" }, readOnly: false };
  const source = new PrometheusDatasource(settings, templates);

  // The health check behind "Save & test".
  assert.equal((await source.callHealthCheck()).status, "OK");

  // Variables.
  const variable = (text) => source.metricFindQuery(text, { range });
  const nodes = Array.from({ length: 12 }, (_, number) => `node-${String(number).padStart(2, "0")}`);
  assert.deepEqual(texts(await variable("label_values(kube_node_info, cluster)")), ["east"]);
  assert.deepEqual(texts(await variable('label_values(kube_node_info{node=~"node-0.*"}, node)')), nodes.slice(0, 10));
  assert.deepEqual(texts(await variable("label_values(node)")), nodes);
  assert.ok(texts(await variable("label_names()")).includes("resource"));
  assert.deepEqual(texts(await variable("metrics(kube_pod.*)")), ["kube_pod_container_resource_requests", "kube_pod_status_phase"]);
  const results = await variable('query_result(kube_node_info{node="node-03"})');
  assert.deepEqual(texts(results), [`kube_node_info{cluster="east",node="node-03"} 1 ${end * 1000}`]);
  assert.deepEqual(texts(await variable('query_result(sum(kube_node_info))')), [`{} 12 ${end * 1000}`]);
  assert.deepEqual(texts(await variable('kube_node_info{node="node-03"}')), ['kube_node_info{cluster="east",node="node-03"}']);

  // Explore: a graph and a table of one query.
  const query = { refId: "A", expr: "sum by (node) (rate(node_cpu_seconds_total[5m]))", range: true, instant: true, intervalMs: 60_000 };
  const answer = await lastValueFrom(source.query(panel(query, CoreApp.Explore)));
  assert.equal(answer.errors?.length ?? 0, 0, JSON.stringify(answer.errors));
  const graphs = answer.data.filter((one) => one.fields.some((field) => field.type === FieldType.number) && one.length > 100);
  assert.equal(graphs.length, 12);
  const values = Array.from(graphs[0].fields.find((field) => field.type === FieldType.number).values);
  assert.ok(values.slice(10).every((value) => Math.abs(value - 0.25) < 1e-9));
  assert.ok(answer.data.length > 12 || answer.data.some((one) => one.meta?.preferredVisualisationType === "table"));

  // The metrics browser and the builder of queries.
  const language = source.languageProvider;
  await language.start(range);
  assert.deepEqual((await language.queryLabelKeys(range, "kube_node_info")).sort(), ["__name__", "cluster", "node"]);
  assert.deepEqual(await language.queryLabelValues(range, "phase", "kube_pod_status_phase"), ["Failed", "Running"]);
  assert.equal((await language.queryLabelValues(range, "__name__")).length, 4);
  assert.ok(texts(await source.getTagKeys({ filters: [], timeRange: range })).includes("pod"));
  assert.deepEqual(texts(await source.getTagValues({ key: "phase", filters: [], timeRange: range })), ["Failed", "Running"]);
  assert.equal(await source.areExemplarsAvailable(), true);
  await source.init();

  // What it makes of an expression has the meaning that the expression has.
  const built = buildVisualQueryFromString(addLabelToQuery(query.expr, "node", "node-03"));
  assert.deepEqual(built.errors, []);
  const one = await lastValueFrom(source.query(panel({ ...query, refId: "B", range: false, expr: addLabelToQuery(query.expr, "node", "node-03") }, CoreApp.Dashboard)));
  assert.equal(one.data.length, 1);
}

ask().then(
  () => {
    console.log(`answered\n${[...new Set(asked)].sort().join("\n")}`);
    process.exit(0);
  },
  (error) => {
    console.error(error, "\n", asked.join("\n"));
    process.exit(1);
  },
);
