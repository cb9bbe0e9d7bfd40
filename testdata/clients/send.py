"""Sends samples to Basalt by the client libraries that others use: `send.py URL GRAPHITE OPENTSDB`; says "sent" when all of them are content."""

import sys

import datadog
import graphyte
import potsdb
from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

TIME_MS = 1767312000000


def influx(url):
    with InfluxDBClient(url=url, token="none", org="none", enable_gzip=True) as client:
        assert client.ping() or client.health().status == "pass"
        point = Point("weather").tag("test", "influx client").field("degrees", 21.5).field("rain", False)
        point = point.time(TIME_MS, WritePrecision.MS)
        client.write_api(write_options=SYNCHRONOUS).write(bucket="none", record=point)


def push_gateway(url):
    registry = CollectorRegistry()
    Gauge("pushed", "A number.", ["part"], registry=registry).labels("a").set(7)
    gateway = f"{url}/api/v1/import/prometheus"
    push_to_gateway(gateway, job="push", grouping_key={"test": "push/client"}, registry=registry)


class Checked(OTLPMetricExporter):
    """Remembers whether every export went well."""

    good = True

    def export(self, *arguments, **named):
        result = super().export(*arguments, **named)
        Checked.good &= result == MetricExportResult.SUCCESS
        return result


def opentelemetry(url):
    exporter = Checked(endpoint=f"{url}/opentelemetry/v1/metrics", compression=Compression.Gzip)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3600000)
    provider = MeterProvider(metric_readers=[reader], resource=Resource.create({"test": "otlp client"}))
    meter = provider.get_meter("test")
    meter.create_counter("requests", unit="1").add(5, {"route": "/"})
    duration = meter.create_histogram("duration", unit="s")
    for seconds in (0.1, 3.0, 70.0):
        duration.record(seconds)
    provider.force_flush()
    provider.shutdown()
    assert Checked.good, "an export failed"


def datadog_agent(url):
    datadog.initialize(api_key="none", app_key="none", api_host=f"{url}/datadog", mute=False)
    tags = ["test:datadog client", "env:prod"]
    sent = datadog.api.Metric.send(
        metric="page.views", points=[(TIME_MS // 1000, 4.5)], host="web-1", tags=tags, compress_payload=True
    )
    assert sent == {"status": "ok"}, sent
    checked = datadog.api.ServiceCheck.check(check="app.ok", host_name="web-1", status=0)
    assert checked == {"status": "ok"}, checked


def graphite(address):
    host, port = address.rsplit(":", 1)
    for protocol in ("tcp", "udp"):
        sender = graphyte.Sender(host, port=int(port), protocol=protocol, prefix="servers")
        sender.send("load", 0.5, timestamp=TIME_MS // 1000, tags={"test": f"graphyte-{protocol}"})
        sender.stop()


def opentsdb(address):
    host, port = address.rsplit(":", 1)
    client = potsdb.Client(host, port=int(port), host_tag=False)
    client.send("requests", 12, test="potsdb", timestamp=TIME_MS // 1000)
    client.wait()


for send in (influx, push_gateway, opentelemetry, datadog_agent):
    send(sys.argv[1])
graphite(sys.argv[2])
opentsdb(sys.argv[3])
print("sent")
