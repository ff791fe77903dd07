"""The verifier: that the index, the files and the law say the same. It changes only what is safe, and only when told.

Of each stream and copy: no two units overlap; units and gaps together account for the time from the first to the last.
Of each place, folder or bucket: no row without its file, no file without its row, sizes as told, hashes as told
(sampled, or all); what is deleted there is gone. Of every table that holds something by stream and time, of derived
files and of folders: nothing older than the law.
"""

import asyncio
import hashlib
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from koinon.base.clock import Clock
from koinon.base.database import Connection, Database
from koinon.base.errors import Invalid, KoinonError, NotFound
from koinon.video.cameras.model import CameraId, StreamId
from koinon.video.recorder.disk import PART
from koinon.video.recordings import Place, demand_forgetting, list_places
from koinon.video.recordings.model import FETCHED
from koinon.video.recordings.timeline import uncovered
from koinon.video.terms.model import Regimes, Why, Window
from koinon.video.terms.places import BucketReach, FolderReach, Lying, Reach, reach
from koinon.video.terms.policy import windows_due
from koinon.video.terms.store import due, reports
from koinon.video.terms.store import fsck as store
from koinon.video.terms.store.fsck import Row

SLACK: Final = timedelta(seconds=1)
"""A hole or an overlap that is shorter is rounding, where a run ends and the next begins."""

_SETTLES: Final = timedelta(minutes=10)  # a file so young may still be on its way into the index
_PAGE: Final = 5000

Progress = Callable[[str, int, int], None]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What does not agree.

    Attributes:
        code: `file_missing`, `file_without_row`, `size_differs`, `hash_differs`, `overlap`, `hole`, `too_old`,
            `derived_missing`, `place_away`, `bucket_keeps_versions`.
        repaired: it was put right.
    """

    code: str
    where: str
    detail: str = ""
    repaired: bool = False


class Report(msgspec.Struct, kw_only=True):
    """What was looked at, and what was found."""

    units: int = 0
    hashed: int = 0
    files: int = 0
    bytes: int = 0
    findings: list[Finding] = msgspec.field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything agrees, or was put right."""
        return all(each.repaired for each in self.findings)


def _quiet(what: str, done: int, total: int) -> None:
    pass


async def check(
    database: Database,
    home: Path,
    regimes: Regimes,
    clock: Clock,
    *,
    hash_share: float = 0.01,
    repair: bool = False,
    progress: Progress = _quiet,
    seed: int | None = None,
) -> Report:
    """The report. `hash_share`: of which share of units every byte is read, 1 for all.

    `repair` unlinks files past their legal maximum that no row knows, and nothing else: a younger file without a row is
    evidence that the recorder takes back by itself, and a row without a file is told and not covered up.
    """
    report = Report()
    now = clock.now()
    chosen = random.Random(seed)  # noqa: S311 - which files are read in full
    async with database.acquire() as connection:
        cameras = await due.list_kept(connection)
        places: dict[int, Place] = {each.id: each for each in await list_places(connection)}
        garbage = await store.list_garbage_files(connection)
        streams = {stream: each for each in cameras for stream in each.streams}
        windows = [
            (each.camera, window)
            for each in cameras
            for window in windows_due(each.streams, each.limits(regimes, now), None, now, timedelta(0))
            if window.why is Why.MAXIMUM
        ]
    reached: dict[int, FolderReach | BucketReach | None] = {
        id_: await asyncio.to_thread(reach, place, home) for id_, place in places.items()
    }
    listed: dict[int, dict[str, Lying]] = {}
    for id_, found in reached.items():
        if isinstance(found, BucketReach):
            try:
                try:
                    await demand_forgetting(found.objects)
                except Invalid as error:
                    where = f"place {id_}: {places[id_].address}"
                    report.findings.append(Finding(code=error.code, where=where))
                listed[id_] = {each.file: each for each in await found.list_files()}
            except KoinonError:
                reached[id_] = None
    known: dict[int, set[str]] = {id_: set(garbage.get(id_, ())) for id_ in places}
    for number, stream in enumerate(sorted(streams), 1):
        progress("streams", number, len(streams))
        await _check_stream(database, stream, reached, listed, known, report, hash_share, chosen)
    async with database.acquire() as connection:
        for place, file in await store.list_derived_files(connection):
            known.setdefault(place, set()).add(file)
            found = reached.get(place)
            if found is not None and await _look(found, listed.get(place, {}), file, False) is None:
                report.findings.append(Finding(code="derived_missing", where=f"place {place}: {file}"))
        for table, count in await _too_old(connection, windows, now):
            report.findings.append(
                Finding(code="too_old", where=table, detail=f"{count} rows past their legal maximum")
            )
    codes = {each.code: (each.camera, each.streams) for each in cameras}
    for number, (id_, found) in enumerate(reached.items(), 1):
        progress("places", number, len(reached))
        if found is None:
            if known.get(id_):
                report.findings.append(
                    Finding(code="place_away", where=f"place {id_}: {places[id_].address}")
                )
        else:
            files = list(listed[id_].values()) if id_ in listed else await found.list_files()
            await _check_place(id_, found, files, known[id_], codes, windows, now, report, repair)
    return report


