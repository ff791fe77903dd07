"""`koinon video status` shows what recorders told, and says by its exit code whether somebody must look."""

import asyncio
import json
import os
import sys

from koinon.video.recordings import recorders
from koinon.video.recordings.model import Health, Track


async def run(url, home, *arguments):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "koinon.app.cli", "video", "status", *arguments,
        env={**os.environ, "KOINON_HOME": str(home), "KOINON_DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_state_of_every_camera_is_shown_and_an_alarm_is_exit_code_1(
    register, open_database, database_url, clock, tmp_path
):
    streams = [await register(code, "rtsp://127.0.0.1/x") for code in ("gate", "yard")]
    database = await open_database("recorder")
    told = [
        Health(track=Track(streams[0]), state="recording", lost=3, fps_said=25.0, fps_measured=24.9),
        Health(
            track=Track(streams[1]),
            state="unreachable",
            detail="no connection in time",
            alarm="not_recording",
        ),
    ]
    async with database.acquire() as connection:
        await recorders.tell_health(connection, told, clock.now())
    code, out, err = await run(database_url, tmp_path, "--json")
    assert code == 0, err
    first, second = json.loads(out)["cameras"]
    assert (first["camera"], first["state"], first["lost"], first["alarm"]) == ("gate", "recording", 3, None)
    assert (second["state"], second["detail"]) == ("unreachable", "no connection in time")
    code, out, err = await run(database_url, tmp_path, "--alarms")
    assert code == 1, err
    assert "yard" in out and "gate" not in out
