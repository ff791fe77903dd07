"""The rows of a file of cameras, read as a stream, whatever becomes of them.

CSV: RFC 4180 in UTF-8, the first line names the columns, `,` or `;` between them. GeoJSON: a feature collection
of points (RFC 7946), the same names as properties. Columns are those of `COLUMNS`; those of `REQUIRED` must be there.
"""

import csv
from collections import deque
from collections.abc import Iterator
from typing import IO, Any

import msgspec

from koinon.base.errors import Invalid, TooLarge
from koinon.video.cameras.model import FACTS

MAX_LINE_BYTES = 64 * 1024
MAX_CELL_LINES = 50
MAX_ROWS = 100_000
MAX_GEOJSON_BYTES = 32 * 1024 * 1024

REQUIRED = ("code", "name", "latitude", "longitude", "place_kind", "municipality", "sensor")
COLUMNS = ("code", *FACTS, "groups", "source", "sub_source", "driver", "onvif")


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
    try:
        values["longitude"], values["latitude"] = (repr(float(each)) for each in coordinates[:2])
    except OverflowError:
        return Row(number, values, Invalid("number_malformed", field="geometry"))
    missing = [name for name in REQUIRED if not values.get(name)]
    if missing:
        return Row(number, values, Invalid("value_missing", field=missing[0]))
    return Row(number, values)


def reader_of(name: str) -> Any:
    """What reads a file of that name. Raises `Invalid: file_kind_unknown`."""
    suffix = name.rpartition(".")[2].lower()
    if suffix == "csv":
        return read_csv
    if suffix in ("geojson", "json"):
        return read_geojson
    raise Invalid("file_kind_unknown", suffix=suffix[:20])
