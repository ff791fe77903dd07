"""`/video/playback` over real connections: what is sent, at which pace, to whom, and how it ends."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from tests.video.playback.conftest import Scene
from tests.video.playback.test_course import frames_in, payload
from tests.video.rights.test_rights import trace
from websockets.exceptions import ConnectionClosed, InvalidStatus

from koinon.base.ids import new_id
from koinon.demo.region.video import VIDEO
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.playback.pieces import to_us, wall_us
from koinon.video.rights import subject_of


async def test_a_recording_is_played_bit_by_bit_and_its_owner_finds_that_in_the_trace(scene: Scene) -> None:
    async with scene.watch() as player:
        opened = await player.hear("opened")
        assert opened["since"] == to_us(scene.units[0].start) and opened["until"] == to_us(
            scene.units[-1].end
        )
        assert opened["watermark"] == "iris · Demo"
        await player.hear("ended", 20)
    assert b"".join(each.body for each in player.media) == b"".join(map(payload, scene.units))
    camera = scene.film.camera["south-1"]
    async with asyncio.timeout(30):
        while not (ends := await trace(scene.film.world, "exchange.ended", camera)):  # noqa: ASYNC110 - by a task of its own
            await asyncio.sleep(0.02)
    [(_begun, fields)] = await trace(scene.film.world, "exchange.begun", camera)
    assert fields["case"] == "PV-1"
    [(ended, _)] = ends
    assert ended.public["bytes"] >= sum(len(each.body) for each in player.media)


async def test_it_is_sent_as_it_is_watched_and_little_ahead(scene: Scene) -> None:
    async with scene.watch() as player:
        await player.hear("opened")
        began = time.monotonic()
        await player.hear("ended", 20)
        took = time.monotonic() - began
    length = (scene.units[-1].end - scene.units[0].start).total_seconds()
    assert length - 3.0 - 1.0 < took < length + 10


async def test_a_seek_is_answered_within_300_ms(scene: Scene) -> None:
    took = []
    keys = [wall_us(unit, key.ticks) for unit in scene.units for key in unit.key_frames]
    async with scene.watch() as player:
        await player.hear("media")
        for n in range(1, 12):
            at = to_us(scene.units[0].start) + n * 500_000
            began = time.monotonic()
            await player.say(n=n, seek=at)
            moved = await player.hear("moved")
            assert moved == {"n": n, "at": at}
            first = await player.hear("media")
            took.append(time.monotonic() - began)
            assert first.flags == 1
            # Where a key frame lies within some milliseconds of what is asked, rounding says which side it is on.
            assert first.us in {
                max(key for key in keys if key <= at + off) for off in (-5000, 5000) if keys[0] <= at + off
            }
    assert sorted(took)[len(took) // 2] < 0.3


async def test_at_four_times_and_more_only_key_frames_come(scene: Scene) -> None:
    async with scene.watch() as player:
        await player.hear("media")
        await player.say(n=1, play=8, at=to_us(scene.units[0].start))
        await player.hear("moved")
        player.got.clear()
        await player.hear("ended")
    keys = sum(len(unit.key_frames) for unit in scene.units)
    assert len(player.media) == keys and all(each.flags == 1 for each in player.media)


async def test_an_unknown_speed_is_refused(scene: Scene) -> None:
    async with scene.watch() as player:
        await player.hear("media")
        await player.say(play=3)
        assert await player.hear("refused") == {"code": "speed_unknown"}


async def test_a_step_shows_the_next_frame_and_the_one_before(scene: Scene) -> None:
    every = sorted(us for unit in scene.units for us in frames_in(unit))
    async with scene.watch() as player:
        await player.hear("media")
        await player.say(n=1, step=1, at=every[20])
        assert (await player.hear("frame"))["at"] == every[21]
        await player.say(n=2, step=-1, at=every[21])
        frame = await player.hear("frame")
        assert frame["at"] == every[20] and frame["n"] == 2
        media = [each for each in player.media if each.us <= every[20]]
        assert media and media[-1].shown <= frame["shown"]


async def test_nothing_is_sent_while_the_viewer_stands_still(scene: Scene) -> None:
    async with scene.watch() as player:
        await player.hear("media")
        await player.say(pause=True)
        with pytest.raises(TimeoutError):
            await player.hear("ended", 6)
        count = len(player.media)
        with pytest.raises(TimeoutError):
            await player.hear("media", 1)
        assert len(player.media) == count


@pytest.mark.parametrize("wait", [False, True])
async def test_a_gap_is_told_and_skipped_or_waited_for(scene: Scene, wait: bool) -> None:
    world, stream = scene.film.world, scene.streams["south-1"]
    async with world.database.acquire() as connection:
        await connection.execute(
            "DELETE FROM recordings.unit WHERE stream = $1 AND start_at = $2", stream, scene.units[1].start
        )
        await connection.execute(
            "INSERT INTO recordings.gap VALUES ($1, 0, $2, $3, 'silent')",
            stream, scene.units[1].start, scene.units[1].end,
        )  # fmt: skip
    request = scene.request(since=(scene.units[1].start - timedelta(seconds=0.5)).isoformat())
    async with scene.watch(request, "?gaps=wait" if wait else "") as player:
        [gap] = await player.hear("missing")
        assert (gap["state"], gap["reason"]) == ("gap", "silent")
        # Where one unit ends and the next begins, a microsecond may be lost to rounding.
        assert abs(gap["start"] - to_us(scene.units[1].start)) <= 2
        assert abs(gap["end"] - to_us(scene.units[1].end)) <= 2
        await player.hear("ended", 20)
    assert {us for each in player.media for us in [each.us]} & set(frames_in(scene.units[2]))


async def test_a_cut_ends_it_at_once(scene: Scene) -> None:
    world = scene.film.world
    async with scene.watch() as player:
        await player.hear("media")
        await world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, VIDEO)
        acted = time.monotonic()
        with pytest.raises(ConnectionClosed):
            await player.hear("ended", 10)
        assert time.monotonic() - acted < 5  # benchmarks/cut.py has the second
        assert player.got[-1]["cut"]["code"] == "authorisation_suspended"


async def refused(scene: Scene, **changes: Any) -> dict[str, Any]:
    async with scene.watch(scene.request(**changes)) as player:
        problem: dict[str, Any] = await player.hear("problem")
        assert not player.media
        return problem


async def test_what_may_not_be_seen_is_refused_in_one_message(scene: Scene) -> None:
    assert (await refused(scene, case=""))["code"] == "case_missing"
    assert (await refused(scene, purpose="unheard_of"))["code"] == "authorisation_missing"
    old = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-01T01:00:00Z"}
    assert (await refused(scene, **old))["code"] == "depth_exceeded"
    assert (await refused(scene, action="view_live", since=None, until=None))["code"] == "action_not_here"
    assert (await refused(scene, more="x"))["code"] == "body_malformed"


async def test_a_camera_outside_the_scope_is_as_unknown_as_one_that_does_not_exist(scene: Scene) -> None:
    scene.found = scene.film.session("cato", "camera_manager")
    hidden = await refused(scene)
    nowhere = await refused(scene, camera=str(new_id()))
    assert hidden["code"] == nowhere["code"] == "camera_unknown"
    assert hidden["status"] == 404 and hidden.keys() == nowhere.keys()
    assert [
        entry.kind
        for entry, _ in await trace(scene.film.world, "exchange.refused", scene.film.camera["south-1"])
    ]


async def test_who_is_not_signed_in_gets_nothing(scene: Scene) -> None:
    scene.found = None
    assert (await refused(scene))["code"] == "not_signed_in"


async def test_another_site_cannot_open_a_view(scene: Scene) -> None:
    from websockets.asyncio.client import connect

    host = scene.origin.removeprefix("http://")
    for origin in ("http://evil.example", None):
        with pytest.raises(InvalidStatus) as caught:
            async with connect(f"ws://{host}/video/playback", origin=origin):  # type: ignore[arg-type]
                pass
        assert caught.value.response.status_code == 403


async def test_the_subject_of_the_trace_is_the_camera(scene: Scene) -> None:
    assert subject_of(scene.film.camera["south-1"].id).startswith("camera:")
