"""An hour that a partner's system holds, asked and fetched: how soon something can be seen, how fast the rest comes.

The partner is another process on this machine and sends as fast as it can, so that what is measured is our half: RTSP,
fragments, hashes, fsync. In a site the network and the partner set the pace.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.frame import result, row, show

from koinon.video.recorder import Disk, Options, Unit, parse_source, prepare_folder
from koinon.video.recorder.replay import Replay

HOUR = timedelta(hours=1)


def run(*, quick: bool = False) -> dict[str, Any]:
    """The rows `first_unit_s`, `times_real`, `cpu_s_per_hour`. `quick`: once ten minutes, not three times an hour."""
    length, rounds = (HOUR / 6, 1) if quick else (HOUR, 3)
    with tempfile.TemporaryDirectory() as name, _partner(Path(name)) as port:
        told = [asyncio.run(_fetch(port, Path(name) / f"round-{each}", length)) for each in range(rounds)]
    what = f"{length // timedelta(minutes=1)} minutes of 720p25 2 Mbit/s, GOP 2 s, fsync on"
    return result(
        "remote",
        [
            row("first_unit_s", f"from the connection to the first minute that can be looked at: {what}", "s",
                [each[0] for each in told], "<= 3"),
            row("times_real", f"times the speed at which it was recorded: {what}", "",
                [each[1] for each in told], ">= 60"),
            row("cpu_s_per_hour", "of our process, for an hour of pictures", "s", [each[2] for each in told]),
        ],
    )  # fmt: skip


async def _fetch(port: int, folder: Path, length: timedelta) -> tuple[float, float, float]:
    prepare_folder(folder)
    disk, first, frames = Disk(folder), [], 0
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - HOUR

    def unit(told: Unit) -> None:
        nonlocal frames
        first.append(time.monotonic())
        frames += told.frames

    replay = Replay(
        parse_source(f"rtsp://127.0.0.1:{port}/metro"), Options(name="metro", copy=2), disk, until - length, until,
        on_unit=unit,
    )  # fmt: skip
    began, before = time.monotonic(), os.times()
    outcome = await replay.run(asyncio.Event())
    seconds, after = time.monotonic() - began, os.times()
    disk.close()
    assert outcome.reason is None and abs(frames - length.total_seconds() * 25) < 60, (outcome, frames)
    cpu = after.user + after.system - before.user - before.system
    return first[0] - began, length.total_seconds() / seconds, cpu * (HOUR / length)


@contextlib.contextmanager
def _partner(folder: Path) -> Iterator[int]:
    command = [sys.executable, "-m", "koinon.demo.cameras", str(folder), "--replays", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    show(run())
