"""What somebody tries against the rights to images: two persons that are one, an id that says more than it may."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.video.rights.test_rights import live, recording, refusal, trace
from tests.video.rights.test_web import site as site

from koinon.base.errors import NotAllowed
from koinon.base.ids import new_id
from koinon.demo.region.video import CRISIS, INVESTIGATION, ZONE_SOUTH
from koinon.trust.parties import LOCAL_ISSUER
from koinon.trust.rules import Obligations, Rule
from koinon.trust.standing import Standing, StandingLoader
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.cameras import store as cameras
from koinon.video.rights import Action, actor_of, confirmations, emergencies, store


async def join(world: Any, login: str, person: str) -> None:
    """Whoever signs in as `login` is that person as well."""
    async with world.database.acquire() as connection:
        await connection.execute(
            "INSERT INTO parties.identity (issuer, subject, person) VALUES ($1, $2, $3)",
            LOCAL_ISSUER,
            login,
            world.region.persons[person],
        )


async def test_a_human_who_is_two_persons_is_no_second_person(
    world: Any, film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    iris, ivo = film.session("iris", "investigator"), film.session("ivo", "investigator")
    at = datetime.now(UTC)
    request = recording(film.camera["centre-1"], action=Action.UNMASK, reason="a face")
    async with world.database.transaction() as connection:
        asked = await confirmations.ask(connection, world.sealer, actor_of(iris), request, at)
    await join(world, "iris", "ivo")
    with pytest.raises(NotAllowed) as caught:
        async with world.database.transaction() as connection:
            await confirmations.answer(
                connection,
                world.sealer,
                await rights._gate.keeper.settle(),
                actor_of(ivo),
                asked.id,
                confirms=True,
                at=at,
            )
    assert caught.value.code == "second_person_same"
    pending = msgspec.structs.replace(request, confirmation=asked.id)
    assert await refusal(rights, iris, pending) == "second_person_missing"


async def test_a_human_who_is_two_persons_reviews_no_emergency_of_either(
    world: Any, film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    request = live(film.camera["south-1"], purpose=CRISIS, emergency=True, reason="a flood")
    await (await rights.open(film.session("wim", "control_room_operator"), request)).end()
    await join(world, "wim", "axel")
    at = datetime.now(UTC)
    with pytest.raises(NotAllowed) as caught:
        async with world.database.transaction() as connection:
            [declared] = await store.list_emergencies(connection)
            await emergencies.review(
                connection, world.sealer, await rights._gate.keeper.settle(),
                film.session("axel", "security_adviser"), declared.id, justified=True, note="", at=at,
            )  # fmt: skip
    assert caught.value.code == "review_by_oneself"


async def test_an_adviser_whom_the_commission_stopped_looks_back_at_nothing(
    world: Any, film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    request = live(film.camera["south-1"], purpose=CRISIS, emergency=True, reason="a flood")
    await (await rights.open(film.session("wim", "control_room_operator"), request)).end()
    keeper, axel = rights._gate.keeper, film.session("axel", "security_adviser")
    before = (await keeper.settle()).epoch
    await world.act("chair", Deed.SUSPEND, TargetKind.PERSON, str(axel.person))
    standing = await keeper.refresh(before)
    with pytest.raises(NotAllowed) as caught:
        async with world.database.transaction() as connection:
            [declared] = await store.list_emergencies(connection)
            await emergencies.review(
                connection,
                world.sealer,
                standing,
                axel,
                declared.id,
                justified=True,
                note="",
                at=datetime.now(UTC),
            )
    assert caught.value.code == "person_suspended"


async def test_asking_for_a_second_person_does_not_tell_which_cameras_there_are(
    world: Any, site: Any, film: Any
) -> None:
    hidden = await film.place(ZONE_SOUTH, "south-9", shared=False, name="Cells of the station (demo)")
    iris = await site.client("iris")
    page = await iris.get("/video/confirmations")
    found = re.search(r'csrf[^>]*content="([^"]+)"', page.text)
    assert found
    since = datetime.now(UTC) - timedelta(hours=2)
    headers = {"x-csrf-token": found[1], "accept": "application/json"}
    answers = []
    for camera in (hidden.id, new_id()):
        asked = {
            "camera": str(camera), "action": "unmask", "purpose": INVESTIGATION, "case": "PV-1", "reason": "x",
            "since": since.isoformat(), "until": (since + timedelta(minutes=5)).isoformat(),
        }  # fmt: skip
        answer = await iris.post("/api/video/confirmations", json=asked, headers=headers)
        answers.append((answer.status_code, answer.json()["code"]))
    assert answers == [(404, "camera_unknown")] * 2
    assert hidden.name not in (await iris.get("/video/confirmations")).text
    assert await trace(world, "exchange.refused", hidden)


async def test_an_owner_does_not_shake_off_a_demand_on_old_images_by_naming_another_regime(
    world: Any, film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    camera = await film.place(ZONE_SOUTH, "south-3", regime="police")
    investigator = film.session("iris", "investigator")
    async with world.database.transaction() as connection:
        await cameras.update_camera(connection, msgspec.structs.replace(camera, regime="listed_places"))
    assert await refusal(rights, investigator, recording(camera, 29.5)) == "decision_missing"
    await (await rights.open(investigator, recording(camera, 28.5))).end()


async def test_what_is_forbidden_about_one_group_is_not_given_through_another(
    world: Any, film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    camera, wim = film.camera["south-1"], film.session("wim", "control_room_operator")
    async with world.database.transaction() as connection:
        await cameras.set_groups(connection, camera.id, ["south", "west"])
    async with world.database.acquire() as connection:
        now = await StandingLoader()(connection)
    await (await rights.open(wim, live(camera))).end()
    rules = [each.rule for each in now.bank.rules]
    permit = next(rule for rule in rules if rule.id == "cameras.view-live")
    forbid = msgspec.structs.replace(
        permit, id="cameras.none-of-west", effect="forbid", resource="cameras/west", obligations=Obligations()
    )

    def stand(rules: list[Rule]) -> None:
        rights._gate.keeper._standing = Standing(
            epoch=now.epoch,
            chain=now.chain,
            register=now.register,
            agreements=now.agreements,
            rules=rules,
        )

    stand([*rules, forbid])
    assert await refusal(rights, wim, live(camera)) == "forbidden"
    await (await rights.open(wim, live(film.camera["centre-1"]))).end()
    # Also where nothing at all is permitted on that other group.
    narrow = [
        msgspec.structs.replace(rule, resource="cameras/south") if rule is permit else rule for rule in rules
    ]
    stand(narrow)
    await (await rights.open(wim, live(camera))).end()
    stand([*narrow, forbid])
    assert await refusal(rights, wim, live(camera)) == "forbidden"
