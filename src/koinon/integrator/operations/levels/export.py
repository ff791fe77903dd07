"""A month for machines: JSON and CSV (RFC 4180)."""

import csv
import io
from typing import Any

import msgspec

from koinon.integrator.operations.levels.model import Minutes, MonthReport

HEAD = ("day", *Minutes.__struct_fields__)


def as_json(report: MonthReport) -> dict[str, Any]:
    """The whole report."""
    document: dict[str, Any] = msgspec.to_builtins(report)
    return document


def as_csv(report: MonthReport) -> bytes:
    """Minutes by the day. Only numbers and dates: nothing in it runs in a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(HEAD)
    for each in report.days:
        writer.writerow([each.day.isoformat(), *msgspec.structs.astuple(each.minutes)])
    return out.getvalue().encode()
