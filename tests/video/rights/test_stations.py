"""What a convention gives only at a registered work station, and what a page asks for each purpose."""

import asyncio
import types
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.video.cameras.test_stations import Browser
from tests.video.rights.test_rights import recording, refusal

from koinon.base.crypto import b64url
from koinon.base.text import Text
from koinon.demo.region import Seeder
from koinon.demo.region.video import (
    CRISIS,
    INVESTIGATION,
    PUBLIC_ORDER,
    RULES,
    TRAFFIC,
    VIDEO,
    ZONE_WEST,
    ZONES,
)
from koinon.trust.agreements import Convention, ConventionParty, Limits, MatrixRow, rules_digest
from koinon.trust.gate import Cut
from koinon.trust.parties import Author
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.cameras import Station, station_store, stations
from koinon.video.rights import Action, actor_of
from koinon.video.rights.offers import choices_of

INVESTIGATOR = ("iris", "investigator")


async def agree_on_stations(world: Any) -> None:
    """The zones have signed another convention: an investigator looks back for public order at a work
    station, and only there.
    """
    from koinon.demo.region import load_key

    seeder = Seeder(world.settings, world.database, world.sealer, world.clock.now())
    seeder.parties = {code: types.SimpleNamespace(id=id_) for code, id_ in world.region.parties.items()}  # type: ignore[misc]
    members = ("integrator", *ZONES)
    convention = Convention(
        id="video-stations",  # type: ignore[arg-type]
        version=1,
        title=Text("Proef", "Essai", "Trial"),
        parties=tuple(
            ConventionParty(world.region.parties[code], load_key(world.home, f"{code}-convention").key_id)
            for code in members
        ),
        matrix=(
            MatrixRow(
                "investigator",
                "view_recording",
                "cameras/south",
                Limits(purposes=(PUBLIC_ORDER,), work_station=True),
            ),
        ),
        valid_from=seeder.today,
        rules_digest=rules_digest(RULES),
        notice_days=90,
        demo=True,
    )
    async with world.database.transaction() as connection:
        await seeder.agree(connection, convention, RULES, members)


def manager_of(world: Any) -> Author:
    """The manager of zone West."""
    return Author(
        person=world.region.persons["pia"], party=world.region.parties[ZONE_WEST], profile="party_manager"
    )


async def sit_down(world: Any, session: Any) -> Station:
    """The session is at a registered work station of its party."""
    at = datetime.now(UTC)
    manager = manager_of(world)
    browser, platform = Browser(), "http://localhost"
    async with world.database.transaction() as connection:
        centre = await stations.register_centre(
            connection, world.sealer, session.party, "Room 1", by=manager, at=at
        )
        challenge = await stations.make_challenge(connection, session.token_hash, None, at)
        station = await stations.register_station(
            connection, world.sealer, centre.id, "Desk 1", browser.public, challenge,
            browser.sign("register", b64url(browser.public), challenge),
            platform=platform, session=session.token_hash, by=manager, at=at,
        )  # fmt: skip
        await stations.be_present(connection, station, session.token_hash, at)
    return station


@pytest.fixture
async def at_stations(world: Any, film: Any, make_rights: Any) -> Any:
    await agree_on_stations(world)
    return await make_rights()


async def test_what_is_given_only_at_a_work_station_is_given_there_and_nowhere_else(
    world: Any, film: Any, at_stations: Any
) -> None:
    rights, session = at_stations, film.session(*INVESTIGATOR)
    request = recording(film.camera["south-1"], purpose=PUBLIC_ORDER)
    assert await rights.find_station(session) is None
    assert await refusal(rights, session, request) == "work_station_only"
    other = film.session(*INVESTIGATOR)
    station = await sit_down(world, other)
    assert await rights.find_station(session) is None, "another session sits there"
    assert await rights.find_station(other) == station.id
    view = await rights.open(other, request, station=station.id)
    assert view.use.passage.ask.images.at_work_station
    await view.go_on()
    await view.end()


