"""The timeline of a day, out of fifteen million units; and how many units a second the index takes meanwhile.

Units of about a minute, 30 days of each stream, in the order in which a region writes them (a stream's rows lie on as
many pages as it has rows), some doubly recorded, with gaps; filled by COPY, with every index and trigger in place.
Asked is what the page asks: one day of one camera, and one month of four, over the connection of a web process.

`reading_every_unit` (peer) is the same answer from the units themselves, over their own key. `inserts_per_s` goes
through `recordings.insert_units`: leases are checked, batches of 10, four connections, each commit durable.

`--sizes 1,5,15` are millions of units; three sizes show the curve. The rows name the largest.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from benchmarks.frame import RUNS, result, row, show

from koinon.app.schemas import SCHEMAS
from koinon.base.database import Connection, Database, embedded, migrate
from koinon.video.cameras.model import StreamId
from koinon.video.playback.store import list_gaps, list_recorded
from koinon.video.recorder.model import KeyFrame, Unit
from koinon.video.recordings.model import EntryId, NewUnit, PlaceId, Track, pack_key_frames
from koinon.video.recordings.store import insert_units
from koinon.video.recordings.timeline import Known, Stretch, draw

DAYS = 30
MINUTES = DAYS * 1440
BEGIN = datetime(2026, 10, 25, tzinfo=UTC)
END = BEGIN + timedelta(days=DAYS)
# One in so many units is followed by a gap; the camera is away for this many units.
GAP_EVERY, GAP_UNITS = 400, 3
DOUBLE_EVERY = 10
INSERT_SECONDS = 10.0
BATCH, WRITERS = 10, 4


class Found(msgspec.Struct):
    """What was measured at one size."""

    units: int
    day_ms: list[float]
    month_ms: list[float]
    every_ms: list[float]
    inserts: list[float]


def run(sizes: tuple[float, ...] = (1, 5, 15), quick: bool = False) -> dict[str, Any]:
    """The rows `day_p95_ms`, `month_p95_ms`, `inserts_per_s`, and the smaller sizes for the curve."""
    if quick:
        sizes = (0.2,)
    with tempfile.TemporaryDirectory(prefix="koinon-bench-") as name:
        home = Path(name)
        home.chmod(0o755)
        url = embedded.ensure_running(home, scratch=True)
        try:
            found = asyncio.run(_measure(url, sizes, quick))
        finally:
            embedded.stop(home)
    last = found[-1]
    size = f"{last.units:,} units"
    return result(
        "timeline",
        [
            row("day_p95_ms", f"one camera's day, {size}, 300 random days a run", "ms", last.day_ms, "<= 50",
                {"reading_every_unit": sorted(last.every_ms)[len(last.every_ms) // 2]}),
            row("month_p95_ms", f"30 days of four cameras, {size}", "ms", last.month_ms),
            row("inserts_per_s", f"units in the index a second, durable, {WRITERS} connections, batches of {BATCH}, "
                f"summary kept, {size}", "1/s", last.inserts, ">= 580"),
            *(row(f"day_p95_ms_at_{round(each.units / 1_000_000)}m", f"the same with {each.units:,} units",
                  "ms", each.day_ms) for each in found[:-1]),
        ],
    )  # fmt: skip


async def _measure(url: str, sizes: tuple[float, ...], quick: bool) -> list[Found]:
    await migrate(url, SCHEMAS)
    found = []
    begun = 0
    async with await Database.open(url, kind="owner", max_size=WRITERS) as database:
        connection = await database.connect()
        try:
            await connection.execute("SET statement_timeout = 0")
            for size in sizes:
                streams = max(4, round(size * 1_000_000 / MINUTES / (1 + 1 / DOUBLE_EVERY)))
                await _fill(connection, begun, streams)
                begun = streams
                # As autovacuum leaves it: rows that nobody changes any more are known to be visible to all.
                await connection.execute("VACUUM (ANALYZE) recordings.unit")
                await connection.execute("VACUUM (ANALYZE) playback.hour")
                await connection.execute("VACUUM (ANALYZE) recordings.gap")
                units = await connection.fetchval("SELECT count(*) FROM recordings.unit")
                each = Found(units=units, day_ms=[], month_ms=[], every_ms=[], inserts=[])
                found.append(each)
                async with await Database.open(url, kind="web", max_size=1) as reader:
                    for repeat in range(2 if quick else RUNS):
                        chance = random.Random(repeat)
                        each.day_ms.append(await _ask(reader, chance, streams, 300, 1, timedelta(days=1)))
                        each.month_ms.append(await _ask(reader, chance, streams, 20, 4, timedelta(days=30)))
                    each.every_ms.append(await _ask(reader, random.Random(9), streams, 100, 1, None))
        finally:
            await connection.close()
        each.inserts = [
            await _insert(database, streams, n, 2.0 if quick else INSERT_SECONDS)
            for n in range(2 if quick else RUNS)
        ]
    return found


async def _ask(
    reader: Database, chance: random.Random, streams: int, count: int, cameras: int, length: timedelta | None
) -> float:
    """The 95th percentile, in milliseconds, of drawing `length` of so many cameras; None: a day from every unit."""
    took = []
    async with reader.acquire() as connection:
        for _ in range(count):
            asked = [StreamId(stream) for stream in chance.sample(range(streams), cameras)]
            span = length or timedelta(days=1)
            since = BEGIN + timedelta(
                minutes=chance.randrange(int((END - BEGIN - span) / timedelta(minutes=1)) + 1)
            )
            began = time.perf_counter()
            if length is None:
                recorded = {asked[0]: await _list_every(connection, asked[0], since, since + span)}
            else:
                recorded = await list_recorded(connection, asked, since, since + span)
            gaps = await list_gaps(connection, asked, since, since + span)
            for stream in asked:
                spans = draw(since, since + span, Known(recorded=recorded[stream], gaps=gaps[stream]))
                assert spans[-1].end == since + span
            took.append((time.perf_counter() - began) * 1000)
    return sorted(took)[int(len(took) * 0.95)]


async def _list_every(
    connection: Connection, stream: StreamId, since: datetime, until: datetime
) -> list[Stretch]:
    rows = await connection.fetch(
        "SELECT start_at, wall_us FROM recordings.unit WHERE stream = $1 AND start_at > $2 AND start_at < $3"
        " ORDER BY start_at",
        stream, since - timedelta(hours=2), until,
    )  # fmt: skip
    return [Stretch(start, start + timedelta(microseconds=wall)) for start, wall in rows]


async def _fill(connection: Connection, begun: int, streams: int) -> None:
    """Streams `begun` up to `streams` have 30 days of units and gaps."""
    chance = random.Random(begun)
    keys = pack_key_frames(KeyFrame(n * 180_000, 900 + n * 500_000 + n % 7 * 3000) for n in range(30)).hex()
    names = {n: f"camera-{n:04}" for n in range(begun, streams)}
    shift = {n: timedelta(seconds=n * 37 % 60) for n in names}
    away = dict.fromkeys(names, 0)
    gaps: list[tuple[int, int, datetime, datetime, str]] = []
    for day in range(DAYS):

        def lines(day: int = day) -> Iterator[bytes]:
            for minute in range(day * 1440, (day + 1) * 1440):
                at = BEGIN + timedelta(minutes=minute)
                piece = []
                for n in names:
                    if away[n]:
                        away[n] -= 1
                        continue
                    start = at + shift[n]
                    file = f"{names[n]}/{start:%Y%m%d}/{start:%Y%m%dT%H%M%S}000Z-3-{n:08x}-{minute}.mp4"
                    tail = (
                        f"60000000\t5400000\t15000000\t1500\t0\t0\t1\t{file}\t3\t00000000-0000-7000-8000-{n:012x}"
                        f"\t{minute}\t1\t\\\\x{minute * n % 9973:064x}\t\\\\x{keys}\t{minute % 900}\t\\N\t\\N\n"
                    )
                    piece.append(f"{n}\t{start.isoformat()}\t0\t{tail}")
                    if n % DOUBLE_EVERY == 0:
                        piece.append(f"{n}\t{start.isoformat()}\t1\t{tail}")
                    if chance.randrange(GAP_EVERY) == 0:
                        away[n] = GAP_UNITS
                        end = start + timedelta(minutes=1)
                        gaps.append((n, 0, end, end + timedelta(minutes=GAP_UNITS), "silent"))
                yield "".join(piece).encode()

        await connection.copy_to_table(
            "unit", schema_name="recordings", source=_each(lines()), format="text",
            columns=["stream", "start_at", "copy", "wall_us", "media_ticks", "bytes", "frames", "lost", "damaged",
                     "place", "file", "fence", "run", "number", "entry", "sha256", "key_frames", "delta_us",
                     "camera_us", "end_reason"],
        )  # fmt: skip
    await connection.copy_records_to_table(
        "gap",
        schema_name="recordings",
        records=gaps,
        columns=["stream", "copy", "start_at", "end_at", "reason"],
    )


async def _each(lines: Iterator[bytes]) -> Any:
    for line in lines:
        yield line


async def _insert(database: Database, streams: int, repeat: int, seconds: float) -> float:
    """Units a second that go into the index, each once."""
    tracks = [Track(StreamId(n), 0) for n in range(streams)]
    async with database.acquire() as connection:
        await connection.executemany(
            "INSERT INTO base.lease (name, holder, fence, expires_at) VALUES ($1, $2, 1, now() + interval '1 day')"
            " ON CONFLICT DO NOTHING",
            [(track.lease, "bench") for track in tracks],
        )
    fences = dict.fromkeys(tracks, 1)
    start = END + timedelta(days=repeat * 10)

    async def write(writer: int) -> int:
        done = 0
        while time.perf_counter() < until:
            at = start + timedelta(minutes=done // BATCH)
            # Each recorder has streams of its own.
            own = range(writer, len(tracks), WRITERS)
            batch = [
                _unit(tracks[own[n % len(own)]], at + timedelta(seconds=n // len(own)), n)
                for n in range(BATCH)
            ]
            async with database.transaction() as connection:
                outcomes = await insert_units(connection, batch, fences)
            done += outcomes.count("indexed")
        return done

    began = time.perf_counter()
    until = began + seconds
    done = sum(await asyncio.gather(*(write(writer) for writer in range(WRITERS))))
    return done / (time.perf_counter() - began)


def _unit(track: Track, start: datetime, number: int) -> NewUnit:
    unit = Unit(
        path=Path("x"), camera="camera", run=UUID(int=2), number=number, fence=1, start=start, wall_us=60_000_000,
        media_ticks=5_400_000, delta_us=0, camera_us=None, frames=1500,
        key_frames=tuple(KeyFrame(n * 180_000, 900 + n * 500_000) for n in range(30)), lost_packets=0,
        damaged_frames=0, bad_nals=0, codec="avc1.64001f", width=1280, height=720, bytes=15_000_000,
        sha256="00" * 32, end_reason=None,
    )  # fmt: skip
    return NewUnit(
        track=track, unit=unit, place=PlaceId(1), file=f"{start.isoformat()}-{number}", entry=EntryId(1)
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1,5,15", help="millions of units, rising")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    show(run(tuple(float(size) for size in chosen.sizes.split(","))))
