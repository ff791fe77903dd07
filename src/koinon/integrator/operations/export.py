"""A report for machines: JSON and CSV (RFC 4180). Times are UTC."""

import csv
import io
from typing import Any

import msgspec

from koinon.base.clock import rfc3339
from koinon.integrator.operations.model import FlowReport

HEAD = ("at", "asked", "released", "refused", "failed", "p50_ms", "p95_ms", "p99_ms")


def as_json(report: FlowReport) -> dict[str, Any]:
    """The whole report."""
    document: dict[str, Any] = msgspec.to_builtins(report)
    return document


def as_csv(report: FlowReport) -> bytes:
    """Its points; a percentile of nothing is empty. Only numbers and times: nothing in it runs in a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(HEAD)
    for point in report.points:
        times = (point.latency.p50, point.latency.p95, point.latency.p99)
        numbers = (point.asked, point.released, point.refused, point.failed)
        writer.writerow([rfc3339(point.at), *numbers, *("" if each is None else each for each in times)])
    return out.getvalue().encode()
