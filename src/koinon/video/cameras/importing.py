"""Cameras from a CSV or GeoJSON file, row by row: each stands or falls by itself, and the report says which and why.

CSV: RFC 4180 in UTF-8, the first line names the columns, `,` or `;` between them. GeoJSON: a feature collection
of points (RFC 7946), the same names as properties. Columns are those of `COLUMNS`; those of `REQUIRED` must be
there. A cell that is empty says nothing: the value that a known camera has stays. A row is known by its `code`.

The file is read as a stream, a row at a time, each in a transaction of its own: an import that is broken off is
taken up by importing again, since rows that change nothing are `unchanged`.
"""

import csv
import io
import math
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import IO, Any

import msgspec

from koinon.base.database import Connection, Database
from koinon.base.errors import Invalid, KoinonError, NotFound, TooLarge
from koinon.base.ids import parse_id
from koinon.trust.ledger import Sealer
from koinon.trust.parties import Author, PartyId, check_enterprise_number
from koinon.trust.parties.store import find_party, find_party_by_number
from koinon.video.cameras import service, store
from koinon.video.cameras.model import FACTS, Camera, Driver, PlaceKind, Role, Sensor
from koinon.video.cameras.policy import check_code
from koinon.video.cameras.sources import SourceKey

MAX_LINE_BYTES = 64 * 1024
MAX_CELL_LINES = 50
MAX_ROWS = 100_000
MAX_GEOJSON_BYTES = 32 * 1024 * 1024

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
REQUIRED = ("code", "name", "latitude", "longitude", "place_kind", "municipality", "sensor")
COLUMNS = ("code", *FACTS, "groups", "source", "sub_source", "driver", "onvif")
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


class Row(msgspec.Struct, frozen=True):
    """A row as read: its texts, or why it could not be read."""

    line: int
    values: dict[str, str] = {}
    fault: Invalid | None = None


def read_csv(file: IO[bytes]) -> Iterator[Row]:
    """The rows of a CSV file, one at a time.

    Raises:
        Invalid: `file_malformed` for a header that cannot be read, `columns_unknown`, `columns_missing`,
            `columns_twice`.
        TooLarge: `too_many_rows`.
    """
    lines = _lines(file)
    try:
        _, first = next(lines)
    except StopIteration:
        raise Invalid("file_malformed", why="empty") from None
    if first is None:
        raise Invalid("file_malformed", why="the first line is not UTF-8, or too long")
    first = first.removeprefix("\ufeff")
    separator = ";" if first.count(";") > first.count(",") else ","
    names = [name.strip() for name in next(csv.reader([first], delimiter=separator))]
    _check_columns(names)
    for number, (line, text) in enumerate(lines, 1):
        if number > MAX_ROWS:
            raise TooLarge("too_many_rows", limit_rows=MAX_ROWS)
        if text is None:
            yield Row(
                line, fault=Invalid("row_malformed", why="not UTF-8, too long, or a quote never closed")
            )
            continue
        if not text.strip():
            continue
        try:
            cells = next(csv.reader([text], delimiter=separator, strict=True))
        except (csv.Error, StopIteration):
            yield Row(line, fault=Invalid("row_malformed", why="quotes"))
            continue
        if len(cells) != len(names):
            yield Row(
                line,
                {"code": cells[names.index("code")]} if len(cells) > names.index("code") else {},
                Invalid("row_malformed", why="cells", cells=len(cells), columns=len(names)),
            )
            continue
        yield Row(line, dict(zip(names, (cell.strip() for cell in cells), strict=True)))


def _lines(file: IO[bytes]) -> Iterator[tuple[int, str | None]]:
    """Logical lines with the number of their first: a quoted cell may hold line ends. None where unreadable.

    A quote that is never closed spoils its own line only: what it swallowed is read again.
    """
    number = 0  # of the line before the first of `waiting`
    waiting: deque[bytes] = deque()
    while True:
        taken = [waiting.popleft() if waiting else _line(file)]
        if not taken[0]:
            return
        whole = len(taken[0]) <= MAX_LINE_BYTES
        while whole and b"".join(taken).count(b'"') % 2:
            piece = waiting.popleft() if waiting else _line(file)
            taken.append(piece)
            whole = bool(piece) and sum(map(len, taken)) <= MAX_LINE_BYTES and len(taken) <= MAX_CELL_LINES
        if whole:
            yield number + 1, _decoded(b"".join(taken))
            number += len(taken)
        else:
            yield number + 1, None
            number += 1
            waiting.extendleft(reversed([piece for piece in taken[1:] if piece]))


def _line(file: IO[bytes]) -> bytes:
    """The next line; of one that is too long the beginning, one byte longer than may be."""
    line = held = file.readline(MAX_LINE_BYTES + 1)
    while len(held) > MAX_LINE_BYTES and not held.endswith(b"\n"):
        held = file.readline(MAX_LINE_BYTES + 1)
    return line


def _decoded(line: bytes) -> str | None:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text.rstrip("\r\n")


