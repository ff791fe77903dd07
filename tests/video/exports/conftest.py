"""A region in which south-1 has recordings, a web process that is asked for exports, and a worker that makes them."""

import asyncio
import io
import re
import shutil
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from tests.video.playback import conftest as playback_conftest
from tests.video.playback.conftest import Site, folder_of
from tests.video.rights import conftest as rights_conftest

from koinon.app.exports import maker_of
from koinon.app.wiring import Platform, open_platform
from koinon.base.crypto import SigningKey
from koinon.base.errors import Unavailable
from koinon.demo.region.video import INVESTIGATION
from koinon.video.exports.making import Maker
from koinon.video.exports.model import ExportId
from koinon.video.exports.shelf import open_shelf
from koinon.video.masks.stream import MaskPool
from koinon.video.recordings.model import StoredUnit

film = rights_conftest.film
serve_it = playback_conftest.serve_it
site = playback_conftest.site


@pytest.fixture(scope="session")
def recorded(clips: Any, tmp_path_factory: pytest.TempPathFactory) -> list[StoredUnit]:
    """Units of about two seconds, recorded once."""
    return asyncio.run(playback_conftest._record(tmp_path_factory.mktemp("recorded"), clips(), 4.6))


@pytest.fixture
def units(recorded: list[StoredUnit], tmp_path: Path) -> list[StoredUnit]:
    """The same in a folder of this test's own: what is deleted is deleted."""
    whole, own = folder_of(recorded), tmp_path / "recordings"
    shutil.copytree(whole, own)
    return [
        msgspec.structs.replace(each, file=str(own / Path(each.file).relative_to(whole))) for each in recorded
    ]


class Studio:
    """Somebody who is signed in and asks; and the worker, which makes what they asked when it is told to."""

    def __init__(self, site: Site, worker: Platform, pool: MaskPool) -> None:
        self.site, self.worker, self.pool = site, worker, pool
        self.world = site.film.world
        self.maker: Maker = maker_of(worker, pool)
        self.shelf = open_shelf(worker.database, worker.clock, worker.settings)
        self.http = self.client(site.token)

    def client(self, token: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.site.origin, headers={"Cookie": f"koinon_session={token}"}, timeout=30
        )

    @property
    def key(self) -> SigningKey:
        return self.worker.key

    def request(self, *cameras: str, **changes: Any) -> dict[str, Any]:
        units = self.site.units
        return {
            "cameras": [str(self.site.film.camera[each].id) for each in cameras or ("south-1",)],
            "purpose": INVESTIGATION, "case": "PV-1", "reason": "for the file",
            "since": units[0].start.isoformat(), "until": units[-1].end.isoformat(), **changes,
        }  # fmt: skip

    async def post(self, path: str, http: httpx.AsyncClient | None = None, **options: Any) -> httpx.Response:
        http = http or self.http
        if "X-CSRF-Token" not in http.headers:
            page = await http.get("/me", headers={"Accept": "text/html"})
            found = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
            http.headers["X-CSRF-Token"] = found[1] if found else ""
        return await http.post(path, **options)

    async def ask(self, *cameras: str, **changes: Any) -> httpx.Response:
        return await self.post("/api/video/exports", json=self.request(*cameras, **changes))

    async def second(self, camera: str = "south-1", **changes: Any) -> dict[str, str]:
        """What ivo confirmed of a request: `confirmations` of it."""
        asked = self.request(camera, **changes)
        form = asked.pop("form", "clip")
        asked.pop("cameras")
        id_ = str(self.site.film.camera[camera].id)
        body = {**asked, "camera": id_, "action": "export", "original": form == "evidence"}
        told = await self.post("/api/video/confirmations", json=body)
        assert told.status_code == 201, told.text
        other = self.client(await self.site.sign_in("ivo"))
        done = await self.post(
            f"/video/confirmations/{told.json()['confirmation']}", other, data={"answer": "confirm"}
        )
        assert done.status_code == 303, done.text
        await other.aclose()
        return {id_: told.json()["confirmation"]}

    async def make(self, *cameras: str, **changes: Any) -> dict[str, Any]:
        """An export that was asked and made; what is told about it then."""
        asked = await self.ask(*cameras, **changes)
        assert asked.status_code == 202, asked.text
        while True:
            try:
                await self.maker.make(ExportId(UUID(asked.json()["id"])))
            except Unavailable as error:
                if error.code != "standing_unconfirmed":  # then its job tries again too
                    raise
            else:
                return await self.look(asked.json()["id"])

    async def look(self, id_: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.http.get(f"/api/video/exports/{id_}")).json()
        return found

    async def fetch(self, id_: str, http: httpx.AsyncClient | None = None) -> httpx.Response:
        ticket = await self.post(f"/api/video/exports/{id_}/token", http)
        if ticket.status_code != 200:
            return ticket
        return await (http or self.http).get(ticket.json()["package"])

    async def save(self, id_: str, path: Path) -> dict[str, Any]:
        """The package is in the file; its manifest."""
        answer = await self.fetch(id_)
        assert answer.status_code == 200, answer.text
        await asyncio.to_thread(path.write_bytes, answer.content)
        manifest: dict[str, Any] = msgspec.json.decode(
            zipfile.ZipFile(io.BytesIO(answer.content)).read("manifest.json")
        )
        return manifest

    async def pieces(self) -> list[Path]:
        """What lies beside the recordings."""
        return sorted((folder_of(self.site.units) / "exports").glob("*.sealed"))


@pytest.fixture
async def studio(site: Site, units: list[StoredUnit]) -> AsyncIterator[Studio]:
    world = site.film.world
    settings = msgspec.structs.replace(world.settings, recordings_folder=str(folder_of(units)))
    pool = MaskPool(processes=1)
    async with open_platform(settings, url=world.url, clock=world.clock, sources={}, kind="worker") as worker:
        made = Studio(site, worker, pool)
        yield made
        await made.http.aclose()
    await pool.close()


__all__ = ["film", "serve_it", "site"]