async def _check_stream(
    database: Database,
    stream: StreamId,
    reached: dict[int, FolderReach | BucketReach | None],
    listed: dict[int, dict[str, Lying]],
    known: dict[int, set[str]],
    report: Report,
    hash_share: float,
    chosen: random.Random,
) -> None:
    for copy in (0, 1, FETCHED):
        last: Row | None = None
        after = datetime.min.replace(tzinfo=UTC)
        while True:
            async with database.acquire() as connection:
                rows = await store.list_rows(connection, stream, copy, after, _PAGE)
                gaps: Sequence[tuple[datetime, datetime]] = ()
                if rows:
                    since = min(rows[0].start, last.end) if last else rows[0].start
                    gaps = await store.list_spans(connection, stream, copy, since, rows[-1].end)
            for row in rows:
                report.units += 1
                report.bytes += row.size
                known.setdefault(row.place, set()).add(row.file)
                if (
                    last is not None and copy != FETCHED
                ):  # asked stretch by stretch: neither holes nor overlaps are wrong
                    _check_order(report, last, row, gaps)
                if last is None or row.end > last.end:
                    last = row
            await _check_files(rows, reached, listed, report, hash_share, chosen)
            if len(rows) < _PAGE:
                break
            after = rows[-1].start


def _check_order(report: Report, last: Row, row: Row, gaps: Sequence[tuple[datetime, datetime]]) -> None:
    where = f"stream {row.stream}/{row.copy} at {row.start.isoformat()}"
    if row.start < last.end - SLACK:
        report.findings.append(
            Finding(code="overlap", where=where, detail=f"{(last.end - row.start).total_seconds():.3f} s")
        )
    elif row.start > last.end + SLACK:
        left = timedelta(0)
        for start, end in uncovered(last.end, row.start, gaps):
            left += end - start
        if left > SLACK:
            report.findings.append(
                Finding(code="hole", where=where, detail=f"{left.total_seconds():.3f} s unaccounted for")
            )


async def _check_files(
    rows: Sequence[Row],
    reached: dict[int, FolderReach | BucketReach | None],
    listed: dict[int, dict[str, Lying]],
    report: Report,
    hash_share: float,
    chosen: random.Random,
) -> None:
    for row in rows:
        found = reached.get(row.place)
        full = chosen.random() < hash_share
        where = f"place {row.place}: {row.file}"
        if found is None:
            continue
        try:
            told = await _look(found, listed.get(row.place, {}), row.file, full)
        except KoinonError:
            continue
        if told is None:
            report.findings.append(Finding(code="file_missing", where=where))
        elif told[0] != row.size:
            report.findings.append(
                Finding(code="size_differs", where=where, detail=f"{told[0]} bytes, not {row.size}")
            )
        elif told[1] is not None and told[1] != row.sha256:
            report.findings.append(Finding(code="hash_differs", where=where))
        report.hashed += full


async def _look(
    found: FolderReach | BucketReach, listed: dict[str, Lying], file: str, full: bool
) -> tuple[int, bytes | None] | None:
    """How long the file is and, with `full`, its hash; None where it is not there.

    Raises:
        Unavailable: `objects_unavailable`.
    """
    if isinstance(found, FolderReach):
        return await asyncio.to_thread(_read, found.folder / file, full)
    if not full and file in listed:
        return listed[file].size, None
    try:  # also what the list does not have: it may have been put there since
        data = await found.objects.get(file)
    except NotFound:
        return None
    return len(data), hashlib.sha256(data).digest()


def _read(path: Path, full: bool) -> tuple[int, bytes | None] | None:
    try:
        if not full:
            return path.stat().st_size, None
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            return file.tell(), digest
    except OSError:
        return None


async def _too_old(
    connection: Connection, windows: Sequence[tuple[CameraId, Window]], now: datetime
) -> list[tuple[str, int]]:
    """Tables that hold something past its legal maximum and not held: every one of video with a stream and a start."""
    found = []
    kept = await reports.read_kept(connection, windows, now)
    over = sum(each.overdue for each in kept.values())
    if over:
        found.append(("recordings.unit, terms.derived, terms.garbage", over))
    for table in await store.list_timed_tables(connection):
        count = await store.count_past(connection, table, windows)
        if count:
            found.append((table, count))
    return found


async def _check_place(
    place: int,
    found: Reach,
    files: Sequence[Lying],
    known: set[str],
    codes: dict[str, tuple[CameraId, tuple[StreamId, ...]]],
    windows: Sequence[tuple[CameraId, Window]],
    now: datetime,
    report: Report,
    repair: bool,
) -> None:
    limits: dict[CameraId, datetime] = {}
    for owner, window in windows:
        limits[owner] = max(limits.get(owner, window.until), window.until)
    for file, size, changed in files:
        report.files += 1
        if file in known:
            continue
        if changed > now - _SETTLES:
            continue  # still growing, or on its way into the index
        camera = codes.get(file.partition("/")[0])
        limit = limits.get(camera[0]) if camera else None
        # By its last write: what is in it is older. A file of no camera is under the shortest term there is.
        old = changed < (limit if limit is not None else now - timedelta(days=30))
        repaired = bool(repair and old and not await found.remove([file]))
        detail = (
            f"{size} bytes"
            + (", unfinished" if file.endswith(PART) else "")
            + (", past its legal maximum" if old else "")
        )
        report.findings.append(
            Finding(code="file_without_row", where=f"place {place}: {file}", detail=detail, repaired=repaired)
        )


def summary(report: Report) -> dict[str, int]:
    """How many findings of each code."""
    counts: dict[str, int] = {}
    for each in report.findings:
        counts[each.code] = counts.get(each.code, 0) + 1
    return counts
