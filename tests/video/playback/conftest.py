"""Real units, recorded from a virtual camera, as a source of playback."""

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.video.rights import conftest as rights_conftest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from koinon.app.http import build_app
from koinon.app.server import listen, server
from koinon.app.wiring import open_platform
from koinon.base.clock import BRUSSELS
from koinon.demo.cameras import CameraServer, Clip
from koinon.demo.region.video import INVESTIGATION
from koinon.trust.parties.model import LOCAL_ISSUER
from koinon.trust.parties.sign_in import Session, SignIn
from koinon.video.cameras import store as cameras_store
from koinon.video.cameras.model import Driver, Role, StreamId
from koinon.video.playback import Playback, PlaybackSocket
from koinon.video.playback.pieces import of_us, to_us
from koinon.video.recorder import Camera, Disk, Options, Unit, parse_source, prepare_folder, read_unit
from koinon.video.recorder.disk import read_marker
from koinon.video.recordings import store
from koinon.video.recordings.model import EntryId, NewUnit, PlaceId, SampleEntry, StoredUnit, Track
from koinon.video.recordings.timeline import Known, Span, Stretch, draw
from koinon.video.rights import Rights, Tokens


def stored(unit: Unit, *, copy: int = 0, stream: int = 7) -> StoredUnit:
    """The unit as the index has it."""
    return StoredUnit(
        stream=StreamId(stream), start=unit.start, copy=copy, wall_us=unit.wall_us, media_ticks=unit.media_ticks,
        bytes=unit.bytes, frames=unit.frames, lost=0, damaged=0, place=PlaceId(1), file=str(unit.path), fence=1,
        run=unit.run, number=unit.number, entry=EntryId(1), sha256=bytes.fromhex(unit.sha256),
        key_frames=unit.key_frames, delta_us=unit.delta_us, camera_us=unit.camera_us, end_reason=unit.end_reason,
    )  # fmt: skip


film = rights_conftest.film


