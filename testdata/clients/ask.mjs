// Asks Basalt by Node's client of the Prometheus API: `ask.mjs MODULES URL START END`; says "answered" when all answers are right.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

const [modules, endpoint, startText, endText] = process.argv.slice(2);
const { PrometheusDriver } = createRequire(join(modules, "here.js"))("prometheus-query");
const [start, end] = [Number(startText), Number(endText)];
const [first, last] = [new Date(start * 1000), new Date(end * 1000)];
const client = new PrometheusDriver({ endpoint, baseURL: "/api/v1" });

const now = await client.instantQuery("kube_node_info", last);
assert.equal(now.resultType, "vector");
assert.equal(now.result.length, 12);
assert.equal(now.result[3].metric.labels.node, "node-03");
assert.equal(now.result[3].value.value, 1);
assert.equal(now.result[3].value.time.getTime(), last.getTime());

const graph = await client.rangeQuery("sum(rate(node_cpu_seconds_total[5m]))", new Date((start + 600) * 1000), last, 60);
assert.equal(graph.resultType, "matrix");
assert.equal(graph.result.length, 1);
assert.ok(graph.result[0].values.length > 600);
assert.ok(graph.result[0].values.every(({ value }) => Math.abs(value - 3) < 1e-9));

const series = await client.series("kube_node_info", first, last);
assert.deepEqual(series.map(({ labels }) => labels.node).sort()[11], "node-11");
assert.ok((await client.labelNames(["kube_node_info"], first, last)).includes("node"));
assert.deepEqual(await client.labelValues("cluster", ["kube_node_info"], first, last), ["east"]);
assert.deepEqual(await client.alerts(), []);
assert.deepEqual(await client.rules(), []);
await assert.rejects(client.instantQuery("sum("), (error) => /400|parse|column/.test(JSON.stringify(error) + String(error)));
console.log("answered");
