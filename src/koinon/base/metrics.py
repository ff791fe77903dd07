"""Metrics in Prometheus' format. Each process keeps its own and serves its own `/metrics`.

Nothing is shared or summed between processes: the scraper tells them apart by address (processes that share a
listening port each `serve` on a port of their own), and a process that dies takes its numbers along. Metrics
are made once, at module level; labels take few values (codes, kinds, names of flows), never an identifier of
a person or an exchange.
"""

from collections.abc import Sequence
from typing import Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
    start_http_server,
)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# Seconds, from a decision in memory to a source that is slow.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REGISTRY: Final = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)


def counter(name: str, what: str, labels: Sequence[str] = ()) -> Counter:
    """A number that only rises: `koinon_<what>_total`."""
    return Counter(_checked(name), what, labels, registry=REGISTRY)


def gauge(name: str, what: str, labels: Sequence[str] = ()) -> Gauge:
    """A number that goes up and down: `koinon_<what>`."""
    return Gauge(_checked(name), what, labels, registry=REGISTRY)


def histogram(
    name: str, what: str, labels: Sequence[str] = (), buckets: Sequence[float] = BUCKETS
) -> Histogram:
    """How often a value fell where: `koinon_<what>_seconds`, or another unit in the name."""
    return Histogram(_checked(name), what, labels, buckets=buckets, registry=REGISTRY)


def render() -> bytes:
    """All metrics of this process, in the text format of which `CONTENT_TYPE` is the type."""
    return generate_latest(REGISTRY)


def serve(host: str, port: int) -> WSGIServer:
    """`/metrics` of a process without a web server is served from a thread; stop it with `shutdown()`."""
    server, _ = start_http_server(port, addr=host, registry=REGISTRY)
    return server


def _checked(name: str) -> str:
    if not name.startswith("koinon_"):
        raise ValueError(f"{name}: our metrics are named koinon_*")
    return name