def read_bytes(path: Path, offset: int, length: int) -> bytes:
    """These bytes of a file."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


class Files:
    """A source of units on disk, with an index in memory."""

    def __init__(self, units: list[StoredUnit], gaps: list[Stretch] | None = None) -> None:
        self.units = sorted(units, key=lambda unit: (unit.start, unit.copy))
        self.gaps = gaps or []
        self.reads: list[tuple[str, int, int]] = []

    async def list_units(self, us: int) -> list[StoredUnit]:
        at = of_us(us)
        return [unit for unit in self.units if unit.end > at or unit.start > at][:8]

    async def find_before(self, us: int) -> StoredUnit | None:
        return next((unit for unit in reversed(self.units) if unit.start < of_us(us)), None)

    async def get_entry(self, entry: EntryId) -> SampleEntry:
        return SampleEntry(id=entry, codec="avc1", width=320, height=180, init=b"init")

    async def draw(self, since_us: int, until_us: int) -> list[Span]:
        recorded = [Stretch(unit.start, unit.end) for unit in self.units]
        return draw(of_us(since_us), of_us(until_us), Known(recorded=recorded, gaps=self.gaps))

    async def read(self, unit: StoredUnit, offset: int, length: int) -> bytes:
        self.reads.append((unit.file, offset, length))
        return read_bytes(Path(unit.file), offset, length)

    @property
    def since_us(self) -> int:
        return to_us(self.units[0].start)

    @property
    def until_us(self) -> int:
        return to_us(max(unit.end for unit in self.units))


async def _record(folder: Path, clip: Clip, seconds: float, unit_seconds: float = 2.0) -> list[StoredUnit]:
    units: list[Unit] = []
    prepare_folder(folder)
    disk = Disk(folder, least_free=1 << 20)
    async with CameraServer([clip]) as server:
        camera = Camera(
            parse_source(server.url("cam")),
            Options(name="cam", unit_seconds=unit_seconds),
            disk,
            on_unit=units.append,
            on_gap=lambda gap: None,
        )
        stop = asyncio.Event()
        task = asyncio.create_task(camera.record(stop))
        await asyncio.sleep(seconds)
        stop.set()
        await task
    await asyncio.to_thread(disk.close)
    return [stored(unit) for unit in units]


@pytest.fixture(scope="session")
def units(clips: Any, tmp_path_factory: pytest.TempPathFactory) -> list[StoredUnit]:
    """Units of about two seconds, 25 frames a second, a key frame every 13, no gap between them; recorded once."""
    return asyncio.run(_record(tmp_path_factory.mktemp("units"), clips(), 7.5))


@pytest.fixture(scope="session")
def b_frame_units(clips: Any, tmp_path_factory: pytest.TempPathFactory) -> list[StoredUnit]:
    """The same with frames that are not shown in the order in which they are decoded."""
    clip = clips(b_frames=2, gop=25)
    return asyncio.run(_record(tmp_path_factory.mktemp("b-frames"), clip, 3.5))


def moved(unit: StoredUnit, by: timedelta, **changes: Any) -> StoredUnit:
    """The same file as if recorded at another time."""
    return msgspec.structs.replace(unit, start=unit.start + by, **changes)


async def index(connection: Any, units: list[StoredUnit], stream: StreamId, *, copy: int = 0) -> None:
    """The units are in the index, as those of this stream; the folder in which they lie is a known place."""
    folder = folder_of(units)
    place = await store.ensure_place(connection, read_marker(folder), "folder", str(folder))
    for unit in units:
        read = read_unit(Path(unit.file))
        entry = await store.ensure_entry(connection, read)
        read = msgspec.structs.replace(read, start=unit.start, stream=stream, copy=copy)
        new = NewUnit(
            track=Track(stream, copy), unit=read, place=place.id, entry=entry,
            file=str(Path(unit.file).relative_to(folder)),
        )  # fmt: skip
        assert await store.adopt_unit(connection, new)


def folder_of(units: list[StoredUnit]) -> Path:
    """In which they lie."""
    return Path(units[0].file).parents[2]


class Scene:
    """A region in which south-1 has recordings, a web process that shows them, and whoever watches."""

    def __init__(
        self, world: rights_conftest.Film, rights: Rights, playback: Playback, units: list[StoredUnit]
    ) -> None:
        self.film, self.rights, self.playback, self.units = world, rights, playback, units
        self.streams: dict[str, StreamId] = {}
        self.session: Session = world.session("iris", "investigator")
        self.origin = ""
        self.found: Session | None = self.session

    def request(self, **changes: Any) -> dict[str, Any]:
        values = {
            "camera": str(self.film.camera["south-1"].id),
            "action": "view_recording",
            "purpose": INVESTIGATION,
            "case": "PV-1",
            "since": self.units[0].start.isoformat(),
            "until": self.units[-1].end.isoformat(),
        }
        return {**values, **changes}

    @contextlib.asynccontextmanager
    async def watch(self, request: dict[str, Any] | None = None, query: str = "") -> AsyncIterator["Player"]:
        host = self.origin.removeprefix("http://")
        async with connect(f"ws://{host}/video/playback{query}", origin=self.origin, max_size=None) as socket:
            player = Player(socket)
            with contextlib.suppress(ConnectionClosed):  # refused before it was asked
                await player.say(**(request or self.request()))
            yield player


class Player:
    """What a player gets, in order."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.got: list[Any] = []

    async def say(self, **said: Any) -> None:
        await self.socket.send(json.dumps(said))

    async def hear(self, name: str, seconds: float = 5.0) -> Any:
        """Everything up to the next text of that name; what it says."""
        async with asyncio.timeout(seconds):
            while True:
                message = await self.socket.recv()
                if isinstance(message, str):
                    told = json.loads(message)
                    self.got.append(told)
                    if name in told:
                        return told[name]
                else:
                    self.got.append(Binary(message))
                    if name == "media" and self.got[-1].kind == 2:
                        return self.got[-1]

    @property
    def media(self) -> list["Binary"]:
        return [each for each in self.got if isinstance(each, Binary) and each.kind == 2]


class Binary:
    """A binary message."""

    def __init__(self, data: bytes) -> None:
        self.kind, self.flags, _, self.duration, self.us, self.shown = struct.unpack_from(">BBHIQQ", data)
        self.body = data[24:]


@pytest.fixture
async def scene(
    film: rights_conftest.Film, make_gate: Any, units: list[StoredUnit], serve_it: Any
) -> AsyncIterator[Scene]:
    """An investigator of zone West may look back at south-1, which is recorded; nothing is masked on it."""
    gate, uses = await make_gate()
    rights = Rights(database=gate.database, gate=gate, uses=uses, tokens=Tokens.load(film.world.home))
    playback = Playback(gate.database, gate.clock, folder_of(units))
    scene = Scene(film, rights, playback, units)
    async with film.world.database.transaction() as connection:
        for code, camera in film.camera.items():
            scene.streams[code] = await cameras_store.put_stream(
                connection, camera.id, Role.MAIN, sealed_source=b"-", address="rtsp://demo/1", driver=Driver.RTSP,
                recorded=True, at=gate.clock.now(),
            )  # fmt: skip
        await index(connection, units, scene.streams["south-1"])

    async def find_session(connection: Any) -> Session | None:
        return scene.found

    socket = PlaybackSocket(
        playback,
        rights,
        describe=lambda connection, error: error.problem(),
        language_of=lambda connection: "en",
        find_session=find_session,
    )

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {})["koinon_session"] = scene.found
        await socket(scope, receive, send)

    scene.origin = await serve_it(app)
    yield scene
    await playback.close()


