"""Sends samples to Basalt by the client libraries that others use; says "sent" when all of them are content."""

import sys

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


for send in (influx, push_gateway, opentelemetry):
    send(sys.argv[1])
print("sent")
