"""The achieved term stands in the ledger once a day, says what is older than it may be, and not what is held."""

from datetime import timedelta

from tests.video.terms.conftest import NOW

from koinon.base.ids import new_id
from koinon.trust.ledger import Sealer, find_entries, read_private
from koinon.video.terms.achieved import tell_achieved
from koinon.video.terms.deletion import mark_due, sweep
from koinon.video.terms.model import LEAD, Regimes


async def tell(site, clock, home, sealer):
    return {each.camera: each for each in await tell_achieved(site.database, sealer, Regimes(), clock)}


async def register(site, kind="terms.achieved"):
    async with site.database.acquire() as connection:
        return await find_entries(connection, kind=kind)


async def test_what_is_kept_and_what_went_is_told_for_each_owner_in_the_register_once(site, clock, tmp_path):
    sealer, owner = Sealer.of(tmp_path), new_id()
    camera, stream = await site.camera(owner=owner)
    empty, _ = await site.camera("empty", owner=owner)
    await site.camera("elsewhere")
    await site.rows("UPDATE cameras.camera SET shared = true WHERE code = 'cam' RETURNING code")
    await site.unit(stream, NOW - timedelta(days=31))
    oldest = NOW - timedelta(days=12)
    await site.unit(stream, oldest)
    await mark_due(site.database, Regimes(), clock)
    await sweep(site.database, tmp_path)
    clock.advance(timedelta(days=1))
    told = await tell(site, clock, tmp_path, sealer)
    assert (told[camera].oldest_at, told[camera].deleted_units, told[camera].within) == (oldest, 1, True)
    assert told[empty].oldest_at is None and told[empty].within
    entries = await register(site)
    assert len(entries) == 2
    (mine,) = [each for each in entries if each.public["party"] == str(owner)]
    cell = next(each for each in mine.public["cameras"] if each["camera"] == "cam")
    assert cell == {
        "camera": "cam", "regime": "standard", "rule": None, "maximum_days": 30, "term_days": 30,
        "oldest": "2026-11-12T09:00Z", "deleted": 1, "early": 0, "within": True,
    }  # fmt: skip
    # Anybody reads the register: that there is a camera which is not shared is no part of it.
    assert {each["camera"] for each in mine.public["cameras"]} == {"cam", None}
    assert mine.public["day"] == "2026-11-24"
    assert await tell(site, clock, tmp_path, sealer) == {} and len(await register(site)) == 2


async def test_what_is_older_than_the_law_allows_is_told_and_is_an_alarm_also_when_only_the_file_is_left(
    site, clock, tmp_path
):
    sealer = Sealer.of(tmp_path)
    late, one = await site.camera("late")
    fine, two = await site.camera("fine")
    await site.unit(one, NOW - timedelta(days=30, seconds=1), code="late")
    await site.unit(two, NOW - timedelta(days=30) + LEAD / 2, code="fine")
    told = await tell(site, clock, tmp_path, sealer)
    assert (told[late].within, told[fine].within) == (False, True)
    assert await site.rows("SELECT kind, subject FROM terms.alarm WHERE until IS NULL") == [
        ("term_exceeded", f"camera {late}")
    ]
    clock.advance(timedelta(days=1))
    await mark_due(site.database, Regimes(), clock)  # and nobody sweeps
    told = await tell(site, clock, tmp_path, sealer)
    assert not told[late].within
    await sweep(site.database, tmp_path)
    clock.advance(timedelta(days=1))
    assert (await tell(site, clock, tmp_path, sealer))[late].within
    assert await site.rows("SELECT count(*) FROM terms.alarm WHERE until IS NULL") == [(0,)]


async def test_that_something_is_held_is_sealed_for_the_owner_and_no_word_of_it_is_public(
    site, clock, tmp_path
):
    sealer, owner = Sealer.of(tmp_path), new_id()
    camera, stream = await site.camera(owner=owner)
    held, free = NOW - timedelta(days=40), NOW - timedelta(days=10)
    await site.unit(stream, held)
    await site.unit(stream, free)
    await site.hold(camera, held, held + timedelta(minutes=1), keeps_days=100)
    told = await tell(site, clock, tmp_path, sealer)
    assert (told[camera].oldest_at, told[camera].oldest_held_at, told[camera].within) == (free, held, True)
    (public,) = await register(site)
    assert "2026-11-14T09:00Z" in str(public.public) and "hold" not in str(public.public).replace(
        "threshold", ""
    )
    (entry,) = await register(site, "terms.held")
    async with site.database.acquire() as connection:
        (private,) = await read_private(connection, sealer, [entry])
    assert private.fields["cameras"] == [
        {"camera": "cam", "holds": 1, "oldest": "2026-10-15T09:00:00.000000Z"}
    ]
    assert entry.public["keeper"] == str(owner) and "cameras" not in entry.public


async def test_a_camera_whose_regime_is_inactive_is_told_with_the_one_that_takes_its_place(
    site, clock, tmp_path
):
    camera, _ = await site.camera(regime="police")
    told = await tell(site, clock, tmp_path, Sealer.of(tmp_path))
    assert (told[camera].regime, told[camera].fallen_back) == ("standard", "police")
    (entry,) = await register(site)
    assert entry.public["cameras"][0]["fallen_back"] == "police"
    assert await site.rows("SELECT kind FROM terms.alarm") == [("regime_inactive",)]
