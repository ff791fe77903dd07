"""One demo region for the journeys of all workers, and people who walk through its pages."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pytest

from koinon.app.demo import free_ports
from koinon.demo.region import PASSWORD
from koinon.trust.standing.acts import Deed

KEEPER = Path(__file__).with_name("keeper.py")
_UP_SECONDS = 120.0
_TOLD = "the Commission ends the suspension"  # the last step of the story that the demo tells once it is up


@dataclass
class Region:
    """The demo region as it runs: where, its keys, somebody who meets the conditions, and somebody in no file."""

    origin: str
    home: Path
    subject: str
    stranger: str

    def key_file(self, name: str) -> Path:
        return self.home / "demo" / "keys" / f"{name}.pem"

    def party(self, code: str) -> str:
        return str(json.loads((self.home / "demo" / "region.json").read_bytes())["parties"][code])


@pytest.fixture(scope="module")
def region(server_home: Path) -> Iterator[Region]:
    """The region, started by the first worker that asks and stopped once no worker needs it: it is busy by itself."""
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        reason = "no chromium on this machine: browser tests need Debian's package of that name"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    folder = server_home.parent / server_home.name.replace("koinon-test", "koinon-tour")
    with contextlib.ExitStack() as stack:
        # Beside the folder, since the keeper takes the folder away.
        starting = stack.enter_context(_locked(folder.with_suffix(".starting"), fcntl.LOCK_EX))
        users = stack.enter_context(_locked(folder.with_suffix(".users"), fcntl.LOCK_SH))
        starting.seek(0)
        if why := starting.read():
            pytest.fail(why)
        found = folder / "origin"
        if not found.exists():
            try:
                found.write_text(_start(folder, Path(users.name)))
            except BaseException as error:
                starting.write(str(error))  # once is enough: the other workers need not try
                raise
        fcntl.flock(starting, fcntl.LOCK_UN)
        from koinon.demo.population import open_population

        population = open_population(folder / "home")
        person = population.personas()["single_modest_income"]
        # The first heads of households are in the files of the other housing company.
        yield Region(found.read_text(), folder / "home", person.number, population.heads(100)[7])


@contextlib.contextmanager
def _locked(path: Path, how: int) -> Iterator[TextIO]:
    """The file at `path`, locked: not one that somebody took away while its lock was waited for."""
    while True:
        with path.open("a+") as file:
            fcntl.flock(file, how)
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                    yield file
                    return


def _start(folder: Path, users: Path) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    home = folder / "home"
    home.mkdir(parents=True, mode=0o755)
    port = str(free_ports(1)[0])
    log = folder / "log"
    with log.open("wb") as output:
        keeper = subprocess.Popen(
            [sys.executable, str(KEEPER), str(home), port, str(users)],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _UP_SECONDS
    while _TOLD not in (said := log.read_text(errors="replace")):
        if time.monotonic() > deadline or "failed" in said or keeper.poll() is not None:
            pytest.fail(f"the demo region did not come up: {said[-2000:]}")
        time.sleep(0.1)
    return f"http://localhost:{port}"


@contextlib.contextmanager
def _held(region: Region, how: int) -> Iterator[None]:
    with (region.home.parent / "calm.lock").open("a") as lock:
        fcntl.flock(lock, how)
        yield


@pytest.fixture
def calm(region: Region) -> Iterator[None]:
    """Nobody suspends anything meanwhile."""
    with _held(region, fcntl.LOCK_SH):
        yield


@pytest.fixture
def alone(region: Region) -> Iterator[None]:
    """No other journey is under way: this one suspends."""
    with _held(region, fcntl.LOCK_EX):
        yield


class Walker:
    """Somebody with a browser; each page they arrive at is looked over.

    What must hold on each: the document's language, a title, one main heading, no barrier that axe knows, and
    nothing wider than the window.
    """

    def __init__(self, page: Any, region: Region, language: str, barriers: Callable[[Any], Any]) -> None:
        self.page = page
        self.region = region
        self.language = language
        self._barriers = barriers

    async def look(self, title: str | None = None) -> str:
        """The page is in order; gives the text of its main part."""
        page = self.page
        where = page.url
        assert await page.get_attribute("html", "lang") == self.language, where
        name, _, product = (await page.title()).rpartition(" · ")
        assert name and product == "Koinon", where
        if title is not None:
            assert name == title, where
        assert await page.locator("h1").count() == 1, where
        assert await self._barriers(page) == [], where
        wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{where} is {wide} pixels too wide"
        text: str = await page.inner_text("main")
        return text

    async def go(self, path: str, title: str | None = None) -> str:
        await self.page.goto(self.region.origin + path)
        return await self.look(title)

    async def follow(self, selector: str) -> None:
        """The link or button was clicked and another page is there."""
        async with self.page.expect_navigation():
            await self.page.click(selector)

    async def try_to_sign_in(self, login: str, password: str) -> None:
        await self.page.goto(f"{self.region.origin}/sign-in")
        await self.page.fill("[name=login]", login)
        await self.page.fill("[name=password]", password)
        await self.follow("main form button")

    async def sign_in(self, login: str) -> None:
        """Signed in, and reading the walker's language."""
        await self.try_to_sign_in(login, PASSWORD)
        assert await self.page.locator("details.account").count() == 1
        await self.choose_language(self.language)

    async def choose_language(self, language: str) -> None:
        await self.follow(f".languages button[value={language}]")
        self.language = language

    async def sign_out(self) -> None:
        await self.page.click("details.account summary")
        await self.follow("details.account form button")
        assert await self.page.locator("details.account").count() == 0

    async def ask(self, subject: str, case: str) -> None:
        """The answer or the refusal of a question is there."""
        page = self.page
        await page.goto(f"{self.region.origin}/consult")
        await page.select_option("[name=flow]", "social-dwelling-admission")
        await page.select_option("[name=purpose]", "social_dwelling_admission")
        await page.fill("[name=subject]", subject)
        await page.fill("[name=case]", case)
        await self.follow("main form button")

    async def draft_act(self, path: str, reason: str, signer: str) -> None:
        """The act stands there as it will be signed."""
        page = self.page
        await page.goto(self.region.origin + path)
        for language in ("nl", "fr", "en"):
            await page.fill(f"[name=reason_{language}]", f"{reason} ({language})")
        await page.select_option("[name=signer]", signer)
        await self.follow("main form .actions button")
        await page.wait_for_selector("[data-sign]:visible")

    async def sign_with_key_file(self, path: str, reason: str, name: str, deed: Deed) -> None:
        """The act is drafted, looked at, and signed with the demo key file of `name`."""
        from koinon.base.crypto import SigningKey

        key = self.region.key_file(name)
        await self.draft_act(path, reason, SigningKey.from_pem(key.read_bytes()).key_id)
        shown = await self.look()
        assert deed_in(deed, self.language) in shown and f"{reason} ({self.language})" in shown
        await self.page.set_input_files("#key-file", key)
        await self.follow("[data-sign]")


def deed_in(deed: Deed, language: str) -> str:
    from koinon.trust.oversight.documents import DEEDS

    return DEEDS[deed].in_(language)  # type: ignore[arg-type]


Walk = Callable[..., Awaitable[Walker]]


@pytest.fixture
def walk(region: Region, new_page: Any, find_barriers: Any) -> Walk:
    """`await walk("nl", width=390)`: somebody with a browser that nothing was remembered in."""

    async def walk_(language: str, **options: Any) -> Walker:
        page = await new_page(locale=language, **options)
        return Walker(page, region, language, find_barriers)

    return walk_
