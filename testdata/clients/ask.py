"""Asks Basalt by Python's client of the Prometheus API: `ask.py URL START END`; says "answered" when all answers are right."""

import sys
from datetime import datetime, timezone

from prometheus_api_client import PrometheusConnect

NODES = 12
STEP = 15

url, start, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
first, last = (datetime.fromtimestamp(time, timezone.utc) for time in (start, end))
client = PrometheusConnect(url=url, disable_ssl=True)

assert client.check_prometheus_connection()
assert "kube_node_info" in client.all_metrics(params={"start": start, "end": end})
assert "node" in client.get_label_names(params={"start": start, "end": end})
nodes = client.get_label_values("node", params={"start": start, "end": end})
assert nodes == [f"node-{number:02}" for number in range(NODES)], nodes

now = client.get_current_metric_value("kube_node_info", label_config={"node": "node-03"}, params={"time": end})
assert [(one["metric"]["cluster"], one["value"]) for one in now] == [("east", [end, "1"])], now
total = client.custom_query("sum(rate(node_cpu_seconds_total[5m]))", params={"time": end})
assert total == [{"metric": {}, "value": [end, str(NODES // 4)]}], total

graph = client.custom_query_range("count(kube_node_info)", first, last, str(STEP))
assert len(graph) == 1 and len(graph[0]["values"]) == (end - start) // STEP + 1, len(graph)
assert all(value == str(NODES) for _, value in graph[0]["values"])

data = client.get_metric_range_data("node_cpu_seconds_total", {"node": "node-07"}, start_time=first, end_time=last)
# It asks for ranges of raw samples, whose left end is open.
samples = {time for chunk in data for time, _ in chunk["values"]}
assert len(samples) == (end - start) // STEP, len(samples)

try:
    client.custom_query("sum(")
except Exception as error:
    assert "400" in str(error), error
else:
    raise AssertionError("a broken query was answered")
print("answered")
