"""The WebSocket of recordings tells the gate at which work station its viewer is."""

from tests.video.playback.conftest import Scene
from tests.video.rights.test_stations import agree_on_stations, sit_down

from koinon.demo.region.video import PUBLIC_ORDER


async def test_what_needs_a_work_station_opens_once_the_session_is_at_one(scene: Scene) -> None:
    world = scene.film.world
    epoch = (await scene.rights._gate.keeper.settle()).epoch
    await agree_on_stations(world)
    await scene.rights._gate.keeper.refresh(beyond=epoch)
    request = scene.request(purpose=PUBLIC_ORDER)
    async with scene.watch(request) as player:
        assert (await player.hear("problem"))["code"] == "work_station_only"
    await sit_down(world, scene.session)
    async with scene.watch(request) as player:
        assert (await player.hear("opened"))["token"]
        await player.hear("media")
