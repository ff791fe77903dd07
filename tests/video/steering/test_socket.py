"""Steering under the convention: the real gate, rights, register and ledger, and a camera that speaks ONVIF."""

import asyncio
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest
from tests.video.steering.room import CAMERA, Room

from koinon.demo.cameras_seed import LOOPBACK
from koinon.demo.region.video import CRISIS, INVESTIGATION, PUBLIC_ORDER, VIDEO, ZONE_WEST
from koinon.trust.parties import Author
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.cameras import service
from koinon.video.cameras.store import insert_network
from koinon.video.masks import Kind, set_mask
from koinon.video.steering.service import Steering


async def test_a_turn_moves_the_camera_and_its_end_stops_it_and_leaves_a_trace(room: Room) -> None:
    page = await room.holds("wim", case="P-7")
    ready = page.told[-1]
    assert ready["can"]["pan_tilt"] and [each["token"] for each in ready["can"]["presets"]] == ["1", "2", "3"]
    await page.say(preset="nowhere")
    await page.say(move=[2, 0, 0])  # faster than it can: no order
    await page.say(preset="2")
    await room.served.until("GotoPreset")
    await page.say(move=[1, 0, 0])
    await room.served.until("ContinuousMove")
    await page.say(move=[1, 0, 0.5])
    await page.say(stop=True)
    await room.served.until("Stop")
    assert (await page.hear("position"))["position"]["pan"] is not None
    await page.say(move=[0, -1, 0])
    await room.served.until("ContinuousMove", beyond=len(room.served.camera.heard))
    await page.socket.close()
    ended = await room.ended()
    assert room.served.heard[-1] == "Stop" and not room.served.camera.moving
    assert (
        ended["reason"] == "left" and ended["action"] == "steer" and ended["camera"] == str(room.ids[CAMERA])
    )
    assert ended["movements"] == {"pan_tilt": 2, "preset": 1, "zoom": 1}
    assert ended["held_since"] < ended["held_until"] and ended["case"] == "P-7"
    assert ended["person"] == str(room.world.region.persons["wim"])


async def test_the_commission_stops_a_camera_that_turns(room: Room) -> None:
    page = await room.holds("zoe")
    holding = asyncio.create_task(page.hold())
    await room.served.until("ContinuousMove")
    before = len(room.served.camera.heard)
    await room.world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, VIDEO)
    assert await page.end() == "authorisation_suspended"
    await room.served.until("Stop", beyond=before)
    await holding
    ended = await room.ended()
    assert ended["reason"] == "cut" and not room.served.camera.moving
    assert room.served.heard[-1] == "Stop", "nothing moved it afterwards"
    again = await room.steer("zoe")
    assert (await again.hear("problem"))["problem"]["code"] == "authorisation_suspended"


async def _sign_out(room: Room) -> None:
    async with room.world.database.transaction() as connection:
        await connection.execute("DELETE FROM parties.session")


async def _mask(room: Room) -> None:
    author = Author(
        party=room.world.region.parties[ZONE_WEST],
        person=room.world.region.persons["cato"],
        profile="camera_manager",
    )
    window = (((0.1, 0.1), (0.4, 0.1), (0.4, 0.4)),)
    async with room.world.database.transaction() as connection:
        await set_mask(
            connection,
            room.world.sealer,
            author,
            room.ids[CAMERA],
            window,
            Kind.FILL,
            "a window",
            datetime.now(UTC),
        )


async def _drop(room: Room) -> None:
    author = Author(party=room.world.region.parties[ZONE_WEST], profile="camera_manager")
    async with room.world.database.transaction() as connection:
        await service.drop_control(
            connection, room.world.sealer, room.ids[CAMERA], by=author, at=datetime.now(UTC)
        )


async def _move(room: Room) -> None:
    await room.point(room.served.url(password="another"))


async def _forbid(room: Room) -> None:
    async with room.world.database.transaction() as connection:
        await connection.execute("DELETE FROM cameras.network")


async def _unshare(room: Room) -> None:
    author = Author(party=room.world.region.parties[ZONE_WEST], profile="camera_manager")
    async with room.world.database.transaction() as connection:
        await service.unshare_camera(
            connection, room.world.sealer, room.ids[CAMERA], by=author, at=datetime.now(UTC)
        )


ENDS = {
    _sign_out: "not_signed_in",
    _mask: "camera_masked",
    _drop: "camera_not_steerable",
    _move: "camera_not_steerable",
    _forbid: "address_not_allowed",
    _unshare: "not_shared",
}


