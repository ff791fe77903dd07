"""The summary that timelines read says what the units say, whatever is inserted and deleted."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from koinon.base.database import Connection, Database
from koinon.video.cameras.model import StreamId
from koinon.video.playback.store import list_gaps, list_recorded
from koinon.video.recordings.timeline import Known, State, Stretch, draw, unite

T0 = datetime(2026, 11, 24, 9, tzinfo=UTC)
STREAM = StreamId(7)


async def insert(
    connection: Connection, units: list[tuple[datetime, int]], *, stream: int = 7, copy: int = 0
) -> None:
    await connection.executemany(
        """
        INSERT INTO recordings.unit (stream, start_at, copy, wall_us, media_ticks, bytes, frames, lost, damaged, place,
            file, fence, run, number, entry, sha256, key_frames, delta_us)
        VALUES ($1, $2, $3, $4, 1, 1, 1, 0, 0, 1, '', 0, $5, 0, 1, $6, '', 0)
        """,
        [(stream, start, copy, wall_us, UUID(int=0), bytes(32)) for start, wall_us in units],
    )


def minute_units(since: datetime, minutes: int) -> list[tuple[datetime, int]]:
    return [(since + timedelta(minutes=n), 60_000_000) for n in range(minutes)]


async def hours(connection: Connection) -> list[Any]:
    """`(start in minutes from T0, its parts in seconds)` of each hour."""
    rows = await connection.fetch(
        "SELECT hour, array_agg(lower(part) ORDER BY part), array_agg(upper(part) ORDER BY part)"
        " FROM (SELECT stream, hour, copy, unnest(recorded) AS part FROM playback.hour) parts"
        " GROUP BY stream, hour, copy ORDER BY stream, hour, copy"
    )
    return [
        (
            (row[0] - T0) // timedelta(minutes=1),
            [(a / 1000, b / 1000) for a, b in zip(row[1], row[2], strict=True)],
        )
        for row in rows
    ]


async def test_an_hour_is_one_row_and_a_unit_over_its_end_is_in_both(database: Database) -> None:
    async with database.acquire() as connection:
        await insert(connection, minute_units(T0 + timedelta(seconds=30), 60))
        assert await hours(connection) == [(0, [(30, 3600)]), (60, [(0, 30)])]
        await insert(connection, [(T0, 30_000_000)])
        assert await hours(connection) == [(0, [(0, 3600)]), (60, [(0, 30)])]


async def test_what_is_deleted_is_taken_away_and_an_empty_hour_is_no_row(database: Database) -> None:
    async with database.acquire() as connection:
        await insert(connection, [*minute_units(T0, 105), (T0 + timedelta(minutes=105), 1_800_000_000)])
        await connection.execute(
            "DELETE FROM recordings.unit WHERE start_at < $1", T0 + timedelta(minutes=70)
        )
        assert await hours(connection) == [(60, [(600, 3600)]), (120, [(0, 900)])]
        await connection.execute("DELETE FROM recordings.unit")
        assert await hours(connection) == []


async def test_what_is_deleted_where_units_overlap_leaves_what_the_other_has(database: Database) -> None:
    async with database.acquire() as connection:
        await insert(connection, [(T0, 1_800_000_000), (T0 + timedelta(minutes=20), 1_200_000_000)])
        await connection.execute("DELETE FROM recordings.unit WHERE start_at = $1", T0)
        assert await hours(connection) == [(0, [(1200, 2400)])]


async def test_a_statement_that_is_rolled_back_counts_nothing(database: Database) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        async with database.transaction() as connection:
            await insert(connection, minute_units(T0, 3))
            await insert(connection, minute_units(T0, 1))
    async with database.acquire() as connection:
        assert await hours(connection) == []


async def test_the_times_of_a_unit_never_change_but_its_place_may(database: Database) -> None:
    async with database.acquire() as connection:
        await insert(connection, minute_units(T0, 1))
        await connection.execute("UPDATE recordings.unit SET place = 2, file = 'elsewhere'")
        with pytest.raises(asyncpg.RestrictViolationError):
            await connection.execute("UPDATE recordings.unit SET wall_us = 1")


async def test_both_copies_together_tell_what_there_is(database: Database) -> None:
    async with database.acquire() as connection:
        await insert(connection, minute_units(T0, 20))
        await insert(connection, minute_units(T0 + timedelta(minutes=18, seconds=30), 30), copy=1)
        found = await list_recorded(connection, [STREAM], T0, T0 + timedelta(hours=2))
        assert unite(found[STREAM]) == [Stretch(T0, T0 + timedelta(minutes=48, seconds=30))]


async def test_an_hour_in_which_units_overlap_still_shows_its_gap(database: Database) -> None:
    # The wall clock was set back by ten minutes, and the camera was away for ten later: the sum is an hour and more.
    async with database.acquire() as connection:
        await insert(connection, [(T0, 1_800_000_000), (T0 + timedelta(minutes=20), 1_200_000_000)])
        await insert(connection, [(T0 + timedelta(minutes=45), 1_200_000_000)])
        found = await list_recorded(connection, [STREAM], T0, T0 + timedelta(hours=1))
    spans = draw(T0, T0 + timedelta(hours=1), Known(recorded=found[STREAM]))
    assert [(span.state, span.start - T0) for span in spans] == [
        (State.RECORDED, timedelta()),
        (State.UNKNOWN, timedelta(minutes=40)),
        (State.RECORDED, timedelta(minutes=45)),
    ]


@pytest.mark.parametrize("seed", range(6))
async def test_the_summary_gives_the_timeline_that_reading_every_unit_gives(
    database: Database, seed: int
) -> None:
    chance = random.Random(seed)
    async with database.acquire() as connection:
        for copy in (0, 1):
            units, at = [], T0 - timedelta(hours=3)
            while at < T0 + timedelta(hours=9):
                wall = chance.choice([60_000_000, 60_000_001, 59_999_999, 7_000_000, 1_800_000_000])
                units.append((at, wall))
                at += timedelta(microseconds=wall)
                if chance.random() < 0.03:
                    at += timedelta(seconds=chance.choice([0.0002, 3, 600, 5000]))
            await insert(connection, units, copy=copy)
        await connection.execute(
            "DELETE FROM recordings.unit WHERE start_at BETWEEN $1 AND $2 AND copy = ANY($3::int[])",
            T0 + timedelta(minutes=100), T0 + timedelta(minutes=190), chance.choice([[0], [1], [0, 1]]),
        )  # fmt: skip
        rows = await connection.fetch("SELECT start_at, wall_us FROM recordings.unit")
        every = [Stretch(row[0], row[0] + timedelta(microseconds=row[1])) for row in rows]
        since, until = T0 + timedelta(minutes=7), T0 + timedelta(hours=8, minutes=1)
        found = await list_recorded(connection, [STREAM], since, until)
    read, all_ = (draw(since, until, Known(recorded=each)) for each in (found[STREAM], every))
    # Slivers under a millisecond apart, the spans are the same.
    assert [span.state for span in read] == [span.state for span in all_]
    for one, other in zip(read, all_, strict=True):
        assert abs(one.start - other.start) <= timedelta(milliseconds=1)


async def test_the_gaps_of_the_first_copy_come_first(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.executemany(
            "INSERT INTO recordings.gap (stream, copy, start_at, end_at, reason) VALUES (7, $1, $2, $3, $4)",
            [
                (1, T0, T0 + timedelta(minutes=9), "stopped"),
                (0, T0 + timedelta(minutes=1), T0 + timedelta(minutes=2), "silent"),
                (0, T0 - timedelta(minutes=2), T0 - timedelta(minutes=1), "crashed"),
            ],
        )
        found = await list_gaps(connection, [STREAM], T0, T0 + timedelta(hours=1))
    assert [gap.reason for gap in found[STREAM]] == ["silent", "stopped"]


async def test_a_recorder_keeps_the_summary_though_it_may_not_write_it(open_database: Any) -> None:
    recorder: Database = await open_database("recorder")
    async with recorder.acquire() as connection:
        await insert(connection, minute_units(T0, 1))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM playback.hour")
    web: Database = await open_database("web")
    async with web.acquire() as connection:
        assert len(await hours(connection)) == 1
