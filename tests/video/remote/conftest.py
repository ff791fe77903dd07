"""A region in which south-1 is recorded by its owner's own system, a web process, and a worker that fetches."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from tests.video.exports.conftest import Studio
from tests.video.playback import conftest as playback_conftest
from tests.video.rights import conftest as rights_conftest

from koinon.app.http import build_app
from koinon.app.remote import fetcher_of
from koinon.app.wiring import open_platform
from koinon.demo.cameras import ReplayServer
from koinon.demo.region.video import INVESTIGATION, VIDEO, ZONE_SOUTH
from koinon.trust.parties import INSTALLER, Author
from koinon.trust.parties.model import LOCAL_ISSUER
from koinon.trust.parties.sign_in import SignIn
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.cameras import Role, SourceKey, service
from koinon.video.recorder import Options, prepare_folder
from koinon.video.recorder.disk import read_marker
from koinon.video.recordings import store as recordings
from koinon.video.remote import store
from koinon.video.remote.sources import set_source

film = rights_conftest.film
serve_it = playback_conftest.serve_it

QUICK = partial(Options, unit_seconds=10.0, silence_seconds=0.5, connect_seconds=0.5)


class Gateway:
    """The partner's system, who asks, and the worker, which fetches when it is told to."""

    def __init__(
        self, world: rights_conftest.Film, partner: ReplayServer, start: datetime, folder: Path
    ) -> None:
        self.film, self.world, self.partner, self.folder = world, world.world, partner, folder
        self.start = start  # of an hour that the partner holds, but for twenty seconds after its first forty
        self.stream: Any = 0
        self.origin = ""
        self.sign_in_with: Any = None
        self.fetcher: Any = None
        self.worker: Any = None
        self.web: Any = None
        self.http: httpx.AsyncClient

    @property
    def camera(self) -> Any:
        return self.film.camera["south-1"]

    def at(self, seconds: float) -> datetime:
        return self.start + timedelta(seconds=seconds)

    async def client(self, login: str) -> httpx.AsyncClient:
        async with self.world.database.transaction() as connection:
            token = await self.sign_in_with.sessions.open(
                connection, LOCAL_ISSUER, login, self.world.clock.now()
            )
        return httpx.AsyncClient(
            base_url=self.origin, headers={"Cookie": f"koinon_session={token}"}, timeout=30
        )

    post = Studio.post

    async def ask(self, since: float, until: float, http: Any = None, **changes: Any) -> httpx.Response:
        asked = {
            "camera": str(self.camera.id), "purpose": INVESTIGATION, "case": "PV-1",
            "since": self.at(since).isoformat(), "until": self.at(until).isoformat(), **changes,
        }  # fmt: skip
        return await self.post("/api/video/asks", http, json=asked)

    async def act(self, deed: Deed) -> None:
        """The Commission's act on the authorisation; the web process knows of it, as others do within a second."""
        keeper = self.web.keeper
        before = (await keeper.settle()).epoch
        await self.world.act("chair", deed, TargetKind.AUTHORISATION, VIDEO)
        await keeper.refresh(beyond=before)

    async def queued(self) -> list[UUID]:
        async with self.world.database.acquire() as connection:
            rows = await connection.fetch(
                "SELECT id FROM remote.fetch WHERE state = 'queued' ORDER BY asked_at, since"
            )
        return [row["id"] for row in rows]

    async def fetch_all(self) -> list[Any]:
        """Whatever waits is fetched, one after the other."""
        done = []
        while waiting := await self.queued():
            done.append(await self.fetcher.fetch(waiting[0]))
        return done

    async def look(self, answer: httpx.Response, http: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = (
            await (http or self.http).get(f"/api/video/asks/{answer.json()['id']}")
        ).json()
        return found

    async def units(self) -> list[Any]:
        async with self.world.database.acquire() as connection:
            return await recordings.list_units(
                connection, self.stream, self.start - timedelta(days=1), self.start + timedelta(days=1)
            )

    async def spans(self, since: float, until: float) -> list[tuple[str, str, float]]:
        """The timeline as its asker sees it: state, reason, and when it begins in seconds from `start`."""
        query = {
            "camera": str(self.camera.id), "purpose": INVESTIGATION, "case": "PV-1",
            "since": self.at(since).isoformat(), "until": self.at(until).isoformat(),
        }  # fmt: skip
        answer = (await self.http.get("/api/video/timelines", params=query)).json()
        told = answer["cameras"][str(self.camera.id)]["spans"]
        first = self.start.timestamp() * 1e6
        return [
            (each["state"], each.get("reason", ""), round((each["start"] - first) / 1e6, 3)) for each in told
        ]


@pytest.fixture
async def gateway(film: Any, serve_it: Any, clips: Any, tmp_path: Path) -> AsyncIterator[Gateway]:
    world = film.world
    start = datetime.fromtimestamp((world.clock.now().timestamp() - 7200) // 60 * 60, UTC)
    held = [
        (start, start + timedelta(seconds=40)),
        (start + timedelta(seconds=60), start + timedelta(hours=1)),
    ]
    folder = tmp_path / "recordings"
    prepare_folder(folder)
    settings = msgspec.structs.replace(world.settings, recordings_folder=str(folder))
    async with contextlib.AsyncExitStack() as stack:
        partner = await stack.enter_async_context(ReplayServer([clips(gop=25)], lambda: held, scheme="md5"))
        made = Gateway(film, partner, start, folder)
        made.web = web = await stack.enter_async_context(
            open_platform(settings, url=world.url, clock=world.clock, sources={})
        )
        made.worker = await stack.enter_async_context(
            open_platform(settings, url=world.url, clock=world.clock, sources={}, kind="worker")
        )
        owner, at = world.region.parties[ZONE_SOUTH], world.clock.now()
        by = Author(party=owner, profile="camera_manager")
        async with world.database.transaction() as connection:
            await recordings.ensure_place(connection, read_marker(folder), "folder", str(folder))
            await service.allow_network(
                connection, world.sealer, owner, "127.0.0.0/8", loopback=True, by=INSTALLER, at=at
            )
            key = SourceKey.of(settings.home)
            url = partner.url("metro")
            await service.set_stream(
                connection, world.sealer, key, made.camera.id, Role.MAIN, url, by=by, at=at
            )
            await set_source(connection, world.sealer, key, made.camera.id, url, keep_days=7, by=by, at=at)
            made.stream = await store.find_stream(connection, made.camera.id)
        made.fetcher = fetcher_of(made.worker)
        made.fetcher._options, made.fetcher._least_free = QUICK, 1 << 20
        made.sign_in_with = SignIn(web.database, world.sealer, settings, world.clock)
        made.origin = await serve_it(build_app(web, made.sign_in_with))
        made.http = await made.client("iris")
        yield made
        await made.http.aclose()
        await made.sign_in_with.close()
        await made.fetcher.close()
        await asyncio.sleep(0)


__all__ = ["film", "serve_it"]