@pytest.fixture
async def serve_it() -> AsyncIterator[Callable[[Any], Awaitable[str]]]:
    """Serves an application as the web process does: its connections know their transport."""
    running: list[tuple[Any, asyncio.Task[None]]] = []

    async def serve(app: Any) -> str:
        listener = listen("127.0.0.1", 0)
        made = server(app, host="127.0.0.1", port=0)
        running.append((made, asyncio.create_task(made.serve([listener]))))
        while not made.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield serve
    for made, task in running:
        made.should_exit = True
        await task


class Site:
    """The platform's own pages, for one who is signed in."""

    def __init__(self, world: rights_conftest.Film, origin: str, token: str, units: list[StoredUnit]) -> None:
        self.film, self.origin, self.token, self.units = world, origin, token, units
        self.sign_in_with: Any = None
        self.platform: Any = None
        self.playback: Any = None
        self.live: Any = None

    async def open(self, new_page: Any, **options: Any) -> Any:
        page = await new_page(**options)
        await page.context.add_cookies([{"name": "koinon_session", "value": self.token, "url": self.origin}])
        await page.goto(f"{self.origin}/video/playback")
        return page

    async def sign_in(self, login: str) -> str:
        """The token of a session of that person."""
        async with self.film.world.database.transaction() as connection:
            found: str = await self.sign_in_with.sessions.open(
                connection, LOCAL_ISSUER, login, self.film.world.clock.now()
            )
        return found

    async def begin(self, page: Any, *cameras: str, at: datetime | None = None, length: str = "900") -> None:
        start = (at or self.units[0].start - timedelta(seconds=30)).astimezone(BRUSSELS)
        for camera in cameras:
            await page.check(f"input[name=camera][value='{self.film.camera[camera].id}']")
        await page.fill("[name=date]", f"{start:%Y-%m-%d}")
        await page.fill("[name=time]", f"{start:%H:%M}")
        if (
            start.utcoffset() != start.replace(fold=1 - start.fold).utcoffset()
        ):  # in the hour that comes twice
            await page.select_option("[name=which]", str(start.fold))
        await page.select_option("[name=length]", length)
        await page.select_option("[name=purpose]", INVESTIGATION)
        await page.fill("[name=case]", "PV-1")
        await page.click(".playback-ask .actions button")


@pytest.fixture
async def site(film: rights_conftest.Film, units: list[StoredUnit], serve_it: Any) -> AsyncIterator[Site]:
    """South-1 has recordings, and no others; iris, an investigator of zone West, is signed in."""
    world = film.world
    settings = msgspec.structs.replace(
        world.settings, recordings_folder=str(folder_of(units)), epoch_limit_seconds=30.0
    )
    async with open_platform(settings, url=world.url, clock=world.clock, sources={}) as platform:
        sign_in = SignIn(platform.database, world.sealer, settings, world.clock)
        async with world.database.transaction() as connection:
            for code in ("south-1", "centre-1"):
                stream = await cameras_store.put_stream(
                    connection, film.camera[code].id, Role.MAIN, sealed_source=b"-", address="rtsp://demo/1",
                    driver=Driver.RTSP, recorded=True, at=world.clock.now(),
                )  # fmt: skip
                if code == "south-1":
                    await index(connection, units, stream)
                else:
                    await index(connection, units[:1], stream)
                    await connection.execute(
                        "INSERT INTO recordings.gap VALUES ($1, 0, $2, $3, 'silent')",
                        stream, units[0].end, units[-1].end + timedelta(minutes=3),
                    )  # fmt: skip
            token = await sign_in.sessions.open(connection, LOCAL_ISSUER, "iris", world.clock.now())
        origin = await serve_it(build_app(platform, sign_in))
        made = Site(film, origin, token, units)
        made.sign_in_with, made.playback, made.live = sign_in, platform.playback, platform.live
        made.platform = platform
        yield made
        await sign_in.close()
