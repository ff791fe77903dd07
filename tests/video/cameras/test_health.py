"""How cameras are, as the recorder last said; what nobody says is unknown."""

from datetime import timedelta

import pytest

from koinon.video.cameras import Role, service, store
from koinon.video.cameras.health import SILENT, find_health


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ([], "unknown"),
        ([(0, "recording", 0)], "recording"),
        ([(0, "silent", 0)], "interrupted"),
        ([(0, "silent", 0), (1, "recording", 0)], "recording"),  # one of two copies is enough
        ([(0, "recording", SILENT.total_seconds() + 1)], "unknown"),  # a dead recorder's last word
    ],
)
async def test_the_health_of_a_camera_is_what_was_said_lately(owners, said, state):
    await owners.allow()
    camera = await owners.register()
    await owners.do(service.set_stream, owners.key, camera.id, Role.MAIN, "rtsp://10.4.0.9/a")
    async with owners.database.acquire() as connection:
        streams = await store.list_streams(connection)
        for copy, word, ago in said:
            await connection.execute(
                "INSERT INTO recordings.health (stream, copy, state, since, told_at) VALUES ($1, $2, $3, $4, $5)",
                streams[camera.id][0].id,
                copy,
                word,
                owners.at,
                owners.at - timedelta(seconds=ago),
            )
        health = await find_health(connection, streams, owners.at)
    assert health[camera.id].state == state


async def test_a_camera_without_a_recorded_stream_is_unknown_unless_its_owner_records_it(owners):
    camera = await owners.register()
    async with owners.database.acquire() as connection:
        health = await find_health(connection, {camera.id: []}, owners.at, {camera.id})
        assert health[camera.id].state == "elsewhere"
        assert (await find_health(connection, {}, owners.at))[camera.id].state == "unknown"
