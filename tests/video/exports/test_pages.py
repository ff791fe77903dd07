"""The pages of exports in a real browser: from the recording that is shown to the file on the reader's disk."""

import asyncio
import json
import os
import sys
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from tests.conftest import mounted
from tests.video.exports.conftest import Studio
from tests.video.playback.test_page import PICTURE, keep, wait_for

from koinon.app.exports import run_exports
from koinon.video.exports import verify_package
from koinon.video.exports.jobs import sweep
from koinon.video.exports.model import ExportId

pytestmark = pytest.mark.browser


async def made(studio: Studio) -> list[str]:
    """Whatever waits is made, as the worker would."""
    told = (await studio.http.get("/api/video/exports")).json()["exports"]
    waiting = [each["id"] for each in told if each["state"] == "queued"]
    for each in waiting:
        await studio.maker.make(ExportId(UUID(each)))
    return waiting


async def test_what_is_shown_is_exported_fetched_and_deleted(
    studio: Studio, new_page: Any, find_barriers: Any, tmp_path: Path
) -> None:
    site = studio.site
    page = await site.open(new_page, accept_downloads=True)
    await page.goto(f"{site.origin}/video/playback?lang=en")
    await site.begin(page, "south-1", at=site.units[0].start)
    await wait_for(page, PICTURE, 20)
    await page.screenshot(**keep("playback-export"))
    await page.click("[data-export]")
    await page.wait_for_selector(".export-ask")
    await mounted(page)
    assert await page.is_checked(f"input[value='{site.film.camera['south-1'].id}']")
    assert await page.input_value("[name=case]") == "PV-1"
    assert "motif" in await page.inner_text("[data-purpose-needs]")  # iris reads French
    await page.fill("[name=reason]", "for the file")
    # An interval that is not over is told before anybody is asked.
    end = await page.input_value("[name=to]")
    await page.fill("[name=to]", await page.input_value("[name=from]"))
    await page.click(".export-ask .actions button")
    await page.wait_for_selector("[data-error]:has-text('postérieure au début')")
    await page.fill("[name=to]", end)
    assert await find_barriers(page) == []
    await page.screenshot(**keep("export-ask"))
    await page.click(".export-ask .actions button")
    await page.wait_for_selector("#exports table")
    assert "en file d’attente" in await page.inner_text("#exports")
    # The list is drawn anew while something is made: who is at a button with the keyboard stays there.
    await page.focus("#exports td form button >> nth=-1")
    held = await page.evaluate(
        "() => new Promise(done => document.addEventListener('htmx:afterSettle', () => done(document.activeElement.id),"
        " {once: true}))"
    )
    assert held.startswith("delete-")
    # Nor does who presses one lose the click where the list is drawn anew before the release.
    await page.hover("#exports td form button >> nth=-1")
    await page.evaluate(
        """() => document.addEventListener("click", (event) => {
            event.preventDefault();
            window.clicked = event.target.id;
        }, {capture: true, once: true})"""
    )
    async with page.expect_response("**/video/exports"):
        await page.mouse.down()
    await page.wait_for_function("() => !document.querySelector('#exports.htmx-request')")
    await page.mouse.up()
    await page.wait_for_function(f"() => window.clicked === '{held}'")
    await page.screenshot(**keep("export-queued"))
    [id_] = await made(studio)
    await page.wait_for_selector("text=prêt")  # the list asks by itself
    assert await find_barriers(page) == []
    await page.screenshot(**keep("export-ready"))
    async with page.expect_download() as coming:
        await page.click("text=Récupérer")
    download = await coming.value
    assert download.suggested_filename == f"koinon-export-{id_}.zip"
    await download.save_as(tmp_path / "got.zip")
    assert verify_package(tmp_path / "got.zip", [studio.key.verify_key]).ok
    await page.click("text=Supprimer >> nth=-1")
    await page.wait_for_selector("text=Vous l’avez supprimé.")
    await sweep(studio.worker.database, studio.shelf, studio.world.clock.now() + timedelta(seconds=1))
    for language in ("nl", "fr"):
        await page.goto(f"{site.origin}/video/exports?lang={language}")
        await page.screenshot(**keep(f"exports-{language}"))
        await page.goto(f"{site.origin}/video/exports/new?lang={language}")
        await page.screenshot(**keep(f"export-ask-{language}"))
        assert await find_barriers(page) == []