async def test_whatever_ends_a_turn_stops_the_camera(room: Room) -> None:
    for happens, code in ENDS.items():
        page = await room.holds("zoe")
        holding = asyncio.create_task(page.hold())
        before = len(room.served.camera.heard)
        await room.served.until("ContinuousMove", beyond=before)
        await happens(room)
        assert await page.end() == code
        await room.served.until("Stop", beyond=before)
        await holding
        assert (await room.ended())["reason"] == "cut" and not room.served.camera.moving, code
        async with room.world.database.transaction() as connection:
            await connection.execute("UPDATE masks.mask SET valid_until = now()")
        if happens in (_drop, _move):
            await room.point(room.served.url())
        if happens is _forbid:
            refused = await room.steer("wim")
            assert await refused.end() == code
            assert (await room.ended())["reason"] == "cut"
            at, parties = datetime.now(UTC), room.world.region.parties
            async with room.world.database.transaction() as connection:
                await insert_network(connection, parties[ZONE_WEST], ip_network(LOOPBACK), at)


async def test_one_has_it_and_who_waits_is_told_whom_to_ring_and_the_owner_goes_first(room: Room) -> None:
    zoe = await room.holds("zoe")
    rik = await room.steer("rik", purpose=PUBLIC_ORDER)
    waits = await rik.hear("turn", "waits")
    assert waits["place"] == 1 and waits["holder"]["person"] == "Zoé Démo"
    assert "South" in waits["holder"]["party"]
    assert (await zoe.hear("turn", "holds"))["waiting"] == 1
    noor = await room.steer("noor")
    told = await noor.hear("turn", "waits")
    assert told["place"] == 2 and told["holder"]["person"] == "", (
        "the party is told, not another party's person"
    )
    await noor.say(move=[1, 0, 0])  # who waits moves nothing
    await zoe.say(move=[1, 0, 0])
    await room.served.until("ContinuousMove")
    moves, stops = room.served.heard.count("ContinuousMove"), room.served.heard.count("Stop")
    wim = await room.steer("wim")
    assert await zoe.end() == "steering_taken_over"
    await wim.hear("turn", "holds")
    assert moves == 1 and room.served.heard.count("Stop") > stops, "it stood still before the next one had it"
    assert not room.served.camera.moving
    await wim.hear("camera", "ready")
    await wim.socket.close()
    await rik.hear("turn", "holds")
    crisis = await room.steer("noor", purpose=CRISIS, reason="a fire", emergency=True)
    assert await rik.end() == "steering_taken_over"
    await crisis.hear("turn", "holds")


OUTSIDE: Any = [
    ("an", CAMERA, {}, "camera_unknown", 404),  # of a party outside the convention
    ("cato", CAMERA, {}, "camera_unknown", 404),  # her profile steers nothing
    ("wim", "nowhere", {}, "camera_unknown", 404),
    ("wim", CAMERA, {"purpose": INVESTIGATION}, "purpose_not_in_matrix", 403),
    ("wim", CAMERA, {"action": "view_live"}, "action_not_here", 400),
    ("wim", "west-1", {}, "camera_not_steerable", 404),  # it does not turn
]


async def test_who_may_not_steer_hears_no_more_than_is_his_business(room: Room) -> None:
    for login, camera, changes, code, status in OUTSIDE:
        page = await room.steer(login, camera, **changes)
        problem = (await page.hear("problem"))["problem"]
        assert (problem["code"], problem["status"]) == (code, status)
    await _mask(room)
    page = await room.steer("wim")
    assert (await page.hear("problem"))["problem"]["code"] == "camera_masked"
    assert not room.served.shell.requests, "nothing was asked of any camera"


async def test_why_a_camera_does_not_answer_is_told_and_it_is_tried_again(room: Room) -> None:
    await room.point(room.served.url(password="wrong"))
    page = await room.steer("wim")
    await page.hear("camera", "unauthorised")
    room.served.behave("down")
    await page.hear("camera", "unreachable")
    room.served.behave()
    await room.point(room.served.url())
    await page.hear("camera", "ready")
    room.served.behave("fault")
    await page.say(move=[1, 0, 0])
    await page.hear("camera", "fault")


async def test_a_camera_does_not_turn_while_it_cannot_be_known_whose_turn_it_is(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    page = await room.holds("wim")
    holding = asyncio.create_task(page.hold())
    await room.served.until("ContinuousMove")
    monkeypatch.setattr(Steering, "settle", hang)
    assert await page.end() == "internal_error"
    await room.served.until("Stop")
    await holding
    assert not room.served.camera.moving
