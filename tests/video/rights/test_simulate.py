"""Who can see a camera, and what can somebody do: told by the evaluator that also gives the views."""

from datetime import UTC, datetime
from typing import Any

from koinon.demo.region.video import CRISIS, INVESTIGATION, PUBLIC_ORDER, TRAFFIC, VIDEO, ZONE_SOUTH
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.rights import Action
from koinon.video.rights.simulate import rights_of, rights_on


async def standing_of(rights: Any) -> Any:
    return await rights._gate.keeper.settle()


async def test_who_can_see_a_camera_is_told_with_what_each_needs(
    world: Any, film: Any, make_rights: Any
) -> None:
    standing = await standing_of(await make_rights())
    at = datetime.now(UTC)
    found = rights_on(standing, film.camera["south-1"], ["south"], at)
    names = {person: login for login, person in world.region.persons.items()}
    told = {(names[each.person], each.action, each.purpose): each for each in found}
    assert {key[0] for key in told} == {"wim", "sofie", "iris", "ivo", "zoe", "rik", "noor"}
    assert told["wim", Action.VIEW_LIVE, PUBLIC_ORDER].needs == ()
    assert told["wim", Action.VIEW_LIVE, TRAFFIC].resource == "cameras/south"
    crisis = told["wim", Action.VIEW_LIVE, CRISIS]
    assert set(crisis.needs) == {"emergency", "reason"}
    assert told["sofie", Action.VIEW_RECORDING, PUBLIC_ORDER].depth_days == 7
    unmask = told["iris", Action.UNMASK, INVESTIGATION]
    assert (unmask.depth_days, set(unmask.needs)) == (30, {"case", "reason", "second_person"})
    assert unmask.authorisation == VIDEO
    assert ("wim", Action.EXPORT, INVESTIGATION) not in told


async def test_a_camera_that_is_not_shared_is_seen_by_its_owners_people_only(
    world: Any, film: Any, make_rights: Any
) -> None:
    hidden = await film.place(ZONE_SOUTH, "south-2", shared=False)
    standing = await standing_of(await make_rights())
    found = rights_on(standing, hidden, ["south"], datetime.now(UTC))
    assert {each.person for each in found} == {world.region.persons[login] for login in ("zoe", "rik")}


async def test_what_somebody_can_do_ends_with_a_suspension(world: Any, film: Any, make_rights: Any) -> None:
    rights = await make_rights()
    standing = await standing_of(rights)
    at = datetime.now(UTC)
    groups = {camera.id: [code.partition("-")[0]] for code, camera in film.camera.items()}
    person = standing.register.persons[world.region.persons["wim"]]
    before = rights_of(standing, person, film.camera.values(), groups, at)
    assert {each.camera.code for each in before if each.action is Action.VIEW_LIVE} == {
        "west-1",
        "south-1",
        "centre-1",
    }
    await world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, VIDEO)
    await rights._gate.keeper.refresh(beyond=standing.epoch)
    assert rights_of(await standing_of(rights), person, film.camera.values(), groups, at) == []