async def test_a_view_that_hangs_on_a_work_station_ends_when_its_viewer_leaves_it(
    world: Any, film: Any, at_stations: Any
) -> None:
    rights, session = at_stations, film.session(*INVESTIGATOR)
    station = await sit_down(world, session)
    view = await rights.open(
        session, recording(film.camera["south-1"], purpose=PUBLIC_ORDER), station=station.id
    )
    free = await rights.open(
        session, recording(film.camera["south-1"], purpose=INVESTIGATION), station=station.id
    )
    await rights._watch.judge_stations()
    await view.go_on()
    async with world.database.transaction() as connection:
        await station_store.put_presence(connection, session.token_hash, station.id, datetime.now(UTC))
    await rights._watch.judge_stations()
    with pytest.raises(Cut) as caught:
        await view.go_on()
    assert caught.value.code == "work_station_only"
    await free.go_on()  # it is given anywhere
    await view.end()
    await free.end()


async def test_a_station_that_is_revoked_cuts_what_hangs_on_it(
    world: Any, film: Any, at_stations: Any
) -> None:
    rights, session = at_stations, film.session(*INVESTIGATOR)
    station = await sit_down(world, session)
    view = await rights.open(
        session, recording(film.camera["south-1"], purpose=PUBLIC_ORDER), station=station.id
    )
    cut = []
    view.on_cut(lambda: cut.append(view.use.cut.code))
    async with world.database.transaction() as connection:
        await stations.revoke_station(
            connection, world.sealer, station.id, by=manager_of(world), at=datetime.now(UTC)
        )
    async with asyncio.timeout(5.0):
        while not cut:  # noqa: ASYNC110 - it is told by a callback
            await asyncio.sleep(0.05)
    assert cut == ["work_station_only"]
    await view.end()


async def test_a_page_is_told_what_each_purpose_needs_and_those_without_an_emergency_come_first(
    film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    operator, investigator = (
        film.session("wim", "control_room_operator"),
        film.session("iris", "investigator"),
    )
    found = await rights.list_offers(operator, Action.VIEW_LIVE)
    assert [each.purpose for each in found] == [PUBLIC_ORDER, TRAFFIC, CRISIS]
    assert [each.needs for each in found] == [(), (), ("emergency", "reason")]
    [looking] = await rights.list_offers(investigator, Action.VIEW_RECORDING)
    assert (looking.purpose, looking.needs) == (INVESTIGATION, ("case",))
    [bare] = await rights.list_offers(investigator, Action.UNMASK)
    assert (bare.purpose, bare.needs) == (INVESTIGATION, ("case", "reason", "second_person"))
    [choice] = choices_of([looking], [bare], {INVESTIGATION: "Inquiry"})
    assert (choice.needs, choice.unmask) == ("case", "case reason second_person")
    assert await rights.list_offers(operator, Action.UNMASK) == []
    assert actor_of(operator).person != actor_of(investigator).person


async def test_what_the_commission_stopped_is_not_offered_and_is_told_with_its_reason(
    world: Any, film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    operator = film.session("wim", "control_room_operator")
    seen = await rights.list_visible_cameras(operator, Action.VIEW_LIVE)
    offers = await rights.list_offers(operator, Action.VIEW_LIVE, seen)
    assert await rights.list_stops(operator, Action.VIEW_LIVE, seen, offers) == []
    await world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, VIDEO)
    keeper = rights._gate.keeper
    await keeper.refresh((await keeper.settle()).epoch)
    assert await rights.list_visible_cameras(operator, Action.VIEW_LIVE) == seen
    assert await rights.list_offers(operator, Action.VIEW_LIVE, seen) == []
    [stop] = await rights.list_stops(operator, Action.VIEW_LIVE, seen, [])
    assert stop.code == "authorisation_suspended" and stop.reason is not None and stop.reason.nl


async def test_where_nothing_is_given_every_purpose_can_still_be_asked_for() -> None:
    assert [each.code for each in choices_of([], [], {}, {"b", "a"})] == ["a", "b"]
