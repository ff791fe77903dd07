"""Shared video in the story of the demo region: a view under the convention, its trace, the cut, a term that ended."""

import asyncio
import random
import struct
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from koinon.base.clock import SystemClock
from koinon.base.database import Database
from koinon.base.settings import load_settings
from koinon.base.text import Text
from koinon.demo.cameras_seed import CAMERAS
from koinon.demo.region.video import PUBLIC_ORDER, VIDEO
from koinon.demo.story import Failed, hold
from koinon.trust.standing import StandingLoader
from koinon.trust.standing.acts import Deed
from koinon.video.cameras import Role, open_source
from koinon.video.cameras import store as register
from koinon.video.recorder import Camera, Disk, Options, parse_source
from koinon.video.recordings import store as recordings
from koinon.video.recordings.orphans import reconcile
from koinon.video.terms import Why, list_deleted, list_garbage_files, regimes_of
from koinon.video.terms.deletion import mark_due, sweep

StepMaker = Callable[[str], AbstractContextManager[None]]
Browser = Callable[[str], AbstractContextManager[httpx.Client]]
Act = Callable[..., None]

CAMERA = "south-1"
_PICTURE_SECONDS = 60.0  # the first start makes the clips first
_PAST = timedelta(days=31)
_HEAD = struct.Struct(">BBHIQQ")
_MEDIA = 2


def tell_video(
    step: StepMaker, told: dict[str, Any], url: str, home: Path, browser: Browser, act: Act
) -> None:
    """What the steps found stands in `told["video"]`; the exchange of images is given back in any case."""
    found: dict[str, Any] = {}
    told["video"] = found
    suspended = False
    try:
        with browser("wim") as operator, browser("hugo") as owner:
            camera = _camera(operator)
            with step(
                "an operator of zone West looks live through a camera of zone South, under the convention"
            ):
                viewer = _Viewer(url, operator, camera)
                viewer.await_pictures()
                found["view"] = viewer.opened
            with step("its owner finds that view in the trace"):
                page = owner.get("/video/uses", params={"camera": CAMERA}).text
                hold("Wim Demo" in page and VIDEO in page, "the owner sees who and on which authorisation")
            with step("the Commission suspends the exchange of images; the picture stops within a second"):
                suspended = True
                began = time.monotonic()
                act(
                    Deed.SUSPEND,
                    Text("Proef van de rem (demo)", "Essai du frein (démo)", "Trial of the brake (demo)"),
                    VIDEO,
                )
                found["cut_seconds"] = viewer.await_cut(began)
                found["cut_code"] = viewer.cut.get("code")
                hold(found["cut_seconds"] <= 1.0, f"the last picture came after {found['cut_seconds']:.2f} s")
    finally:
        if suspended:
            with step("the Commission gives the exchange of images back"):
                act(
                    Deed.RESUME,
                    Text("Einde van de demonstratie", "Fin de la démonstration", "End of the demonstration"),
                    VIDEO,
                )
    with step("a recording whose term ran out is gone: its file, its row; that it was deleted is told"):
        found["term"] = asyncio.run(_let_a_term_run_out(home))


def _camera(browser: httpx.Client) -> str:
    """The id of the camera, among those that the operator may know of."""
    cameras = browser.get("/api/video/cameras").json()
    for each in cameras["cameras"]:
        if each["code"] == CAMERA:
            return str(each["id"])
    raise Failed(f"{CAMERA} is not among the cameras that the operator may see")


