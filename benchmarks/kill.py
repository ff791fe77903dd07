"""Fifty recordings killed by SIGKILL at random moments: what was lost, and whether every file is read.

Lost is the time from the last frame in the files to the kill. Unreadable is a file that ffprobe, an independent
reader, complains of as it was left, or reads otherwise than we do once it is completed (`adopt`).
"""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.frame import result, row, show
from benchmarks.record import _cameras

from koinon.video.recorder import adopt, read_unit

KILLS = 50
AT_ONCE = 5
GOP_SECONDS = 2.0


def run(*, quick: bool = False) -> dict[str, Any]:
    """The rows `lost_s_max` and `unreadable`. `quick`: a tenth of the kills."""
    kills = KILLS // 10 if quick else KILLS
    if shutil.which("ffprobe") is None:
        raise SystemExit("ffprobe is not installed: it is the reader")
    chance = random.Random(50)
    moments = [chance.uniform(3.0, 9.0) for _ in range(kills)]
    with (
        tempfile.TemporaryDirectory() as name,
        _cameras(Path(name)) as port,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        folders = [Path(name) / f"kill-{each}" for each in range(kills)]
        told = list(pool.map(lambda each: _kill(port, *each), zip(folders, moments, strict=True)))
    lost = [each[0] for each in told]
    bad = sum(each[1] for each in told)
    return result(
        "kill",
        [
            row("lost_s_max", f"{kills} kills -9, GOP {GOP_SECONDS:g} s, 720p25 2 Mbit/s, units of 5 s; median "
                f"{sorted(lost)[len(lost) // 2]:.2f} s", "s", [max(lost)], f"<= {GOP_SECONDS + 0.25}"),
            row("unreadable", f"of {sum(each[2] for each in told)} files, as left and as completed, by ffprobe", "",
                [bad], "<= 0"),
        ],
    )  # fmt: skip


def _kill(port: int, folder: Path, seconds: float) -> tuple[float, int, int]:
    """One recording killed `seconds` after its first file: seconds lost, files not read, files."""
    process = subprocess.Popen(
        [sys.executable, "-m", "koinon.app.cli", "video", "record", "--source",
         f"rtsp://127.0.0.1:{port}/{folder.name}", "--name", "cam", "--seconds", "120", "--unit-seconds", "5",
         "--folder", str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not any(folder.glob("cam/*/*.mp4*")):
        time.sleep(0.02)
    time.sleep(seconds)
    process.kill()
    at = datetime.now(UTC)
    process.wait()
    left = list(folder.glob("cam/*/*.mp4*"))
    # An opening without a frame is no recording; adopt removes it.
    bad = sum(1 for path in left if path.stat().st_size > 4096 and _packets(path) is None)
    complete = [path for path in left if path.suffix == ".mp4"]
    units = sorted([*map(read_unit, complete), *adopt(folder)], key=lambda unit: unit.start)
    bad += sum(1 for unit in units if _packets(unit.path) != unit.frames)
    end = units[-1].start + timedelta(microseconds=units[-1].wall_us)
    shutil.rmtree(folder)
    return (at - end).total_seconds(), bad, len(left)


def _packets(path: Path) -> int | None:
    """How many packets ffprobe reads, or None where it complains."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0",
         str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return int(done.stdout) if done.returncode == 0 and not done.stderr else None


if __name__ == "__main__":
    show(run())
