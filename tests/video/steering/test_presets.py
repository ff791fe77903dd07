"""The places of a camera: who may change them, what is refused and why, and what the trace says of it."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from tests.video.steering.room import Room, Socket
from tests.video.steering.test_socket import _mask

from koinon.demo.cameras import ptz
from koinon.demo.region.video import VIDEO
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.steering.onvif import PTZ, OnvifCamera
from koinon.video.steering.service import Steering
from koinon.video.steering.turn import Turn

NAMES = ["Plein / Place", "Kruispunt / Carrefour", "Halte / Arrêt"]


async def refused(page: Socket, **said: Any) -> str:
    await page.say(**said)
    return str((await page.hear("refused"))["refused"]["code"])


async def kept(page: Socket, **said: Any) -> list[str]:
    await page.say(**said)
    return [each["name"] for each in (await page.hear("presets"))["presets"]]


async def test_the_owner_keeps_its_cameras_places_and_the_trace_counts_them(room: Room) -> None:
    page = await room.holds("wim")
    ready = page.told[-1]
    assert ready["keeps"] is True and ready["can"]["most_presets"] == 8
    name = "<img src=x> & d'en face"
    assert await kept(page, save={"name": f"  {name} "}) == [*NAMES, name]
    token = next(token for token, (each, _) in room.served.camera.presets.items() if each == name)
    await page.say(preset=token)  # the page goes to what it has just kept
    await room.served.until("GotoPreset")
    await settled(page)
    assert await kept(page, save={"name": "Hoek / Coin", "token": "2"}) == [
        NAMES[0],
        "Hoek / Coin",
        NAMES[2],
        name,
    ]
    assert await kept(page, remove=token) == [NAMES[0], "Hoek / Coin", NAMES[2]]
    await page.socket.close()
    ended = await room.ended()
    assert ended["presets"] == {"set": 2, "removed": 1} and ended["movements"] == {"preset": 1}
    page_of_uses = await room.uses("cato")
    assert "movements: 1<" in page_of_uses and "places saved or removed: 3<" in page_of_uses
    assert room.served.heard.count("SetPreset") == 2 and room.served.heard.count("RemovePreset") == 1


async def settled(page: Socket) -> None:
    """It stands still, as far as the page can know: what it is asked is refused for another reason."""
    async with asyncio.timeout(10):
        while await refused(page, save={"name": NAMES[0]}) == "camera_moves":  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.1)


async def test_what_cannot_be_is_refused_with_its_reason_and_counts_for_nothing(room: Room) -> None:
    room.served.camera.most_presets = 3
    page = await room.holds("wim")
    for said, code in (
        ({"name": " "}, "preset_name_invalid"),
        ({"name": "x" * 5000}, "preset_name_invalid"),
        ({"name": "a\u202eb"}, "preset_name_invalid"),
        ({"name": "a\nb"}, "preset_name_invalid"),
        ({"name": "one more"}, "presets_full"),
        ({"name": NAMES[0], "token": "2"}, "preset_name_taken"),
        ({"name": "here", "token": "9"}, "preset_unknown"),
        ({"name": "x" * 33, "token": "2"}, "preset_name_refused"),  # the camera's own bound
    ):
        assert await refused(page, save=said) == code, said
    assert await refused(page, remove="9") == "preset_unknown"
    await page.say(move=[1, 0, 0])
    assert await refused(page, save={"name": "here", "token": "2"}) == "camera_moves"
    await page.say(stop=True)
    await settled(page)
    room.served.behave("fault")
    assert await refused(page, remove="2") == "preset_unconfirmed"
    room.served.behave()
    await page.socket.close()
    ended = await room.ended()
    assert "presets" not in ended and ended["movements"] == {"pan_tilt": 1}
    assert {name for name, _ in room.served.camera.presets.values()} == set(NAMES)
    assert "SetPreset" not in room.served.heard and "RemovePreset" not in room.served.heard


async def test_a_camera_that_does_not_say_whether_it_did_is_counted(room: Room, monkeypatch: Any) -> None:
    def vanish(*_: Any) -> str:
        return "<nothing/>"

    page = await room.holds("wim")
    monkeypatch.setitem(ptz._ACTS, (PTZ, "RemovePreset"), vanish)
    assert await refused(page, remove="2") == "preset_unconfirmed"
    await page.socket.close()
    assert (await room.ended())["presets"] == {"removed": 1}


async def test_only_who_has_it_and_is_of_its_owner_changes_its_places(room: Room) -> None:
    zoe = await room.holds("zoe")
    assert zoe.told[-1]["keeps"] is False
    assert await refused(zoe, save={"name": "ours"}) == "preset_owners_only"
    assert await refused(zoe, remove="1") == "preset_owners_only"
    rik = await room.steer("rik")
    await rik.hear("turn", "waits")
    assert await refused(rik, remove="1") == "preset_owners_only"
    await zoe.socket.close()
    await rik.socket.close()
    first = await room.holds("wim")
    second = await room.steer("wim")
    await second.hear("turn", "waits")
    assert await refused(second, save={"name": "mine"}) == "camera_not_held"
    await first.socket.close()
    assert room.served.heard.count("SetPreset") == room.served.heard.count("RemovePreset") == 0


async def test_no_place_is_kept_while_a_mask_counts(room: Room, monkeypatch: Any) -> None:
    """Also not in the half second in which the turn goes on."""
    page = await room.holds("wim")
    inside, gate = asyncio.Event(), asyncio.Event()
    settle = Steering.settle

    async def late(*arguments: Any, **options: Any) -> Any:
        inside.set()
        await gate.wait()
        return await settle(*arguments, **options)

    monkeypatch.setattr(Steering, "settle", late)
    await inside.wait()  # the turn has asked about masks already, and is yet to know whether it goes on
    await _mask(room)
    assert await refused(page, save={"name": "here"}) == "camera_masked"
    gate.set()
    assert await page.end() == "camera_masked"
    assert "SetPreset" not in room.served.heard


async def test_a_change_of_which_a_slow_camera_was_not_told_yet_ends_with_the_cut(
    room: Room, monkeypatch: Any
) -> None:
    """At once, and not when the connection has gone: a page that reads nothing keeps that waiting."""
    page = await room.holds("wim")
    asked, answered, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()
    turns: list[Turn] = []
    cut, end, list_presets = Turn.cut, Turn.end, OnvifCamera.list_presets

    async def late_list(camera: OnvifCamera) -> Any:
        asked.set()
        await answered.wait()
        return await list_presets(camera)

    async def late_end(turn: Turn) -> None:
        await gone.wait()
        await end(turn)

    monkeypatch.setattr(Turn, "cut", lambda turn: (turns.append(turn), cut(turn)))
    monkeypatch.setattr(Turn, "end", late_end)
    monkeypatch.setattr(OnvifCamera, "list_presets", late_list)
    await page.say(save={"name": "here"})
    await asked.wait()
    await room.world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, VIDEO)
    assert await page.end() == "authorisation_suspended"
    answered.set()
    keeping = turns[0]._keeping
    assert keeping is not None
    await asyncio.wait([keeping])
    gone.set()
    assert "SetPreset" not in room.served.heard


async def test_one_change_at_a_time_and_a_stop_is_heard_meanwhile(room: Room) -> None:
    page = await room.holds("wim")
    room.served.behave("slow", 0.4)
    await page.say(save={"name": "here"})
    assert await refused(page, save={"name": "there"}) == "preset_underway"
    await page.say(move=[1, 0, 0])
    await page.say(stop=True)
    presets = (await page.hear("presets"))["presets"]
    assert [each["name"] for each in presets] == [*NAMES, "here"]
    room.served.behave()
    await page.socket.close()
    await room.ended()
    assert not room.served.camera.moving
    assert room.served.camera.presets["4"][1] == (0.0, 0.0, 0.0), "it did not turn before it was kept"


async def test_who_keeps_places_has_not_fallen_idle(room: Room) -> None:
    """Somebody waits, and the camera has not been moved for longer than is allowed: a place that was kept counts."""
    page = await room.holds("wim")
    waiting = await room.steer("wim")
    await waiting.hear("turn", "waits")
    async with room.world.database.transaction() as connection:
        await connection.execute(
            "UPDATE steering.claim SET moved_at = moved_at - interval '8 s' WHERE held_since IS NOT NULL"
        )
    await kept(page, remove="3")
    async with asyncio.timeout(5):
        while True:
            async with room.world.database.acquire() as connection:
                moved = await connection.fetchval(
                    "SELECT moved_at FROM steering.claim WHERE held_since IS NOT NULL"
                )
            if (datetime.now(UTC) - moved).total_seconds() < 5:
                break
            await asyncio.sleep(0.05)