async def test_originals_wait_for_the_word_of_a_second_person(studio: Studio, new_page: Any) -> None:
    site = studio.site
    page = await site.open(new_page, width=390)
    since, until = site.units[0].start, site.units[-1].end + timedelta(seconds=1)
    camera = site.film.camera["south-1"].id
    times = f"since={since:%Y-%m-%dT%H:%M:%SZ}&until={until:%Y-%m-%dT%H:%M:%SZ}"
    await page.goto(f"{site.origin}/video/exports/new?lang=en&camera={camera}&{times}")
    await page.check("[name=unmask]")
    await page.fill("[name=case]", "PV-1")
    await page.fill("[name=reason]", "for the court")
    await page.screenshot(**keep("export-original"))
    await page.click(".export-ask .actions button")
    await wait_for(
        page, "() => /Waiting for the word/.test(document.querySelector('[data-told]').textContent)"
    )
    second = await new_page()
    await second.context.add_cookies(
        [{"name": "koinon_session", "value": await site.sign_in("ivo"), "url": site.origin}]
    )
    await second.goto(f"{site.origin}/video/confirmations?lang=en")
    assert "original recordings" in await second.inner_text("main")
    await second.screenshot(**keep("export-second"))
    await second.click("button[value=confirm]")
    await page.wait_for_selector("#exports table")
    assert "Enregistrements originaux" in await page.inner_text("#exports")
    [id_] = await made(studio)
    assert (await studio.look(id_))["state"] == "ready"


async def run(studio: Studio, *arguments: str, session: str = "") -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "koinon.app.cli", "video", *arguments,
        env={**os.environ, "KOINON_URL": studio.site.origin, "KOINON_SESSION": session},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_command_asks_waits_fetches_and_verifies(studio: Studio, tmp_path: Path) -> None:
    units, package = studio.site.units, tmp_path / "package.zip"
    given = [
        "export", "south-1", "--since", units[0].start.isoformat(), "--until", units[-1].end.isoformat(),
        "--purpose", "investigation", "--case", "PV-7", "--output", str(package), "--json",
    ]  # fmt: skip
    code, _, err = await run(studio, *given, session=studio.site.token)
    assert code == 77 and "reason_missing" in err
    code, _, err = await run(studio, *given)
    assert code == 65 and "session_missing" in err

    async def hasten() -> None:
        """What ended a moment ago waits until it is in the index; here it is."""
        async with studio.world.database.acquire() as connection:
            while not await connection.fetchval("UPDATE base.job SET run_after = now() RETURNING true"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    # The worker as it runs in the platform.
    settings = msgspec.structs.replace(studio.worker.settings, database_url=studio.world.url)
    working = asyncio.create_task(run_exports(settings))
    making = asyncio.create_task(hasten())
    code, out, err = await run(studio, *given, "--reason", "for the file", session=studio.site.token)
    await making
    working.cancel()
    await asyncio.wait([working])
    assert code == 0, err
    told = json.loads(out)
    assert told["state"] == "ready" and Path(told["package"]) == package
    keys = tmp_path / "keys.json"
    await asyncio.to_thread(keys.write_bytes, (await studio.http.get("/api/keys")).content)
    code, out, err = await run(studio, "verify-export", str(package), "--key", str(keys))
    assert code == 0, out + err
    assert "investigation PV-7" in out and "all agree" in out
    code, out, _ = await run(studio, "verify-export", str(package))
    assert code == 1 and "key_unknown" in out and "--key keys.json" in out

    def spoil() -> None:
        with zipfile.ZipFile(package, "a") as written:
            written.writestr("more.mp4", b"x")

    await asyncio.to_thread(spoil)
    code, out, _ = await run(studio, "verify-export", str(package), "--key", str(keys), "--json")
    assert code == 1
    assert [each["code"] for each in msgspec.json.decode(out)["findings"]] == ["file_unknown"]
