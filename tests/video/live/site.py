"""The live pages and their WebSocket as a web process serves them, over a tap on virtual cameras.

Who may see what is decided by a stand-in here: the rights have tests of their own, and a journey joins both.
"""

import asyncio
import types
from datetime import UTC, datetime
from uuid import UUID, uuid4

from litestar import Litestar
from litestar.di import Provide

from koinon.app.server import listen, server
from koinon.base.clock import SystemClock
from koinon.base.errors import NotFound
from koinon.base.text import Text
from koinon.portal import Portal, problem_document
from koinon.trust.gate import Cut, EndReason
from koinon.trust.parties.sign_in import Session, viewer_of
from koinon.trust.standing import Standing
from koinon.video import rights
from koinon.video.cameras import Camera, PlaceKind, Sensor, SourceKey
from koinon.video.cameras.model import Role
from koinon.video.live import web
from koinon.video.live.socket import LiveSocket
from koinon.video.steering import Steering

PARTY = UUID(int=7)


class View:
    """Stands for a view of `koinon.video.rights`."""

    def __init__(self, request, watermark):
        self.id, self.request, self.masked = uuid4(), request, False
        self.watermark = watermark
        self.use = types.SimpleNamespace(cut=None, bytes=0)
        self.ended = None
        self._acts = []

    async def go_on(self, bytes=0):
        if self.use.cut is not None:
            raise self.use.cut
        self.use.bytes += bytes

    @property
    def bytes(self):
        return self.use.bytes

    def on_cut(self, act):
        if self.use.cut is not None:
            act()
        else:
            self._acts.append(act)

    def cut(self, code="authorisation_suspended"):
        self.use.cut = Cut(EndReason.CUT, code)
        for act in self._acts:
            act()

    async def end(self, reason=EndReason.COMPLETED):
        self.ended = self.ended or (self.use.cut.end if self.use.cut else reason)


class Rights(rights.Rights):
    """Gives a view of every camera in its list, or what it was told to raise.

    Attributes:
        views: all that were opened.
        refusal: raised instead, if set.
    """

    def __init__(self, cameras):
        self.cameras, self.views, self.refusal = cameras, [], None
        self.watermark = Text("An Peeters · Zone West", "An Peeters · Zone Ouest", "An Peeters · Zone West")

    async def open(self, session, request, *, station=None):
        if self.refusal is not None:
            raise self.refusal
        if request.camera not in {camera.id for camera in self.cameras}:
            raise NotFound("camera_unknown")
        self.views.append(View(request, self.watermark))
        return self.views[-1]

    async def find_station(self, session):
        return None

    async def list_visible_cameras(self, session, action):
        return self.cameras

    async def list_offers(self, session, action, among=None):
        return []

    async def list_stops(self, session, action, among, offered):
        return []


class Known(Standing):
    """A standing in which the viewer's party has one purpose."""

    def __init__(self):
        zone = types.SimpleNamespace(name=Text("Zone West", "Zone Ouest", "Zone West"))
        self.register = types.SimpleNamespace(parties={PARTY: zone})

    def list_purposes(self, party, action):
        return {"public-order"}


class Live:
    """The hub, and which stream is whose: camera 1 has main stream 1 and, where told, a sub stream."""

    def __init__(self, hub, streams):
        self.hub, self.streams = hub, streams

    async def find(self, camera, role):
        return self.streams.get((camera, role))


def camera(number):
    return Camera(
        id=UUID(int=number), code=f"c{number}", owner=PARTY, name=f"Vossenplein {number}", latitude=50.8, longitude=4.3,
        place_kind=PlaceKind.PUBLIC_OPEN, municipality="21004", sensor=Sensor.FIXED, shared=True,
    )  # fmt: skip


def session():
    now = datetime.now(UTC)
    return Session(
        token_hash=b"t" * 32, csrf_token="csrf", issuer="local", subject="an", person=UUID(int=3), party=PARTY,
        party_kind="police_zone", party_name=Text("Zone West", "Zone Ouest", "Zone West"), name="An Peeters",
        profile=None, language=None, signed_in_at=now, expires_at=now,
    )  # fmt: skip


class Site:
    """Attributes: origin; rights; live; session, which may be set to None: signed out."""

    def __init__(self, hub, database, streams, cameras):
        self.session = session()
        self.rights = Rights(cameras)
        self.live = Live(hub, streams)
        self.portal = Portal(
            packages=["koinon.video.rights", "koinon.video.live", "koinon.video.steering"],
            viewer_of=viewer_of,
            navigation=web.navigation,
            problems=web.problems,
        )
        given = {
            "session": self.session, "rights": self.rights, "standing": Known(), "database": database,
            "steering": Steering(database, SourceKey(bytes(32)), SystemClock()),
        }  # fmt: skip
        pages = Litestar(
            route_handlers=list(web.handlers),
            plugins=[self.portal],
            dependencies={name: Provide(_constant(value), sync_to_thread=False) for name, value in given.items()},
            logging_config=None,
        )  # fmt: skip
        self.socket = LiveSocket(
            self.live,
            self.rights,
            describe=lambda connection, error: problem_document(self.portal, connection, error),
            language_of=self.portal.language_of,
            find_session=self._find,
        )

        async def app(scope, receive, send):
            scope.setdefault("state", {})["koinon_session"] = self.session
            if scope["type"] == "websocket":
                await self.socket(scope, receive, send)
            else:
                await pages(scope, receive, send)

        self.app = app

    async def _find(self, connection):
        return self.session

    async def start(self):
        listener = listen("127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._running = server(self.app, host="127.0.0.1", port=0)
        self._task = asyncio.create_task(self._running.serve([listener]))
        while not self._running.started:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)

    async def stop(self):
        self._running.force_exit = True
        self._running.should_exit = True
        await self._task

    @property
    def views(self):
        return self.rights.views


def _constant(value):
    return lambda: value


def main_streams(*numbers):
    return {(UUID(int=number), Role.MAIN): number for number in numbers}
