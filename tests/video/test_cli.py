"""`koinon video record` tells what it recorded, as JSON."""

import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path

from typer.testing import CliRunner

from koinon.video.cli import app


async def run(*arguments, stdin=None):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "koinon.app.cli", "video", "record", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate(stdin)
    return process.returncode, out.decode(), err.decode()


async def test_a_camera_is_recorded_outside_the_platform_and_told_as_json(cameras, tmp_path, probe):
    server = await cameras(scheme="md5")
    code, out, err = await run(
        "--source", "-", "--name", "gate", "--seconds", "3", "--folder", str(tmp_path / "r"), "--json",
        stdin=server.url("gate").encode() + b"\n",
    )  # fmt: skip
    assert code == 0, err
    told = json.loads(out)
    assert set(told) == {"units", "frames", "bytes", "lost_packets", "cpu_seconds", "gaps"}
    assert told["gaps"] == [] and told["lost_packets"] == 0 and told["cpu_seconds"] < 3
    assert told["frames"] == sum(unit["frames"] for unit in told["units"]) > 40
    for unit in told["units"]:
        assert set(unit) == {"path", "start", "frames", "bytes"}
        path = Path(unit["path"])
        assert path.is_absolute() and path.stat().st_size == unit["bytes"]  # noqa: ASYNC240
        assert datetime.fromisoformat(unit["start"]).tzinfo is not None
        assert int(probe(path)["nb_read_packets"]) == unit["frames"]
    assert "secret" not in out + err


async def test_a_camera_that_is_not_there_ends_with_a_gap_and_exit_code_69(tmp_path):
    code, out, _ = await run(
        "--source", "rtsp://127.0.0.1:1/x", "--name", "gate", "--seconds", "0.7",
        "--folder", str(tmp_path / "r"), "--json",
    )  # fmt: skip
    told = json.loads(out)
    assert (code, told["units"], [gap["reason"] for gap in told["gaps"]]) == (69, [], ["unreachable"])


def test_an_address_that_is_no_camera_is_refused_before_anything_is_made(tmp_path):
    result = CliRunner().invoke(
        app,
        [
            "record",
            "--source",
            "http://x/",
            "--name",
            "gate",
            "--seconds",
            "1",
            "--folder",
            str(tmp_path / "r"),
        ],
    )
    assert result.exception.code == "invalid_source"
    assert not (tmp_path / "r").exists()
