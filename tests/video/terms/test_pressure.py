"""Disks that fill: told before, never guessed, and never emptied of more than is missing."""

from datetime import timedelta

from tests.video.terms.conftest import NOW

from koinon.trust.ledger import Sealer, find_entries
from koinon.video.terms import pressure
from koinon.video.terms.deletion import sweep
from koinon.video.terms.model import Regimes
from koinon.video.terms.places import FolderReach
from koinon.video.terms.policy import Room
from koinon.video.terms.store import reports


async def alarms(site):
    return {row[0] for row in await site.rows("SELECT kind FROM terms.alarm WHERE until IS NULL")}


async def allow(site):
    async with site.database.acquire() as connection:
        await reports.put_setting(connection, reports.Setting(early_deletion=True, reserve_percent=10), NOW)


def disk(monkeypatch, rooms):
    """The system's answers about free room, one after another; the last one stays."""

    def room(self):
        return rooms.pop(0) if len(rooms) > 1 else rooms[0]

    monkeypatch.setattr(FolderReach, "room", room)


async def test_free_room_that_cannot_be_read_is_an_alarm_and_ends_when_it_can(
    site, clock, tmp_path, monkeypatch
):
    disk(monkeypatch, [Room(None, 0), Room(900, 1000)])
    (row,) = await pressure.look(site.database, tmp_path, clock)
    assert row.state == "unreadable" and row.free_bytes is None
    assert await alarms(site) == {"disk_unreadable"}
    await pressure.look(site.database, tmp_path, clock)
    assert await alarms(site) == set()


async def test_what_the_system_really_says_is_told(site, clock, tmp_path):
    (row,) = await pressure.look(site.database, tmp_path, clock)
    assert row.free_bytes > 0 and row.total_bytes >= row.free_bytes


async def test_a_disk_that_will_be_full_is_announced_with_the_days_left_at_the_present_rate(
    site, clock, tmp_path, monkeypatch
):
    _, stream = await site.camera()
    for minute in range(1, 60):
        await site.unit(stream, NOW - timedelta(minutes=minute), size=10)
    await pressure.measure_rates(site.database, Regimes(), clock)
    disk(monkeypatch, [Room(50_000, 100_000)])  # 45,000 over the reserve; 14,160 a day come in
    (row,) = await pressure.look(site.database, tmp_path, clock)
    assert (row.state, row.days_left, row.in_per_day_bytes) == ("announced", 3, 24 * 590)
    assert await alarms(site) == {"disk_announced"}


async def test_without_the_sites_leave_nothing_goes_early_however_full_the_disk(
    site, clock, tmp_path, monkeypatch
):
    _, stream = await site.camera()
    await site.unit(stream, NOW - timedelta(days=9))
    disk(monkeypatch, [Room(0, 1000)])
    await pressure.look(site.database, tmp_path, clock)
    assert await alarms(site) == {"disk_pressing"}
    assert await pressure.relieve(site.database, Sealer.of(tmp_path), clock) == 0
    assert len(await site.starts(stream)) == 1


async def test_with_it_so_much_of_the_oldest_goes_as_is_missing_never_held_nor_of_the_last_day_and_it_is_told(
    site, clock, tmp_path, monkeypatch
):
    sealer = Sealer.of(tmp_path)
    await allow(site)
    held, one = await site.camera("held")
    _, two = await site.camera("other")
    await site.unit(one, NOW - timedelta(days=20), code="held")
    await site.hold(held, NOW - timedelta(days=21), NOW - timedelta(days=19))
    starts = [NOW - timedelta(days=day) for day in (9, 8, 7, 6)]
    for start in starts:
        await site.unit(two, start, code="other")
    await site.unit(two, NOW - timedelta(hours=23), code="other")
    disk(
        monkeypatch, [Room(850, 10_000), Room(850, 10_000), Room(1050, 10_000)]
    )  # 150 missing: two units of 100
    await pressure.look(site.database, tmp_path, clock)
    assert await pressure.relieve(site.database, sealer, clock) == 2
    assert await site.starts(two) == [*starts[2:], NOW - timedelta(hours=23)]
    # Marked is not unlinked: neither the same look nor a new one deletes more meanwhile.
    assert await pressure.relieve(site.database, sealer, clock) == 0
    await pressure.look(site.database, tmp_path, clock)
    await sweep(site.database, tmp_path)
    assert await pressure.relieve(site.database, sealer, clock) == 0
    await pressure.look(site.database, tmp_path, clock)
    assert await pressure.relieve(site.database, sealer, clock) == 0
    assert len(await site.starts(two)) == 3 and len(await site.starts(one)) == 1
    assert await site.rows("SELECT why, units FROM terms.deleted ORDER BY start_at") == [("pressure", 1)] * 2
    async with site.database.acquire() as connection:
        (entry,) = await find_entries(connection, kind="terms.deleted_early")
    assert entry.public["units"] == 2 and entry.public["missing_bytes"] == 150


async def test_a_full_disk_of_the_last_day_alone_keeps_all_of_it(site, clock, tmp_path, monkeypatch):
    await allow(site)
    _, stream = await site.camera()
    await site.unit(stream, NOW - timedelta(hours=23))
    disk(monkeypatch, [Room(0, 1000)])
    await pressure.look(site.database, tmp_path, clock)
    assert await pressure.relieve(site.database, Sealer.of(tmp_path), clock) == 0
    assert len(await site.starts(stream)) == 1


async def test_a_place_that_nobody_sees_any_more_and_garbage_that_nobody_removes_are_alarms(
    site, clock, tmp_path
):
    await pressure.look(site.database, tmp_path, clock)
    await pressure.watch(site.database, clock)
    assert "place_away" not in await alarms(site)
    await site.rows(
        """INSERT INTO terms.garbage (kind, stream, start_at, place, file, bytes, why, at)
           VALUES ('unit', 1, $2, $1, 'a/b/c.mp4', 1, 'term', $2)""",
        site.place, NOW,
    )  # fmt: skip
    clock.advance(timedelta(hours=1))
    await pressure.watch(site.database, clock)
    assert await alarms(site) >= {"place_away", "garbage_waiting"}
    await sweep(site.database, tmp_path)
    await pressure.look(site.database, tmp_path, clock)
    await pressure.watch(site.database, clock)
    assert not await alarms(site) & {"place_away", "garbage_waiting"}
