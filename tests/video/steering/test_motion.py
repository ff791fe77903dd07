"""The dead man's switch: a camera turns only while somebody says so, however slow it is."""

import asyncio

import pytest

from koinon.base.errors import Conflict
from koinon.demo.cameras.ptz import Heard
from koinon.video.steering.model import Velocity
from koinon.video.steering.motion import Motion


@pytest.fixture
async def moving(serve, dial):
    """`await moving(served)`: a motion of it, and what was told."""
    motions = []

    async def make(served, **options):
        told = []
        motions.append(Motion(await dial(served, **options), told.append))
        return motions[-1], told

    yield make
    for motion in motions:
        await motion.close()


async def test_a_button_that_is_let_go_stops_the_camera_and_one_that_is_held_goes_on(serve, moving):
    served = await serve()
    motion, told = await moving(served)
    motion.move(Velocity(pan=1))
    for _ in range(8):  # longer than one movement lasts by itself
        await asyncio.sleep(0.15)
        motion.move(Velocity(pan=1))
    assert served.camera.moving and served.heard.count("ContinuousMove") < 6, "not each time it is said"
    motion.stop()
    await served.until("Stop")
    assert not served.camera.moving
    motion.move(Velocity(pan=1, zoom=0.5))
    motion.move(Velocity(pan=0.5, zoom=0.5))
    motion.go_to("2")
    await served.until("GotoPreset")
    assert motion.counted == {"pan_tilt": 2, "zoom": 1, "preset": 1}
    assert told == ["ready"]


async def test_who_falls_silent_has_let_go(serve, moving):
    served = await serve()
    motion, _ = await moving(served)
    motion.move(Velocity(tilt=-1))
    await served.until("Stop")
    assert not served.camera.moving and not motion.turning


async def test_a_slow_camera_is_told_to_stop_before_it_has_answered_and_again_after(serve, moving):
    """Its answers take longer than a button is held, so it may hear the movement after the Stop."""
    served = await serve()
    motion, _ = await moving(served)
    served.behave("slow", 0.4)
    motion.move(Velocity(pan=1))
    asked = served.shell.requests
    async with asyncio.timeout(5):
        while served.shell.requests == asked:  # noqa: ASYNC110 - until the movement is on its way
            await asyncio.sleep(0.005)
        motion.stop()
        while served.shell.requests == asked + 1:  # noqa: ASYNC110 - until the Stop is
            await asyncio.sleep(0.005)
    assert "ContinuousMove" not in served.heard, "the Stop did not wait for the answer"
    await motion.close()
    assert served.heard[-1] == "Stop" and not served.camera.moving
    assert served.heard.count("ContinuousMove") == 1


async def test_a_stop_that_fails_is_sent_again_and_told(serve, moving):
    served = await serve()
    motion, told = await moving(served)
    motion.move(Velocity(zoom=1))
    await served.until("ContinuousMove")
    served.behave("down")
    motion.stop()
    async with asyncio.timeout(5):
        while "unreachable" not in told:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    served.behave()
    await motion.close()
    assert not served.camera.moving and told == ["ready", "unreachable", "ready"]


async def test_what_wants_it_still_is_refused_while_it_moves_and_a_movement_waits_for_it(serve, moving):
    served = await serve()
    motion, _ = await moving(served)
    begun, done = asyncio.Event(), asyncio.Event()

    async def work():
        begun.set()
        await done.wait()
        served.camera.heard.append(Heard("work", (0.0, 0.0, 0.0), 0.0))
        return "done"

    motion.go_to("2")
    with pytest.raises(Conflict, match="camera_moves"):
        await motion.while_still(work)
    async with asyncio.timeout(10):
        while motion.moving:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)
    assert served.camera.position == served.camera.presets["2"][1], "it had arrived"
    working = asyncio.create_task(motion.while_still(work))
    await begun.wait()
    motion.move(Velocity(pan=1))
    with pytest.raises(Conflict, match="camera_moves"):
        await motion.while_still(work)
    await asyncio.sleep(0.3)
    assert "ContinuousMove" not in served.heard
    done.set()
    assert await working == "done"
    await served.until("ContinuousMove")
    assert served.heard.index("work") < served.heard.index("ContinuousMove")


async def test_the_end_leaves_no_camera_moving(serve, moving):
    served = await serve()
    motion, _ = await moving(served)
    motion.go_to("3")
    await served.until("GotoPreset")
    assert served.camera.moving
    await motion.close()
    assert served.heard[-1] == "Stop" and not served.camera.moving
