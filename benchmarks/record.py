"""The recorder: CPU and memory a camera, cameras a core; against one ffmpeg process a camera and one
PyAV thread a camera, in the same runs.

Source: virtual cameras (`koinon.demo.cameras`, a process of its own), H.264 720p25, 2 Mbit/s, GOP 2 s, one write
a frame, RTP over TCP. The recorder checks every sequence number, hashes every byte, fsyncs every unit.

A camera-minute is 1,500 frames that came (for ffmpeg: their bytes), not a minute of the wall clock: a source that is
late on a busy machine flatters nobody.

`--seconds N` shortens the run of `cameras_per_core` (600 s by default); its row states what was run. `--tls` measures
something else: what it costs to record by TLS, as a multiple of the clear, in turns.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.frame import RUNS, CpuMeter, result, row, show

CAMERAS = 100
SECONDS = 20
WARM_UP = 6
FRAMES_A_MINUTE = 1500
BYTES_A_MINUTE = 2_000_000 / 8 * 60
STEPS = (500, 350, 250, 150)


def run(cores_seconds: float = 600.0, runs: int = RUNS, *, quick: bool = False) -> dict[str, Any]:
    """The rows `cpu_s_per_camera_minute`, `mb_per_camera`, `cameras_per_core`. `quick`: one run, 20 s of the last."""
    if quick:
        cores_seconds, runs = min(cores_seconds, 20.0), 1
    if shutil.which("ffmpeg") is None:
        raise SystemExit("ffmpeg is not installed: it makes the clip and is the peer")
    with tempfile.TemporaryDirectory() as name, _cameras(Path(name)) as port:
        place = Path(name)
        ours = [_measure(port, CAMERAS, SECONDS, place / f"ours-{each}") for each in range(runs)]
        theirs = [
            _measure_ffmpeg(port, CAMERAS, SECONDS, place / f"ffmpeg-{each}") for each in range(min(2, runs))
        ]
        threads = [
            _measure(port, CAMERAS, SECONDS, place / f"pyav-{each}", "--pyav") for each in range(min(2, runs))
        ]
        held, share, not_held = _cores(port, cores_seconds, place / "cores")
    assert all(each["lost"] == 0 for each in ours), "packets were lost"
    middle = sorted(theirs)[len(theirs) // 2]
    pyav = sorted(threads, key=lambda each: each["cpu"])[len(threads) // 2]
    stated = f"{SECONDS} s each; the peers neither check sequence numbers nor hash nor fsync"
    return result(
        "record",
        [
            row("cpu_s_per_camera_minute",
                f"{CAMERAS} cameras 720p25 2 Mbit/s, hashed and fsynced, user and system; {stated}", "s",
                [each["cpu"] for each in ours], "<= 0.06", {"ffmpeg_each": middle[0], "pyav_threads": pyav["cpu"]}),
            row("mb_per_camera", f"resident memory over that of the empty recorder, {CAMERAS} cameras", "MB",
                [each["mb"] for each in ours], "<= 1", {"ffmpeg_each": middle[1], "pyav_threads": pyav["mb"]}),
            row("cameras_per_core",
                f"one recorder process, all frames on time, no packet lost, {cores_seconds:.0f} s (600 s is the "
                f"claim), {share:.0%} of a core used{not_held}", "",
                [held], ">= 500"),
        ],
    )  # fmt: skip


def compare_tls(cameras: int = 20, seconds: float = 10.0, runs: int = RUNS) -> dict[str, Any]:
    """CPU seconds a camera-minute in the clear and by TLS, and the ratio of both; the same cameras, in turns."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        with _cameras(place) as port, _cameras(place, "--tls") as (encrypted, fingerprint):
            clear, hidden = [], []
            for each in range(runs):
                clear.append(_measure(port, cameras, seconds, place / f"clear-{each}"))
                folder = place / f"hidden-{each}"
                hidden.append(_measure(encrypted, cameras, seconds, folder, pin=fingerprint))
    for told in (*clear, *hidden):
        assert told["lost"] == told["gaps"] == 0 and told["came"] > 24, told
    return {
        "clear": [each["cpu"] for each in clear],
        "tls": [each["cpu"] for each in hidden],
        "ratio": sorted(b["cpu"] / a["cpu"] for a, b in zip(clear, hidden, strict=True))[runs // 2],
        "mb_more": hidden[-1]["mb"] - clear[-1]["mb"],
    }


@contextmanager
def _cameras(place: Path, *options: str) -> Iterator[Any]:
    """A process of virtual cameras; its port, and with `--tls` its fingerprint too."""
    source = subprocess.Popen(
        [sys.executable, "-m", "koinon.demo.cameras", str(place / "clips"), "--seconds", "10", *options],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert source.stdout is not None
    try:
        port = int(source.stdout.readline())
        yield (port, source.stdout.readline().strip()) if "--tls" in options else port
    finally:
        source.kill()
        source.wait()


def _measure(
    port: int, cameras: int, seconds: float, folder: Path, how: str = "--recorder", *, pin: str = ""
) -> dict[str, Any]:
    """What a recorder of so many cameras reports of itself; its files are removed. With `pin` it records by TLS."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.record", how, str(port), str(cameras), str(seconds), str(folder),
         "--pin", pin],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True,
    )  # fmt: skip
    shutil.rmtree(folder)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _measure_ffmpeg(port: int, cameras: int, seconds: float, folder: Path) -> tuple[float, float]:
    """CPU seconds a camera-minute and megabytes a camera of one `ffmpeg -c copy -f segment` a camera."""
    folder.mkdir()
    processes = []
    for each in range(cameras):
        processes.append(
            subprocess.Popen(
                ["ffmpeg", "-nostdin", "-v", "quiet", "-rtsp_transport", "tcp", "-i",
                 f"rtsp://127.0.0.1:{port}/peer{each}", "-c", "copy", "-f", "segment", "-segment_time", "60",
                 "-segment_format", "mp4", "-segment_format_options", "movflags=frag_keyframe+empty_moov",
                 str(folder / f"{each}-%03d.mp4")],
            )
        )  # fmt: skip
        time.sleep(0.05)
    try:
        time.sleep(WARM_UP)
        pids = [process.pid for process in processes]
        meter, before = CpuMeter(*pids), _size(folder)
        time.sleep(seconds)
        used, minutes = meter.seconds(), (_size(folder) - before) / BYTES_A_MINUTE
        memory = sum(_proportional_mb(pid) for pid in pids)
        recorded = sum(1 for path in folder.iterdir() if path.stat().st_size > 100_000)
        assert recorded == cameras, f"only {recorded} of {cameras} recorded"
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
        for process in processes:
            process.wait()
        shutil.rmtree(folder)
    return used / minutes, memory / cameras


def _size(folder: Path) -> int:
    """Bytes of the files in it."""
    return sum(path.stat().st_size for path in folder.iterdir())


def _cores(port: int, seconds: float, folder: Path) -> tuple[int, float, str]:
    """The most cameras, of a few numbers tried, of which one recorder process lost nothing; its share of a core; and
    what became of more.
    """
    not_held = ""
    for cameras in STEPS:
        told = _measure(port, cameras, seconds, folder)
        if told["lost"] == 0 and told["gaps"] == 0 and told["came"] >= 24.8:
            return cameras, told["share"], not_held
        not_held += f"; {cameras}: {told['lost']} packets lost, {told['gaps']} gaps, {told['came']:.1f} frames a second"
    return 0, 0.0, not_held


def _proportional_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _resident_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _record(port: int, cameras: int, seconds: float, folder: Path, pin: str = "") -> dict[str, Any]:
    """The recorder process: records, and measures itself once all cameras run."""
    import asyncio

    import uvloop

    from koinon.base.garbage import collect_seldom
    from koinon.base.logging import configure
    from koinon.video.recorder import Camera, Disk, Gap, Options, Unit, parse_source, prepare_folder

    configure("error", "benchmark")  # to standard error; the result is what goes to standard output
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    units: list[Unit] = []
    gaps: list[Gap] = []
    source = f"rtsps://127.0.0.1:{port}/ours%d#sha256={pin}" if pin else f"rtsp://127.0.0.1:{port}/ours%d"

    async def work() -> dict[str, Any]:
        prepare_folder(folder)
        disk = Disk(folder)
        collect_seldom()  # as the platform's recorder does
        empty = _resident_mb()
        stop = asyncio.Event()
        recorders = [
            Camera(
                parse_source(source % each), Options(name=f"c{each}"), disk,
                on_unit=units.append, on_gap=gaps.append,
            )
            for each in range(cameras)
        ]  # fmt: skip
        tasks = []
        for each in recorders:
            tasks.append(asyncio.create_task(each.record(stop)))
            await asyncio.sleep(0.005)
        await asyncio.sleep(WARM_UP)
        before, began, cleaned = os.times(), time.monotonic(), 0
        came = sum(each.counts.frames for each in recorders)
        while (left := began + seconds - time.monotonic()) > 0:
            await asyncio.sleep(min(5.0, left))
            for unit in units[cleaned:]:  # durable and hashed: make room
                unit.path.unlink()
            cleaned = len(units)
        after, took = os.times(), time.monotonic() - began
        came = sum(each.counts.frames for each in recorders) - came
        memory = _resident_mb()
        stop.set()
        await asyncio.gather(*tasks)
        disk.close()
        used = after.user + after.system - before.user - before.system
        return {
            "cpu": used / (came / FRAMES_A_MINUTE),
            "came": came / took / cameras,
            "share": used / took,
            "mb": (memory - empty) / cameras,
            "lost": sum(each.counts.lost_packets for each in recorders),
            "gaps": len(gaps),
        }

    return uvloop.run(work())


def _record_pyav(port: int, cameras: int, seconds: float, folder: Path) -> dict[str, Any]:
    """The peer: one process, a thread a camera, demuxed and muxed by PyAV without decoding."""
    import threading

    import av

    folder.mkdir()
    came = [0] * cameras
    stopping = threading.Event()
    empty = _resident_mb()

    def copy(each: int) -> None:
        url = f"rtsp://127.0.0.1:{port}/pyav{each}"
        with (
            av.open(url, options={"rtsp_transport": "tcp"}, timeout=(10.0, 10.0)) as source,
            av.open(
                str(folder / f"{each}.mp4"), "w", options={"movflags": "frag_keyframe+empty_moov"}
            ) as out,
        ):
            taken = source.streams.video[0]
            written = out.add_stream_from_template(taken)
            for packet in source.demux(taken):
                if stopping.is_set():
                    return
                if packet.dts is None:
                    continue
                packet.stream = written
                out.mux(packet)
                came[each] += 1

    threads = [threading.Thread(target=copy, args=(each,), daemon=True) for each in range(cameras)]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    time.sleep(WARM_UP)
    before, began, counted = os.times(), time.monotonic(), sum(came)
    time.sleep(seconds)
    after, took, counted = os.times(), time.monotonic() - began, sum(came) - counted
    assert min(came) > 0, "a thread recorded nothing"
    memory = _resident_mb()
    stopping.set()
    for thread in threads:
        thread.join(2.0)
    used = after.user + after.system - before.user - before.system
    return {"cpu": used / (counted / FRAMES_A_MINUTE), "came": counted / took / cameras,
            "mb": (memory - empty) / cameras}  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--recorder", nargs=4)
    parser.add_argument("--pyav", nargs=4)
    parser.add_argument("--pin", default="")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--cores-seconds", "--seconds", type=float, default=600.0)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.recorder or given.pyav:
        port, cameras, seconds, folder = given.recorder or given.pyav
        work = (int(port), int(cameras), float(seconds), Path(folder))
        print(json.dumps(_record(*work, given.pin) if given.recorder else _record_pyav(*work)))
    elif given.tls:
        print(json.dumps(compare_tls(runs=given.runs), indent=2))
    else:
        show(run(given.cores_seconds, given.runs))
