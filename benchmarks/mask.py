"""Masks: CPU of one masked camera, 720p15 out of 720p25; against decoding alone, in the same runs.

Source: a clip of 720p25, 2 Mbit/s, GOP 2 s (`koinon.demo.cameras`). Three masks, fifteen percent of the picture, once
filled and once as a mosaic; and as an export does it, every picture, with its mark. What is counted is the CPU of the
process that masks, with its messages in and out, as it runs in the platform; `decode_only` is the same process that
decodes every frame and does nothing with it.

A camera-second is 25 frames that went in, not a second of the wall clock. `--seconds N` shortens the clip's repetition.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
from benchmarks.frame import RUNS, CpuMeter, result, row, show

from koinon.base.ids import new_id
from koinon.demo.cameras import make_clip
from koinon.video.cameras.model import CameraId
from koinon.video.exports.filming import BIT_RATE, FRAMES_A_SECOND, LINES
from koinon.video.masks import Coded, Kind, Mask, MaskId, MaskPool
from koinon.video.masks.stream import _avc_sets
from koinon.video.recorder.nal import Format, read_format, read_nals

SECONDS = 40
RATE = 25
POLYGONS = (
    ((0.10, 0.13), (0.35, 0.13), (0.35, 0.35), (0.10, 0.35)),
    ((0.50, 0.44), (0.70, 0.44), (0.66, 0.71), (0.50, 0.71)),
    ((0.75, 0.09), (0.90, 0.09), (0.90, 0.36), (0.80, 0.36)),
)


def run(seconds: float = SECONDS, runs: int = RUNS, *, quick: bool = False) -> dict[str, Any]:
    """The rows `cpu_core_per_camera` (filled) and `cpu_core_per_camera_mosaic`. `quick`: two runs of 10 s of video."""
    if quick:
        seconds, runs = min(seconds, 10), min(runs, 2)
    if shutil.which("ffmpeg") is None:
        raise SystemExit("ffmpeg is not installed: it makes the clip")
    with tempfile.TemporaryDirectory() as name:
        format_, frames = _read(make_clip(Path(name), seconds=10, width=1280, height=720, kbits=2000, gop=50))
    frames = _repeat(frames, seconds)
    filled, mosaic, decoded, exported = [], [], [], []
    for _ in range(runs):  # alternated: a machine that is slow for a while is slow for all
        filled.append(asyncio.run(_mask(format_, frames, Kind.FILL)))
        mosaic.append(asyncio.run(_mask(format_, frames, Kind.MOSAIC)))
        decoded.append(_decode(format_, frames))
        exported.append(asyncio.run(_mask(format_, frames, Kind.FILL, export=True)))
    middle = sorted(decoded)[len(decoded) // 2]
    stated = f"720p25 at 2 Mbit/s in, 720p15 out, three masks, {len(frames) / RATE:.0f} s of video"
    return result(
        "mask",
        [
            row("cpu_core_per_camera", f"filled; {stated}", "core", filled, "<= 0.10", {"decode_only": middle}),
            row("cpu_core_per_camera_mosaic", f"mosaic; {stated}", "core", mosaic, "<= 0.10", {"decode_only": middle}),
            row("cameras_per_core", "filled, one over the first", "", [1 / each for each in filled]),
            row(
                "cpu_core_per_exported_second", f"as for an export: every picture, marked, 4 Mbit/s; {stated}", "core",
                exported, "<= 1.0", {"decode_only": middle},
            ),
        ],
    )  # fmt: skip


def _read(path: Path) -> tuple[Format, list[Coded]]:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        record = video.codec_context.extradata
        assert record is not None
        format_ = read_format("h264", _avc_sets(record))
        frames = [
            Coded(
                int((packet.pts or 0) * 90_000 * (packet.time_base or 0)),
                0,
                packet.is_keyframe,
                bytes(packet),
            )
            for packet in container.demux(video)
            if packet.size
        ]
    return format_, frames


def _repeat(frames: Sequence[Coded], seconds: float) -> list[Coded]:
    """The clip again and again, with rising times."""
    length = len(frames) * 90_000 // RATE
    begin = round(datetime(2026, 11, 24, 9, tzinfo=UTC).timestamp() * 1e6)
    repeated = []
    for turn in range(max(1, round(seconds * RATE / len(frames)))):
        for frame in frames:
            ticks = frame.ticks + turn * length
            repeated.append(Coded(ticks, begin + ticks * 100 // 9, frame.key, frame.data))
    return repeated


async def _mask(format_: Format, frames: Sequence[Coded], kind: Kind, *, export: bool = False) -> float:
    """Of a core, what a camera costs in the process that masks; or, for an export, a second of it."""
    at = datetime(2026, 11, 24, tzinfo=UTC) - timedelta(days=1)
    mask = Mask(
        id=MaskId(new_id()), camera=CameraId(new_id()), valid_from=at, valid_until=None, polygons=POLYGONS, kind=kind,
        why="measured", by=None, made_at=at,
    )  # fmt: skip
    pool = MaskPool(processes=1)
    try:
        exporting: dict[str, Any] = {
            "lines": LINES, "frames_a_second": FRAMES_A_SECOND, "bit_rate": BIT_RATE, "mark": "Iris · West · PV-1",
        }  # fmt: skip
        async with pool.open([mask], **(exporting if export else {})) as stream:
            stream.open(format_)
            taken = aiter(stream)
            child = pool._processes[0]._child
            assert child is not None

            count = RATE * 2
            await stream.feed_all(frames[:count])  # imports, tables, the encoder
            await anext(taken)
            await asyncio.sleep(1.0)
            meter = CpuMeter(child.pid)
            task = asyncio.create_task(stream.feed_all(frames[count:]))
            task.add_done_callback(lambda _: stream.finish())
            shown = 0
            async for _ in taken:
                shown += 1
            used = meter.seconds()
            assert shown >= len(frames) * 15 / RATE * 0.95, f"only {shown} frames came out"
            return used / ((len(frames) - count) / RATE)
    finally:
        await pool.close()


def _decode(format_: Format, frames: Sequence[Coded]) -> float:
    """Of a core, what decoding every frame costs."""
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    began, count = time.process_time(), 0
    for frame in frames:
        nals = [*(format_.sets if frame.key else ()), *read_nals(frame.data)]
        for _ in decoder.decode(av.Packet(b"".join(b"\0\0\0\1" + nal for nal in nals))):
            count += 1
    used = time.process_time() - began
    assert count >= len(frames) - 5
    return used / (len(frames) / RATE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    show(run(given.seconds, given.runs))
