"""Holds: on a ground that the rule bank gives to a profile, with an end, in the ledger; and the owners' own terms."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.video.terms.conftest import Site

from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.trust.ledger import find_entries, read_private
from koinon.trust.parties import Author
from koinon.trust.standing import StandingLoader
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.terms import holds
from koinon.video.terms.deletion import mark_due, regimes_of
from koinon.video.terms.model import NewHold
from koinon.video.terms.store import due

WEST, SOUTH = "zone-west", "zone-south"


class Zone:
    """The demo region's police zones, with cameras of this test beside its own."""

    def __init__(self, world, site, standing):
        self.world, self.site, self.standing = world, site, standing
        self.now = datetime.now(UTC)
        self.west, self.south = (world.region.parties[code] for code in (WEST, SOUTH))

    def author(self, login="sofie", profile="control_room_supervisor", party=WEST):
        return Author(
            person=self.world.region.persons[login], party=self.world.region.parties[party], profile=profile
        )

    def asked(self, *cameras, **changes):
        fields = {
            "cameras": cameras, "since": self.now - timedelta(days=2), "until": self.now - timedelta(days=1),
            "basis": "incident", "reason": "A window was broken", "case": "PV-1",
            "ends_at": self.now + timedelta(days=20),
        }  # fmt: skip
        return NewHold(**(fields | changes))

    async def place(self, asked, author=None):
        async with self.world.database.transaction() as connection:
            return await holds.place_hold(
                connection, self.world.sealer, self.standing, author or self.author(), asked, self.now
            )

    async def end(self, hold, author=None, at=None):
        async with self.world.database.transaction() as connection:
            return await holds.end_hold(
                connection, self.world.sealer, self.standing, author or self.author(), hold, at or self.now
            )

    async def entries(self, kind):
        async with self.world.database.acquire() as connection:
            found = await find_entries(connection, kind=kind)
            return found, await read_private(connection, self.world.sealer, found)


@pytest.fixture
async def zone(world, tmp_path):
    site = await Site(world.database, tmp_path / "recordings").open()
    async with world.database.acquire() as connection:
        standing = await StandingLoader()(connection)
    return Zone(world, site, standing)


async def test_a_hold_is_placed_by_who_may_is_told_in_the_ledger_and_keeps_until_it_ends(zone):
    camera, stream = await zone.site.camera("test-one", owner=zone.west)
    start = zone.now - timedelta(days=2) + timedelta(hours=1)
    await zone.site.unit(stream, start)
    async with zone.world.database.transaction() as connection:
        manager = zone.author("cato", "camera_manager")
        await holds.set_own_term(connection, zone.world.sealer, zone.standing, manager, camera, 1, zone.now)
    (hold,) = await zone.place(zone.asked(camera))
    await mark_due(zone.world.database, regimes_of(zone.standing), zone.world.clock)
    assert await zone.site.starts(stream) == [start]
    (entry,), (private,) = await zone.entries("terms.hold_placed")
    assert entry.public["party"] == entry.public["keeper"] == str(zone.west)
    assert entry.public["rule"] == "hold.incident/1" and "reason" not in entry.public
    assert private.fields["cameras"] == ["test-one"] and private.fields["reason"] == "A window was broken"
    assert private.fields["ends_at"] and private.fields["case"] == "PV-1"
    await zone.end(hold.id)
    assert (await zone.entries("terms.hold_ended"))[0][0].public["party"] == str(zone.west)
    await mark_due(zone.world.database, regimes_of(zone.standing), zone.world.clock)
    assert await zone.site.starts(stream) == []
    with pytest.raises(Conflict) as refused:
        await zone.end(hold.id)
    assert refused.value.code == "hold_over"


@pytest.mark.parametrize(
    ("login", "profile", "basis"),
    [
        ("cato", "camera_manager", "judicial_request"),
        ("iris", "investigator", "incident"),
        ("sofie", "control_room_operator", "incident"),
        ("sofie", "control_room_supervisor", "no_such_ground"),
    ],
)
async def test_who_has_no_ground_places_no_hold(zone, login, profile, basis):
    camera, _ = await zone.site.camera("test-one", owner=zone.west)
    with pytest.raises(NotAllowed) as refused:
        await zone.place(zone.asked(camera, basis=basis), zone.author(login, profile))
    assert refused.value.code == "hold_not_allowed"
    assert await zone.site.rows("SELECT count(*) FROM terms.hold") == [(0,)]


