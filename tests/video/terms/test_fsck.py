"""The verifier finds each thing that does not agree, and nothing where all does."""

import os
from datetime import timedelta

import pytest
from tests.video.terms.conftest import NOW

from koinon.video.recordings.timeline import uncovered
from koinon.video.terms.deletion import mark_due, sweep
from koinon.video.terms.fsck import check, summary
from koinon.video.terms.model import Regimes

DAY = timedelta(days=1)


@pytest.fixture
async def recorded(site):
    """Three units in a row, a gap, one more; all well."""
    camera, stream = await site.camera()
    start = NOW - 3 * DAY
    paths = [await site.unit(stream, start + timedelta(minutes=each)) for each in (0, 1, 2)]
    await site.gap(stream, start + timedelta(minutes=3), start + timedelta(minutes=5))
    paths.append(await site.unit(stream, start + timedelta(minutes=5)))
    return camera, stream, start, paths


async def look(site, clock, home, **options):
    return await check(site.database, home, Regimes(), clock, **{"hash_share": 1.0, **options})


async def test_where_all_agrees_nothing_is_found_and_it_is_said_how_far_it_is(
    site, clock, tmp_path, recorded
):
    told = []
    report = await look(site, clock, tmp_path, progress=lambda *each: told.append(each))
    assert report.findings == [] and report.ok
    assert (report.units, report.hashed, report.files, report.bytes) == (4, 4, 4, 400)
    assert ("streams", 1, 1) in told and ("places", 1, 1) in told


async def found(site, clock, home, **options):
    return summary(await look(site, clock, home, **options))


async def test_a_file_that_is_missing_longer_or_altered(site, clock, tmp_path, recorded):
    _, _, _, paths = recorded
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes() + b"x")
    changed = bytearray(paths[2].read_bytes())
    changed[50] ^= 1
    paths[2].write_bytes(changed)
    assert await found(site, clock, tmp_path) == {"file_missing": 1, "size_differs": 1, "hash_differs": 1}
    assert await found(site, clock, tmp_path, hash_share=0.0) == {"file_missing": 1, "size_differs": 1}


async def test_units_that_overlap_and_time_that_nobody_accounts_for(site, clock, tmp_path, recorded):
    _, stream, start, _ = recorded
    await site.unit(stream, start + timedelta(minutes=5, seconds=30))
    await site.unit(stream, start + timedelta(minutes=9))
    report = await look(site, clock, tmp_path)
    assert summary(report) == {"overlap": 1, "hole": 1}
    assert [each.detail for each in report.findings] == ["30.000 s", "150.000 s unaccounted for"]
    assert not report.ok


async def test_a_double_recording_is_no_overlap_and_what_was_deleted_is_no_hole(
    site, clock, tmp_path, recorded
):
    camera, stream, start, _ = recorded
    await site.unit(stream, start, copy=1)
    await site.unit(stream, NOW - 40 * DAY)
    await site.unit(stream, NOW - 35 * DAY)
    await site.unit(stream, NOW - 35 * DAY + timedelta(minutes=1))
    await site.hold(camera, NOW - 35 * DAY, NOW - 34 * DAY, keeps_days=50)
    await site.gap(stream, NOW - 40 * DAY + timedelta(minutes=1), NOW - 35 * DAY)
    await site.gap(stream, NOW - 35 * DAY + timedelta(minutes=2), start)
    assert await found(site, clock, tmp_path) == {"too_old": 2}  # the unit and the gap that are due
    await mark_due(site.database, Regimes(), clock)
    await sweep(site.database, tmp_path)
    assert await found(site, clock, tmp_path) == {}


async def test_what_is_past_the_legal_maximum_is_found_in_any_table(
    site, clock, tmp_path, recorded, database
):
    _, stream, _, _ = recorded
    await site.unit(stream, NOW - 30 * DAY - timedelta(seconds=1))
    await site.gap(stream, NOW - 30 * DAY + timedelta(seconds=59), NOW - 3 * DAY)
    assert await found(site, clock, tmp_path) == {"too_old": 1}
    await mark_due(site.database, Regimes(), clock)
    report = await look(site, clock, tmp_path)  # the row went; its file is still there
    assert summary(report) == {"too_old": 1} and "garbage" in report.findings[0].where
    await sweep(site.database, tmp_path)
    assert await found(site, clock, tmp_path) == {}
    await site.rows("CREATE TABLE masks.forgotten (stream integer, start_at timestamptz)")
    await site.rows("INSERT INTO masks.forgotten VALUES ($1, $2)", stream, NOW - 31 * DAY)
    report = await look(site, clock, tmp_path)
    assert [(each.code, each.where) for each in report.findings] == [("too_old", "masks.forgotten")]


async def test_a_file_without_a_row_is_found_and_only_one_past_its_maximum_is_removed_when_told(
    site, clock, tmp_path, recorded
):
    folder = site.folder / "cam" / "20261001"
    folder.mkdir()
    young, old, fresh = folder / "young.mp4", folder / "old.mp4", folder / "fresh.mp4.part"
    for path, age in ((young, 5 * DAY), (old, 31 * DAY), (fresh, timedelta(0))):
        path.write_bytes(b"x")
        moment = (NOW - age).timestamp()
        os.utime(path, (moment, moment))
    report = await look(site, clock, tmp_path)
    assert summary(report) == {"file_without_row": 2} and not report.ok and old.exists()
    report = await look(site, clock, tmp_path, repair=True)
    assert {each.where.rpartition("/")[2]: each.repaired for each in report.findings} == {
        "old.mp4": True, "young.mp4": False,
    }  # fmt: skip
    assert not old.exists() and young.exists() and fresh.exists()


async def test_a_derived_file_that_is_missing_and_a_place_that_is_away(site, clock, tmp_path, recorded):
    _, stream, start, _ = recorded
    await site.rows(
        """INSERT INTO terms.derived VALUES ('00000000-0000-0000-0000-000000000001', $1, $2, $2, 'thumbnail', $3,
           't/a.jpg', 1, now())""",
        stream, start, site.place,
    )  # fmt: skip
    assert await found(site, clock, tmp_path) == {"derived_missing": 1}
    (site.folder / "koinon-recordings.json").rename(site.folder / "elsewhere.json")
    assert await found(site, clock, tmp_path) == {"place_away": 1}


def test_what_no_span_covers():
    def at(*minutes):
        return [NOW + timedelta(minutes=each) for each in minutes]

    spans = [tuple(at(2, 3)), tuple(at(5, 20)), tuple(at(0, 1))]
    since, until = at(0, 10)
    assert list(uncovered(since, until, spans)) == [tuple(at(1, 2)), tuple(at(3, 5))]
    assert list(uncovered(since, at(1)[0], [])) == [tuple(at(0, 1))]
