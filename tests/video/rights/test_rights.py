"""Views: what the convention's matrix and the rule bank give, to whom, and how they end."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from koinon.base.database import Database
from koinon.base.errors import Invalid, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.demo.region.video import CRISIS, INVESTIGATION, PUBLIC_ORDER, VIDEO, ZONE_SOUTH
from koinon.trust.gate import Cut, EndReason
from koinon.trust.ledger import Log, find_entries, read_private
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.cameras import State
from koinon.video.cameras import store as cameras
from koinon.video.rights import Action, ViewRequest, actor_of, confirmations, store, subject_of
from koinon.video.rights.model import CONFIRMED_FOR, LONGEST

NOW = datetime.now(UTC)
LONG_AGO = datetime.fromisoformat("0001-01-01T00:00:00+14:00")


def live(of: Any, **changes: Any) -> ViewRequest:
    values = {"camera": of.id, "action": Action.VIEW_LIVE, "purpose": PUBLIC_ORDER}
    return ViewRequest(**(values | changes))


def recording(of: Any, days: float = 1.0, **changes: Any) -> ViewRequest:
    since = datetime.now(UTC) - timedelta(days=days)
    values = {
        "camera": of.id,
        "action": Action.VIEW_RECORDING,
        "purpose": INVESTIGATION,
        "case": "PV-1",
        "since": since,
        "until": since + timedelta(hours=1),
    }
    return ViewRequest(**(values | changes))


async def trace(world: Any, kind: str, camera: Any) -> list[Any]:
    async with world.database.acquire() as connection:
        found = await find_entries(connection, world.sealer, subject=subject_of(camera.id), log=Log.EXCHANGE)
        opened = await read_private(connection, world.sealer, found)
    return [(e, p.fields) for e, p in zip(found, opened, strict=True) if e.kind == kind]


async def refusal(rights: Any, session: Any, request: Any, **options: Any) -> str:
    with pytest.raises((NotAllowed, NotFound)) as caught:
        await rights.open(session, request, **options)
    return caught.value.code


async def test_an_operator_sees_a_camera_of_another_zone_and_its_owner_finds_that_in_the_trace(
    world: Any, film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    camera = film.camera["south-1"]
    view = await rights.open(film.session("wim", "control_room_operator"), live(camera))
    assert view.masked
    assert view.watermark.en == "wim · Demo"
    await view.go_on(1000)
    await view.end(EndReason.LEFT)
    [(begun, fields)] = await trace(world, "exchange.begun", camera)
    assert begun.public["authorisation"] == VIDEO
    assert begun.public["resources"] == ["cameras/south"]
    assert fields["camera"] == str(camera.id)
    assert fields["owner"] == str(world.region.parties[ZONE_SOUTH])
    assert fields["purpose"] == PUBLIC_ORDER
    [(ended, _)] = await trace(world, "exchange.ended", camera)
    assert ended.public["bytes"] == 1000
    assert ended.public["reason"] == "left"


async def test_what_the_matrix_gives_to_nobody_like_the_viewer_is_unknown_and_traced(
    world: Any, film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    housing = film.session("an", "case_handler", "housing-north", "social_housing_company")
    camera = film.camera["west-1"]
    assert await refusal(rights, housing, live(camera)) == "camera_unknown"
    nobody = live(camera, camera=new_id())
    assert await refusal(rights, housing, nobody) == "camera_unknown"
    [(refused, _)] = await trace(world, "exchange.refused", camera)
    assert refused.public["code"] == "camera_unknown"
    async with world.database.acquire() as connection:
        found = await find_entries(
            connection, world.sealer, subject=subject_of(nobody.camera), log=Log.EXCHANGE
        )
    assert [entry.public["code"] for entry in found] == ["camera_unknown"]


async def test_a_camera_that_is_not_shared_is_its_owners_alone(film: Any, make_rights: Any) -> None:
    rights = await make_rights()
    hidden = await film.place(ZONE_SOUTH, "south-2", shared=False)
    assert (
        await refusal(rights, film.session("wim", "control_room_operator"), live(hidden)) == "camera_unknown"
    )
    view = await rights.open(film.session("zoe", "control_room_operator", ZONE_SOUTH), live(hidden))
    await view.end()
    visible = await rights.list_visible(film.session("wim", "control_room_operator"), Action.VIEW_LIVE)
    assert set(visible) == {film.camera[code].id for code in ("west-1", "south-1", "centre-1")}
    mine = await rights.list_visible(
        film.session("zoe", "control_room_operator", ZONE_SOUTH), Action.VIEW_LIVE
    )
    assert hidden.id in mine


async def test_what_is_within_scope_but_not_given_says_what_is_missing(film: Any, make_rights: Any) -> None:
    rights = await make_rights()
    camera = film.camera["centre-1"]
    investigator = film.session("iris", "investigator")
    for request, code in (
        (recording(camera, case=""), "case_missing"),
        (recording(camera, days=30.5), "depth_exceeded"),
        (recording(camera, purpose=PUBLIC_ORDER), "purpose_not_in_matrix"),
        (recording(camera, action=Action.EXPORT), "reason_missing"),
        (recording(camera, action=Action.UNMASK, reason="face"), "second_person_missing"),
    ):
        assert await refusal(rights, investigator, request) == code, code
    supervisor = film.session("sofie", "control_room_supervisor")
    assert await refusal(rights, supervisor, recording(camera, 8, purpose=PUBLIC_ORDER)) == "depth_exceeded"
    view = await rights.open(supervisor, recording(camera, 6.9, purpose=PUBLIC_ORDER))
    await view.end()


async def test_an_action_that_the_profile_never_has_makes_the_camera_unknown(
    film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    operator = film.session("wim", "control_room_operator")
    assert (
        await refusal(rights, operator, recording(film.camera["west-1"], action=Action.EXPORT))
        == "camera_unknown"
    )


async def test_without_charter_or_training_no_camera_is_told_from_none(
    world: Any, film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    async with world.database.transaction() as connection:
        await connection.execute(
            "UPDATE parties.training SET completed_on = '2020-01-01', valid_until = '2021-01-01' WHERE person = $1",
            world.region.persons["wim"],
        )
    session = film.session("wim", "control_room_operator")
    camera = film.camera["west-1"]
    codes = {await refusal(rights, session, live(camera, camera=id_)) for id_ in (camera.id, new_id())}
    assert codes == {"training_expired"}
    assert await rights.list_visible(session, Action.VIEW_LIVE) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"since": NOW},
        {"action": Action.VIEW_RECORDING},
        {"action": Action.VIEW_RECORDING, "since": NOW, "until": NOW},
        {"action": Action.VIEW_RECORDING, "since": NOW + timedelta(days=1), "until": NOW + timedelta(days=2)},
        {"action": Action.VIEW_RECORDING, "since": NOW - LONGEST - timedelta(days=1), "until": NOW},
        {"action": Action.VIEW_RECORDING, "since": NOW.replace(tzinfo=None), "until": NOW},
        {"action": Action.VIEW_RECORDING, "since": LONG_AGO, "until": LONG_AGO + timedelta(hours=1)},
    ],
)
async def test_an_interval_that_means_nothing_is_told(film: Any, make_rights: Any, wrong: Any) -> None:
    rights = await make_rights()
    with pytest.raises(Invalid) as caught:
        await rights.open(film.session("wim", "control_room_operator"), live(film.camera["west-1"], **wrong))
    assert caught.value.code == "interval_malformed"


@pytest.mark.parametrize(
    ("kind", "id_"),
    [
        (TargetKind.AUTHORISATION, VIDEO),
        (TargetKind.FLOW, "cameras/south"),
        (TargetKind.RULE, "cameras.view-live"),
    ],
)
async def test_the_commission_cuts_a_view_while_it_runs_within_a_second(
    world: Any, film: Any, make_rights: Any, kind: TargetKind, id_: str
) -> None:
    rights = await make_rights(poll=0.2)
    session = film.session("wim", "control_room_operator")
    view = await rights.open(session, live(film.camera["south-1"]))
    cut = asyncio.Event()
    view.on_cut(cut.set)
    await world.act("chair", Deed.SUSPEND, kind, id_)
    begun = time.monotonic()
    async with asyncio.timeout(2):
        await cut.wait()
    assert time.monotonic() - begun <= 1.0
    with pytest.raises(Cut):
        await view.go_on()
    await view.end()
    assert await refusal(rights, session, live(film.camera["south-1"])) in (
        "authorisation_suspended",
        "flow_suspended",
        "rule_suspended",
    )


async def test_stopping_one_group_stops_its_cameras_whatever_other_group_would_give_them(
    world: Any, film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    camera = film.camera["south-1"]
    async with world.database.transaction() as connection:
        await cameras.set_groups(connection, camera.id, ["south", "west"])
    await world.act("chair", Deed.SUSPEND, TargetKind.FLOW, "cameras/south")
    session = film.session("wim", "control_room_operator")
    assert await refusal(rights, session, live(camera)) == "flow_suspended"


async def test_a_second_person_confirms_exactly_one_view_once(
    world: Any, film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    camera = film.camera["centre-1"]
    iris, ivo = film.session("iris", "investigator"), film.session("ivo", "investigator")
    request = recording(camera, action=Action.UNMASK, reason="a face")
    at = datetime.now(UTC)
    async with world.database.transaction() as connection:
        asked = await confirmations.ask(connection, world.sealer, actor_of(iris), request, at)
    pending = msgspec.structs.replace(request, confirmation=asked.id)
    assert await refusal(rights, iris, pending) == "second_person_missing"
    standing = await rights._gate.keeper.settle()
    for who, code in (
        (iris, "second_person_same"),
        (film.session("wim", "control_room_operator"), "second_person_profile"),
    ):
        with pytest.raises(NotAllowed) as caught:
            async with world.database.transaction() as connection:
                await confirmations.answer(
                    connection, world.sealer, standing, actor_of(who), asked.id, confirms=True, at=at
                )
        assert caught.value.code == code
    async with world.database.transaction() as connection:
        await confirmations.answer(
            connection, world.sealer, standing, actor_of(ivo), asked.id, confirms=True, at=at
        )
    # Another reason is another request.
    other = msgspec.structs.replace(pending, reason="another face")
    assert await refusal(rights, iris, other) == "second_person_missing"
    # Somebody else's confirmation is nobody's.
    assert await refusal(rights, ivo, pending) == "second_person_missing"
    view = await rights.open(iris, pending)
    assert not view.masked
    await view.end()
    [(_, fields)] = await trace(world, "exchange.begun", camera)
    assert fields["second_person"] == str(world.region.persons["ivo"])
    assert fields["reason"] == "a face"
    assert await refusal(rights, iris, pending) == "second_person_missing"


async def test_a_confirmation_runs_out(world: Any, film: Any, make_rights: Any) -> None:
    rights = await make_rights()
    iris, ivo = film.session("iris", "investigator"), film.session("ivo", "investigator")
    request = recording(film.camera["west-1"], action=Action.UNMASK, reason="a face")
    at = datetime.now(UTC)
    async with world.database.transaction() as connection:
        asked = await confirmations.ask(connection, world.sealer, actor_of(iris), request, at)
        assert asked.expires_at == at + CONFIRMED_FOR
        await confirmations.answer(
            connection,
            world.sealer,
            await rights._gate.keeper.settle(),
            actor_of(ivo),
            asked.id,
            confirms=True,
            at=at,
        )
        await connection.execute("UPDATE rights.confirmation SET expires_at = $2 WHERE id = $1", asked.id, at)
    pending = msgspec.structs.replace(request, confirmation=asked.id)
    assert await refusal(rights, iris, pending) == "second_person_missing"
    async with await Database.open(world.url, kind="worker") as worker, worker.acquire() as connection:
        for hours, left in ((23, 1), (25, 0)):
            await confirmations.forget(connection, at + timedelta(hours=hours))
            assert await connection.fetchval("SELECT count(*) FROM rights.confirmation") == left


async def test_a_view_that_nobody_was_given_does_not_run_on(
    world: Any, film: Any, make_rights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rights, camera = await make_rights(), film.camera["west-1"]

    async def cancelled(use: Any) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(rights._watch, "run", cancelled)
    with pytest.raises(asyncio.CancelledError):
        await rights.open(film.session("wim", "control_room_operator"), live(camera))
    [(entry, _)] = await trace(world, "exchange.ended", camera)
    assert entry.public["reason"] == "failed"


async def test_a_declared_emergency_gives_needs_a_reason_and_waits_for_its_review(
    world: Any, film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    session = film.session("wim", "control_room_operator")
    camera = film.camera["south-1"]
    assert await refusal(rights, session, live(camera, purpose=CRISIS)) == "emergency_only"
    assert await refusal(rights, session, live(camera, purpose=CRISIS, emergency=True)) == "reason_missing"
    view = await rights.open(session, live(camera, purpose=CRISIS, emergency=True, reason="flood"))
    await view.end()
    [(_, fields)] = await trace(world, "exchange.begun", camera)
    assert fields["emergency"] is True
    async with world.database.acquire() as connection:
        [waiting] = await store.list_emergencies(connection, owner=world.region.parties[ZONE_SOUTH])
        assert await store.list_emergencies(connection, party=world.region.parties["housing-north"]) == []
    assert (waiting.reason, waiting.reviewed_at, waiting.owner) == (
        "flood",
        None,
        world.region.parties[ZONE_SOUTH],
    )


async def test_a_view_is_cut_when_its_owner_takes_the_camera_back(
    world: Any, film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    camera = film.camera["south-1"]
    guest = await rights.open(film.session("wim", "control_room_operator"), live(camera))
    owner = await rights.open(film.session("zoe", "control_room_operator", ZONE_SOUTH), live(camera))
    cut = asyncio.Event()
    guest.on_cut(cut.set)
    async with world.database.transaction() as connection:
        await cameras.update_camera(connection, msgspec.structs.replace(camera, shared=False))
    async with asyncio.timeout(2):
        await cut.wait()
    with pytest.raises(Cut) as ended:
        await guest.go_on()
    assert ended.value.code == "not_shared"
    await owner.go_on()


async def test_images_of_the_police_older_than_a_month_need_a_decision(
    world: Any, film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    camera = await film.place(ZONE_SOUTH, "south-3", regime="police")
    investigator = film.session("iris", "investigator")
    await (await rights.open(investigator, recording(camera, 28.5))).end()
    assert await refusal(rights, investigator, recording(camera, 29.5)) == "decision_missing"


async def test_a_retired_camera_shows_nothing_live(world: Any, film: Any, make_rights: Any) -> None:
    rights = await make_rights()
    camera = film.camera["west-1"]
    async with world.database.transaction() as connection:
        retired = msgspec.structs.replace(camera, state=State.RETIRED, shared=False)
        await cameras.update_camera(connection, retired)
    assert (
        await refusal(rights, film.session("wim", "control_room_operator"), live(camera)) == "camera_unknown"
    )


async def test_a_media_token_is_good_for_its_view_session_camera_interval_and_action_alone(
    world: Any, film: Any, make_rights: Any
) -> None:
    rights = await make_rights()
    camera, other = film.camera["west-1"], film.camera["south-1"]
    iris, ivo = film.session("iris", "investigator"), film.session("ivo", "investigator")
    request = recording(camera)
    view = await rights.open(iris, request)
    token = rights.mint(view, since=request.since, until=request.until)
    good = {
        "camera": camera.id,
        "action": Action.VIEW_RECORDING,
        "since": request.since,
        "until": request.since + timedelta(minutes=1),
    }
    assert await rights.redeem(token, iris, **good) is view
    for session, changes in (
        (ivo, {}),
        (iris, {"camera": other.id}),
        (iris, {"action": Action.EXPORT}),
        (iris, {"since": request.since - timedelta(seconds=1)}),
        (iris, {"until": request.until + timedelta(seconds=1)}),
    ):
        with pytest.raises(NotFound) as caught:
            await rights.redeem(token, session, **{**good, **changes})
        assert caught.value.code == "media_unknown"
    [(refused, _)] = await trace(world, "exchange.refused", other)
    assert refused.public["code"] == "media_unknown"
    head, _, mark = token.partition(".")
    for forged in ("", ".", f"{head}.", f"{head}.{mark[::-1]}", f"{head[:-2]}AA.{mark}", "é.x"):
        with pytest.raises(NotFound):
            await rights.redeem(forged, iris, **good)
    # Another process of the platform knows it by the register of running uses.
    elsewhere = await make_rights()
    assert await elsewhere.redeem(token, iris, **good, of_view=view.id) is None
    for where in (rights, elsewhere):
        with pytest.raises(NotFound):  # in the address of another view, wherever that runs
            await where.redeem(token, iris, **good, of_view=new_id())
    await view.end()
    for where in (rights, elsewhere):
        with pytest.raises(NotFound):
            await where.redeem(token, iris, **good)
    with pytest.raises(NotAllowed) as outside:
        rights.mint(view, since=request.since - timedelta(days=1), until=request.until)
    assert outside.value.code == "interval_outside_view"


async def test_a_media_token_runs_out_after_a_minute(world: Any, film: Any, make_rights: Any) -> None:
    rights = await make_rights()
    tokens = rights._tokens
    at = datetime.now(UTC)
    token = tokens.mint(new_id(), b"s" * 32, film.camera["west-1"].id, Action.EXPORT, at, at, at)
    assert tokens.read(token, at + timedelta(seconds=59.9))
    with pytest.raises(NotFound):
        tokens.read(token, at + timedelta(seconds=60))