def _check_columns(names: list[str]) -> None:
    unknown = sorted({name[:40] for name in names if name not in COLUMNS})
    if unknown:
        raise Invalid("columns_unknown", columns=unknown, known=list(COLUMNS))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Invalid("columns_twice", columns=twice)
    missing = sorted(set(REQUIRED) - set(names))
    if missing:
        raise Invalid("columns_missing", columns=missing)


def read_geojson(file: IO[bytes]) -> Iterator[Row]:
    """The features of a GeoJSON feature collection of points. Raises as `read_csv`, and `TooLarge: file_too_large`."""
    data = file.read(MAX_GEOJSON_BYTES + 1)
    if len(data) > MAX_GEOJSON_BYTES:
        raise TooLarge("file_too_large", limit_bytes=MAX_GEOJSON_BYTES)
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid("file_malformed", why="not JSON") from None
    del data
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
        raise Invalid("file_malformed", why="not a feature collection")
    features = document.get("features")
    if not isinstance(features, list):
        raise Invalid("file_malformed", why="no features")
    if len(features) > MAX_ROWS:
        raise TooLarge("too_many_rows", limit_rows=MAX_ROWS)
    for number, feature in enumerate(features, 1):
        yield _read_feature(number, feature)


def _read_feature(number: int, feature: Any) -> Row:
    if not isinstance(feature, dict) or not isinstance(feature.get("properties"), dict):
        return Row(number, fault=Invalid("row_malformed", why="not a feature with properties"))
    geometry = feature.get("geometry")
    coordinates = geometry.get("coordinates") if isinstance(geometry, dict) else None
    if (
        not isinstance(geometry, dict)
        or geometry.get("type") != "Point"
        or not isinstance(coordinates, list)
        or len(coordinates) < 2
        or not all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in coordinates)
    ):
        return Row(number, fault=Invalid("row_malformed", why="not a point", field="geometry"))
    values: dict[str, str] = {}
    for name, value in feature["properties"].items():
        if name not in COLUMNS:
            return Row(number, fault=Invalid("columns_unknown", columns=[name[:40]], field=name[:40]))
        if isinstance(value, list) and name == "groups" and all(isinstance(each, str) for each in value):
            values[name] = " ".join(value)
        elif isinstance(value, bool):
            values[name] = "true" if value else "false"
        elif isinstance(value, (str, int, float)):
            values[name] = str(value).strip()
        elif value is not None:
            return Row(number, values, Invalid("row_malformed", why="neither text nor number", field=name))
    values["longitude"], values["latitude"] = (repr(float(each)) for each in coordinates[:2])
    missing = [name for name in REQUIRED if not values.get(name)]
    if missing:
        return Row(number, values, Invalid("value_missing", field=missing[0]))
    return Row(number, values)


async def import_rows(
    database: Database,
    sealer: Sealer,
    key: SourceKey,
    owner: PartyId,
    rows: Iterable[Row],
    *,
    by: Author,
    at: datetime,
    dry_run: bool = False,
) -> AsyncIterator[RowReport]:
    """What becomes of each row, as it happens: cameras of `owner` are registered, or changed to what the row says.

    With `dry_run` everything is tried, row upon row, and nothing stays. A camera that the file does not name is
    left alone. Nothing is shared by importing, and nothing resumed.
    """
    seen: dict[str, int] = {}
    async with database.acquire() as connection:
        whole = connection.transaction() if dry_run else None
        if whole is not None:
            await whole.start()
        try:
            for row in rows:
                yield await _import_row(connection, sealer, key, owner, row, seen, by=by, at=at)
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
) -> RowReport:
    name = row.values.get("code", "")[:64]
    try:
        if row.fault is not None:
            raise row.fault
        if name in seen:
            raise Invalid("row_twice", field="code", first_line=seen[name])
        seen[name] = row.line
        async with connection.transaction():
            outcome, changed = await _apply(connection, sealer, key, owner, row.values, by=by, at=at)
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
) -> tuple[Outcome, tuple[str, ...]]:
    code = check_code(values.get("code", ""))
    facts = _read_facts(values)
    found = await store.find_camera_by_code(connection, code, lock=True)
    if found is None:
        for name in REQUIRED:
            if not values.get(name):
                raise Invalid("value_missing", field=name)
        camera = await service.register_camera(
            connection, sealer, Camera(code=code, owner=owner, **facts), by=by, at=at
        )
        changed: list[str] = []
    elif found.owner != owner:  # codes are unique in the region; whose the other one is, is not told
        raise Invalid("code_taken", field="code")
    else:
        camera, different = await service.change_camera(connection, sealer, found.id, facts, by=by, at=at)
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


def reader_of(name: str) -> Any:
    """What reads a file of that name. Raises `Invalid: file_kind_unknown`."""
    suffix = name.rpartition(".")[2].lower()
    if suffix == "csv":
        return read_csv
    if suffix in ("geojson", "json"):
        return read_geojson
    raise Invalid("file_kind_unknown", suffix=suffix[:20])


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