async def test_a_camera_of_another_is_held_only_where_it_is_shared_and_is_else_unknown(zone):
    camera, _ = await zone.site.camera("test-south", owner=zone.south)
    for unknown in (camera, new_id()):
        with pytest.raises(NotFound) as refused:
            await zone.place(zone.asked(unknown))
        assert refused.value.code == "camera_unknown"
    await zone.site.rows("UPDATE cameras.camera SET shared = true WHERE id = $1", camera)
    (hold,) = await zone.place(zone.asked(camera))
    (entry,), _ = await zone.entries("terms.hold_placed")
    assert (entry.public["party"], entry.public["keeper"]) == (str(zone.west), str(zone.south))
    async with zone.world.database.acquire() as connection:
        seen = await holds.list_holds(connection, zone.south, zone.now)
        elsewhere = await holds.list_holds(connection, zone.world.region.parties["zone-centre"], zone.now)
    assert [each.hold.id for each in seen] == [hold.id] and elsewhere == []
    with pytest.raises(NotFound) as refused:  # the owner sees it, and does not end another party's
        await zone.end(hold.id, zone.author("rik", "control_room_supervisor", SOUTH))
    assert refused.value.code == "hold_unknown"


async def test_a_hold_is_never_made_longer_but_renewed_by_a_new_decision(zone):
    camera, _ = await zone.site.camera("test-one", owner=zone.west)
    (hold,) = await zone.place(zone.asked(camera))
    (renewed,) = await zone.place(zone.asked(camera, renews=hold.id, ends_at=zone.now + timedelta(days=40)))
    assert renewed.renews == hold.id and renewed.decision != hold.decision
    with pytest.raises(NotFound) as refused:
        await zone.place(zone.asked(camera, renews=new_id()))
    assert refused.value.code == "hold_unknown"
    with pytest.raises(Invalid) as invalid:
        await zone.place(zone.asked(camera, ends_at=zone.now + timedelta(days=400)))
    assert invalid.value.code == "hold_end"


async def test_a_judicial_request_keeps_past_the_maximum_up_to_the_age_that_its_rule_says(zone):
    camera, _ = await zone.site.camera("test-one", owner=zone.west)
    (hold,) = await zone.place(
        zone.asked(camera, basis="judicial_request"), zone.author("iris", "investigator")
    )
    assert hold.keeps_days == 1825
    (incident,) = await zone.place(zone.asked(camera))
    assert incident.keeps_days is None


async def test_nobody_deletes_while_a_hold_is_being_placed(zone):
    _, stream = await zone.site.camera("test-one", owner=zone.west)
    await zone.site.unit(stream, zone.now - timedelta(days=40))
    async with zone.world.database.transaction() as connection:
        await due.take_turn(connection)  # as `place_hold` does
        deleting = mark_due(zone.world.database, regimes_of(zone.standing), zone.world.clock)
        task = asyncio.create_task(deleting)
        await asyncio.sleep(0.2)
        assert not task.done() and len(await zone.site.starts(stream)) == 1
    await task
    assert await zone.site.starts(stream) == []


async def test_an_owners_own_term_is_within_the_law_and_set_by_its_camera_manager_only(zone):
    camera, _ = await zone.site.camera("test-one", owner=zone.west)

    async def set_(days, author):
        async with zone.world.database.transaction() as connection:
            await holds.set_own_term(
                connection, zone.world.sealer, zone.standing, author, camera, days, zone.now
            )

    manager = zone.author("cato", "camera_manager")
    await set_(7, manager)
    async with zone.world.database.acquire() as connection:
        kept = {each.camera: each for each in await due.list_kept(connection)}
    assert kept[camera].own_days == 7
    for days in (0, 31):
        with pytest.raises(Invalid) as invalid:
            await set_(days, manager)
        assert invalid.value.code == "own_term"
    with pytest.raises(NotAllowed) as refused:
        await set_(7, zone.author())
    assert refused.value.code == "camera_managers_only"
    with pytest.raises(NotFound) as unknown:
        await set_(7, zone.author("rik", "camera_manager", SOUTH))
    assert unknown.value.code == "camera_unknown"


async def test_who_was_suspended_neither_holds_images_nor_lets_them_be_deleted(zone):
    camera, _ = await zone.site.camera("test-one", owner=zone.west)
    (hold,) = await zone.place(zone.asked(camera))
    sofie = str(zone.world.region.persons["sofie"])
    await zone.world.act("chair", Deed.SUSPEND, TargetKind.PERSON, sofie)
    async with zone.world.database.acquire() as connection:
        zone.standing = await StandingLoader()(connection)
    for call in (zone.place(zone.asked(camera)), zone.end(hold.id)):
        with pytest.raises(NotAllowed) as refused:
            await call
        assert refused.value.code == "person_suspended"
