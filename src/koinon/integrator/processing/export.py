"""Published tables as CSV that a spreadsheet cannot be made to run, and as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from koinon.base.late import late
from koinon.integrator.processing.cluster import TOTAL, PublishedTable
from koinon.integrator.processing.model import MadeNoisy, Publication

if TYPE_CHECKING:
    import pyarrow
else:
    pyarrow = late("pyarrow")

SUPPRESSED = ":c"
"""In CSV: there is a value and it is confidential. Source: SDMX code list CL_OBS_STATUS / Eurostat flags, `c`."""

_STARTERS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def neutral(text: str) -> str:
    """`text` as no spreadsheet takes for a formula: with an apostrophe in front where it begins like one.

    Source: OWASP, "CSV Injection". Numbers that we wrote ourselves do not come here.
    """
    stripped = text.lstrip(" \u00a0\ufeff")
    # Full-width forms of the signs are read as the signs by some programs.
    return f"'{text}" if stripped.startswith((*_STARTERS, "＝", "＋", "－", "＠")) else text


def cells_csv(publication: Publication) -> bytes:
    """One line a cell: the categories, then the value; `:c` where it is left out, `*` for a total."""
    table = publication.table()
    head = [*table.cluster.dimensions, table.cluster.measure.column or "subjects"]
    lines = (
        [
            *(_word(each) for each in cell.at),
            SUPPRESSED if cell.value is None else _decimal(cell.value, table),
        ]
        for cell in table.cells
    )
    return _csv(head, lines)


def noisy_csv(publication: Publication) -> bytes:
    """One line a number."""
    assert isinstance(publication.made, MadeNoisy)
    noisy = publication.made.noisy
    head = [noisy.query.column or "all", "value", "within_95_percent"]
    return _csv(
        head, ([_word(name), str(value), f"{noisy.within:g}"] for name, value in noisy.values.items())
    )


def rows_csv(table: pyarrow.Table) -> bytes:
    """One line a row, every cell as text."""
    columns = [table.column(name).cast(pyarrow.string()).to_pylist() for name in table.column_names]
    return _csv(table.column_names, ([_word(each) for each in row] for row in zip(*columns, strict=True)))


def as_json(publication: Publication) -> dict[str, Any]:
    """The publication as one document; a cell that is left out has `value: null` and `suppressed: true`."""
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(publication)
    if publication.body is not None:
        document["body"] = [
            {"at": list(cell.at), "value": cell.value, "suppressed": cell.value is None}
            for cell in publication.body
        ]
    return document


def _word(text: str | None) -> str:
    return "" if text is None else text if text == TOTAL else neutral(text)


def _decimal(value: int, table: PublishedTable) -> str:
    if not table.scale:
        return str(value)
    whole, part = divmod(value, 10**table.scale)
    return f"{whole}.{part:0{table.scale}d}"


def _csv(head: Sequence[str], lines: Iterable[Sequence[str]]) -> bytes:
    """RFC 4180, UTF-8."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([neutral(each) for each in head])
    writer.writerows(lines)
    return out.getvalue().encode()