class _Viewer:
    """A player without a screen: counts pictures, and knows when the last one came and why no more do."""

    def __init__(self, url: str, browser: httpx.Client, camera: str) -> None:
        self.opened: dict[str, Any] = {}
        self.cut: dict[str, Any] = {}
        self.pictures = 0
        self._last = 0.0
        self._some = threading.Event()
        self._ended = threading.Event()
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        self._socket: ClientConnection = connect(
            url.replace("http", "ws", 1) + "/video/live",
            origin=Origin(url),
            additional_headers={"cookie": cookies},
            max_size=1 << 24,
            compression=None,
        )
        request = {"camera": camera, "action": "view_live", "purpose": PUBLIC_ORDER, "case": "DEMO-VIDEO"}
        self._socket.send(msgspec.json.encode(request).decode())
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for message in self._socket:
                if isinstance(message, bytes):
                    if _HEAD.unpack_from(message)[0] == _MEDIA:
                        self.pictures += 1
                        self._last = time.monotonic()
                        if self.pictures >= 25:
                            self._some.set()
                    continue
                said = msgspec.json.decode(message)
                self.opened = said.get("opened", self.opened)
                self.cut = said.get("cut") or said.get("problem") or self.cut
        except (ConnectionClosed, OSError):
            pass
        finally:
            self._ended.set()
            self._some.set()

    def await_pictures(self) -> None:
        """A second of pictures has come."""
        self._some.wait(_PICTURE_SECONDS)
        hold(self.pictures >= 25, f"{self.pictures} pictures came: {self.cut or 'no reason was told'}")

    def await_cut(self, began: float) -> float:
        """The connection was ended; seconds from `began` to the last picture."""
        hold(self._ended.wait(5), "the view was not ended")
        return round(max(0.0, self._last - began), 3)


class _Past(SystemClock):
    """The machine's clock as it was when what is recorded now would be past its term."""

    def now(self) -> datetime:
        return super().now() - _PAST


async def _let_a_term_run_out(home: Path) -> dict[str, Any]:
    """Some seconds are recorded as if a month ago, indexed as a recorder does after a crash, and found past their term
    by what the worker runs every few minutes.
    """
    settings = load_settings({}, home=home)
    url = settings.database_url or _embedded(home)
    code = CAMERAS[0].code
    async with await Database.open(url, kind="owner", max_size=3) as database:
        async with database.acquire() as connection:
            camera = await register.find_camera_by_code(connection, code)
            assert camera is not None
            streams = (await register.list_streams(connection, [camera.id]))[camera.id]
            places = [each for each in await recordings.list_places(connection) if each.kind == "folder"]
            standing = await StandingLoader(demo=True)(connection)
        main = next(each for each in streams if each.role is Role.MAIN)
        small = next(each for each in streams if each.role is Role.SUB)
        hold(bool(places), "a recorder made its folder")
        folder = Path(places[0].address)
        source = parse_source(open_source(home, small))
        file = await _record(source, folder, code, int(main.id))
        since = _Past().now() - timedelta(minutes=5)
        await reconcile(database, places[0], folder, [int(main.id)], since, spare=list_garbage_files)
        hold(file.exists(), "the recording stands on the disk")
        await mark_due(database, regimes_of(standing), SystemClock())
        await sweep(database, home)
        hold(not file.exists(), "its file is gone")
        async with database.acquire() as connection:
            gone = await list_deleted(connection, main.id, since, _Past().now())
    hold(any(each.why in (Why.TERM, Why.MAXIMUM) for each in gone), f"it is told why it is gone: {gone}")
    return {"camera": code, "units": sum(each.units for each in gone), "why": gone[-1].why}


async def _record(source: Any, folder: Path, code: str, stream: int) -> Path:
    units: list[Any] = []
    disk = Disk(folder)
    stop = asyncio.Event()
    camera = Camera(
        source,
        Options(name=code, stream=stream),
        disk,
        on_unit=units.append,
        on_gap=lambda gap: None,
        clock=_Past(),
        chance=random.Random(1),  # noqa: S311 - jitter
    )
    asyncio.get_running_loop().call_later(4.0, stop.set)
    try:
        await camera.record(stop)
    finally:
        disk.close()
    hold(bool(units), "something was recorded")
    path: Path = units[0].path
    return path


def _embedded(home: Path) -> str:
    from koinon.base.database import embedded

    return embedded.ensure_running(home)
