"""Cameras from a CSV or GeoJSON file, row by row: each stands or falls by itself, and the report says which and why.

A cell that is empty says nothing: the value that a known camera has stays. A row is known by its `code`.

The file is read a row at a time (`rows`), each in a transaction of its own: an import that is broken off is
taken up by importing again, since rows that change nothing are `unchanged`.
"""

import asyncio
import csv
import io
import math
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from koinon.base.database import Connection, Database
from koinon.base.errors import Invalid, KoinonError, NotFound
from koinon.base.ids import parse_id
from koinon.trust.ledger import Sealer
from koinon.trust.parties import Author, PartyId, check_enterprise_number
from koinon.trust.parties.store import find_party, find_party_by_number
from koinon.trust.rules.in_force import InForce
from koinon.video.cameras import service, store
from koinon.video.cameras.model import FACTS, Camera, Driver, PlaceKind, Role, Sensor
from koinon.video.cameras.policy import check_code
from koinon.video.cameras.rows import REQUIRED, Row
from koinon.video.cameras.sources import SourceKey

_NUMBERS = (
    "latitude",
    "longitude",
    "height_m",
    "direction_deg",
    "field_of_view_deg",
    "range_m",
    "pixels_per_metre",
)
_SOURCES = {"source": Role.MAIN, "sub_source": Role.SUB}
_WORDS: dict[str, dict[str, bool]] = {
    "doubly_recorded": {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
}


class Outcome(StrEnum):
    """What became of a row."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    REFUSED = "refused"


class RowReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row.

    Attributes:
        line: of the file, from 1 (CSV), or the number of the feature, from 1 (GeoJSON).
        camera: the row's `code` as written, cut.
        changed: names of what changed.
        code, field, facts: why it was refused, and which column made it so.
    """

    line: int
    outcome: Outcome
    camera: str = ""
    changed: tuple[str, ...] = ()
    code: str = ""
    field: str = ""
    facts: dict[str, Any] = {}


class ImportReport(msgspec.Struct, frozen=True):
    """What became of each row."""

    dry_run: bool
    created: int
    unchanged: int
    changed: int
    refused: int
    rows: list[RowReport]


async def import_rows(
    database: Database,
    sealer: Sealer,
    key: SourceKey,
    owner: PartyId,
    rows: Iterable[Row],
    *,
    by: Author,
    at: datetime,
    rules: Sequence[InForce] = (),
    dry_run: bool = False,
) -> AsyncGenerator[RowReport, None]:
    """What becomes of each row, as it happens: cameras of `owner` are registered, or changed to what the row says.

    `rules`: the bank's, which say which regimes may be named. With `dry_run` everything is tried, row upon row, and
    nothing stays. A camera that the file does not name is left alone. Nothing is shared by importing, nor resumed.
    """
    seen: dict[str, int] = {}
    async with database.acquire() as connection:
        whole = connection.transaction() if dry_run else None
        if whole is not None:
            await whole.start()
        try:
            for row in rows:
                # A row that cannot be read waits for nothing: others' uses go on between two.
                await asyncio.sleep(0)
                yield await _import_row(connection, sealer, key, owner, row, seen, by=by, at=at, rules=rules)
        finally:
            if whole is not None:
                await whole.rollback()


async def _import_row(
    connection: Connection,
    sealer: Sealer,
    key: SourceKey,
    owner: PartyId,
    row: Row,
    seen: dict[str, int],
    *,
    by: Author,
    at: datetime,
    rules: Sequence[InForce],
) -> RowReport:
    name = row.values.get("code", "")[:64]
    try:
        if row.fault is not None:
            raise row.fault
        if name in seen:
            raise Invalid("row_twice", field="code", first_line=seen[name])
        seen[name] = row.line
        async with connection.transaction():
            outcome, changed = await _apply(
                connection, sealer, key, owner, row.values, by=by, at=at, rules=rules
            )
    except KoinonError as error:
        if error.status >= 500:
            raise
        facts = dict(error.facts)
        field = str(facts.pop("field", "") or "")
        return RowReport(
            line=row.line, outcome=Outcome.REFUSED, camera=name, code=error.code, field=field, facts=facts
        )
    return RowReport(line=row.line, outcome=outcome, camera=name, changed=changed)


async def _apply(
    connection: Connection,
    sealer: Sealer,
    key: SourceKey,
    owner: PartyId,
    values: dict[str, str],
    *,
    by: Author,
    at: datetime,
    rules: Sequence[InForce],
) -> tuple[Outcome, tuple[str, ...]]:
    code = check_code(values.get("code", ""))
    facts = _read_facts(values)
    found = await store.find_camera_by_code(connection, code, lock=True)
    if found is None:
        for name in REQUIRED:
            if not values.get(name):
                raise Invalid("value_missing", field=name)
        camera = await service.register_camera(
            connection, sealer, Camera(code=code, owner=owner, **facts), by=by, at=at, rules=rules
        )
        changed: list[str] = []
    elif found.owner != owner:  # codes are unique in the region; whose the other one is, is not told
        raise Invalid("code_taken", field="code")
    else:
        camera, different = await service.change_camera(
            connection, sealer, found.id, facts, by=by, at=at, rules=rules
        )
        changed = list(different)
    if values.get("groups"):
        codes = values["groups"].replace(",", " ").split()
        if await service.set_groups(connection, sealer, camera.id, codes, by=by, at=at):
            changed.append("groups")
    driver = _read_word(values, "driver", Driver) or Driver.RTSP
    for column, role in _SOURCES.items():
        if not values.get(column):
            continue
        try:
            moved = await service.set_stream(
                connection,
                sealer,
                key,
                camera.id,
                role,
                values[column],
                driver=driver,
                recorded=role is Role.MAIN,
                by=by,
                at=at,
            )
        except KoinonError as error:
            error.facts["field"] = column
            raise
        if moved:
            changed.append(column)
    if values.get("onvif") and await service.set_control(
        connection, sealer, key, camera.id, values["onvif"], by=by, at=at
    ):
        changed.append("onvif")
    if found is None:
        return Outcome.CREATED, ()
    return (Outcome.CHANGED, tuple(changed)) if changed else (Outcome.UNCHANGED, ())


def _read_facts(values: dict[str, str]) -> dict[str, Any]:
    """The facts that the row names, each read as what it is.

    Raises:
        Invalid: `number_malformed`, `word_unknown`, with the field.
    """
    facts: dict[str, Any] = {}
    for name in FACTS:
        text = values.get(name, "")
        if not text:
            continue
        if name in _NUMBERS:
            facts[name] = _read_number(name, text)
        elif name == "place_kind":
            facts[name] = _read_word(values, name, PlaceKind)
        elif name == "sensor":
            facts[name] = _read_word(values, name, Sensor)
        elif name in _WORDS:
            if text.lower() not in _WORDS[name]:
                raise Invalid("word_unknown", field=name, known=list(_WORDS[name]))
            facts[name] = _WORDS[name][text.lower()]
        else:
            facts[name] = text
    return facts


def _read_number(name: str, text: str) -> float:
    """A decimal; a comma counts as the point, as in Dutch and French."""
    try:
        value = float(text.replace(",", ".", 1))
    except ValueError:
        raise Invalid("number_malformed", field=name) from None
    if not math.isfinite(value):
        raise Invalid("number_malformed", field=name)
    return value


def _read_word(values: dict[str, str], name: str, kind: type[StrEnum]) -> Any:
    text = values.get(name, "").lower()
    if not text:
        return None
    try:
        return kind(text)
    except ValueError:
        raise Invalid("word_unknown", field=name, known=[each.value for each in kind]) from None


def report_csv(reports: Iterable[RowReport]) -> str:
    """The report as CSV that a spreadsheet shows as text: a cell never begins as a formula does.

    Source: OWASP, CSV Injection: `=`, `+`, `-`, `@`, tab and carriage return begin one.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(("line", "camera", "outcome", "changed", "code", "field", "facts"))
    for each in reports:
        facts = "; ".join(f"{name}: {value}" for name, value in each.facts.items())
        cells = (each.camera, each.outcome.value, " ".join(each.changed), each.code, each.field, facts)
        writer.writerow((each.line, *(plain_cell(cell) for cell in cells)))
    return out.getvalue()


def plain_cell(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would take it for a formula."""
    formula = text.lstrip().startswith(("=", "+", "-", "@", "|")) or text[:1] in ("\t", "\r", "\n")
    return f"'{text}" if formula else text


def summarise(reports: list[RowReport], *, dry_run: bool) -> ImportReport:
    """The report on a whole file."""
    return ImportReport(dry_run=dry_run, rows=reports, **count(reports))


def count(reports: Iterable[RowReport]) -> dict[str, int]:
    """How many rows became what."""
    totals = {each.value: 0 for each in Outcome}
    for report in reports:
        totals[report.outcome.value] += 1
    return totals


async def find_owner(connection: Connection, text: str) -> PartyId:
    """The party of that enterprise number or id. Raises `NotFound: party_unknown`, `Invalid` for neither."""
    if "-" in text:
        found = await find_party(connection, PartyId(parse_id(text, "party")))
    else:
        found = await find_party_by_number(connection, check_enterprise_number(text))
    if found is None:
        raise NotFound("party_unknown", party=text[:60])
    return found.id
