"""Anonymous rows are made, weighed and then published once; an independent judge measures what anybody can fetch."""

import asyncio
import csv
import io
from typing import Any
from uuid import UUID

import httpx
import pandas
import pycanon.anonymity
import pytest
from tests.app.conftest import application  # noqa: F401 - the fixture
from tests.integrator.processing import test_service
from tests.integrator.processing.test_noise_page import HERE, HTML, enter, shoot
from tests.integrator.processing.test_service import BY, NEW, TITLE, code_of, rows
from tests.integrator.processing.test_web import client, processing, sign_in  # noqa: F401 - the fixtures

from koinon.app.worker import handlers
from koinon.base.errors import Unavailable
from koinon.base.jobs import Worker
from koinon.integrator.processing.anonymise import Anonymity, Quasi, anonymise
from koinon.integrator.processing.makings import JOB, Makings
from koinon.integrator.processing.service import Processing
from koinon.trust.ledger import find_entries
from koinon.trust.parties import Author

alone = test_service.processing  # a service over a database without a region
QUASI = (Quasi(column="age", kind="number"), Quasi(column="zone", kind="category"))
ASKED = Anonymity(quasi=QUASI, sensitive=("kind",), k=10, l=2)


async def made(makings: Makings, asked: Anonymity = ASKED) -> UUID:
    making = await makings.start("debts-2026", asked, BY)
    await makings.make(making)
    return making


async def test_rows_are_made_by_the_worker_and_published_as_they_were_weighed(
    alone: Processing, open_database: Any
) -> None:
    await alone.register_data_set(NEW, rows(), BY)
    makings = Makings(alone)
    making = await makings.start("debts-2026", ASKED, BY)
    assert (await makings.get(making)).state == "waiting"
    home = alone.computing._engine["temp"].parents[1]
    jobs = [each for each in handlers(alone.sealer, alone.objects, home) if each.kind == JOB]
    worker = Worker(await open_database("worker"), jobs, poll_seconds=0.05)
    working = asyncio.create_task(worker.run())
    async with asyncio.timeout(60):
        while (found := await makings.get(making)).state in ("waiting", "working"):
            assert not working.done()
            await asyncio.sleep(0.02)
    worker.stop()
    await working
    assert (found.state, found.share) == ("made", 1.0) and found.made is not None
    assert await alone.list_publications() == []
    published = await makings.publish(making, TITLE, BY)
    lines = list(csv.reader(io.StringIO((await alone.read_rows(published)).decode())))
    frame = pandas.DataFrame(lines[1:], columns=lines[0])
    assert pycanon.anonymity.k_anonymity(frame, ["age", "zone"]) == found.made.k >= 10
    assert pycanon.anonymity.l_diversity(frame, ["age", "zone"], ["kind"]) == found.made.l == 2
    # "=rent" is a category of the data: as it is, a spreadsheet would run it.
    assert set(frame["kind"]) == {"'=rent", "tax"}
    assert (await makings.get(making)).publication == published.id
    async with alone.database.acquire() as connection:
        [entry] = await find_entries(connection, kind="statistics.published")
    assert entry.public["what"] == "rows"


async def test_of_several_tries_one_is_published_and_no_other_afterwards(alone: Processing) -> None:
    await alone.register_data_set(NEW, rows(), BY)
    makings = Makings(alone)
    first, second = await made(makings), await made(makings, Anonymity(quasi=QUASI, k=5))
    await makings.publish(second, TITLE, BY)
    kept = {each.key async for each in alone.objects.list("processing")}
    assert await code_of(makings.publish(first, TITLE, BY)) == "publication_rows_exist"
    assert await code_of(makings.publish(second, TITLE, BY)) == "making_not_ready"
    assert {each.key async for each in alone.objects.list("processing")} == kept
    await makings.discard(first, BY)
    assert await code_of(makings.publish(first, TITLE, BY)) == "making_not_ready"


async def test_how_far_it_is_may_stay_untold_without_costing_the_work(
    alone: Processing, monkeypatch: pytest.MonkeyPatch
) -> None:
    await alone.register_data_set(NEW, rows(), BY)
    makings = Makings(alone)
    move, refused = makings._move, 0

    async def away(making: UUID, to: str, **values: Any) -> bool:
        nonlocal refused
        if "step" in values and to == "working":
            refused += 1
            raise Unavailable("database_unavailable", why="ConnectionRefusedError")
        return await move(making, to, **values)

    monkeypatch.setattr(makings, "_move", away)
    monkeypatch.setattr("koinon.integrator.processing.makings._TOLD_SECONDS", 0.001)
    found = await makings.get(await made(makings))
    assert refused > 0
    assert (found.state, found.share) == ("made", 1.0)


async def test_what_cannot_be_made_says_why(alone: Processing) -> None:
    await alone.register_data_set(NEW, rows(), BY)
    makings = Makings(alone)
    failed = await makings.get(await made(makings, Anonymity(quasi=QUASI, k=1000)))
    assert (failed.state, failed.code) == ("failed", "anonymity_not_reachable")
    for column in ("height", "subject"):
        asked = Anonymity(quasi=(Quasi(column=column, kind="category"),))
        assert await code_of(makings.start("debts-2026", asked, BY)) == "anonymity_column_unknown"
    other = Author(profile="case_handler")
    assert await code_of(makings.start("debts-2026", ASKED, other)) == "profile_not_held"
    # A worker that never lived to tell: the third one gives up for it.
    making = await makings.start("debts-2026", ASKED, BY)
    await makings.make(making, last=True)
    assert (await makings.get(making)).code == "making_failed"


def test_progress_only_grows_and_names_every_step() -> None:
    told: list[tuple[str, float]] = []
    anonymise(rows(), ASKED, threads=1, tell=lambda step, share: told.append((step, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1
    assert list(dict.fromkeys(step for step, _ in told)) == [
        "reading", "halving", "sparing", "writing", "measuring",
    ]  # fmt: skip


@pytest.mark.browser
async def test_an_operator_asks_watches_weighs_and_publishes_on_pages(
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
    processing: Processing,  # noqa: F811
    serve: Any,
    new_page: Any,
    find_barriers: Any,
) -> None:
    await sign_in(application, client, "olga")
    makings = Makings(processing)
    await made(makings, Anonymity(quasi=QUASI, k=20))
    origin = await serve(application.asgi)
    page = await new_page(locale="en")
    await enter(page.context, origin, client)
    await page.goto(f"{origin}{HERE}/rows?lang=en")
    await page.locator("[name='role.age']").select_option("number")
    await page.locator("[name='role.zone']").select_option("category")
    await page.locator("[name='role.kind']").select_option("sensitive")
    await page.get_by_text("Larger groups of zone").click()
    await page.locator("[name='groups.zone']").fill(
        "north; up; here\nsouth; down; here\neast; up; here\nwest; up; here"
    )
    await page.get_by_label("l: different").fill("2")
    assert await find_barriers(page) == []
    await shoot(page, "rows-en")
    await page.get_by_role("button", name="Make them").click()
    await page.wait_for_url("**/processing/makings/*")
    making = UUID(page.url.partition("?")[0].rpartition("/")[2])
    await page.locator("progress").wait_for()
    assert await find_barriers(page) == []
    await shoot(page, "making-waits-en")
    failed = await made(makings, Anonymity(quasi=QUASI, k=1000))
    told = await client.get(f"/processing/makings/{failed}?lang=en", headers=HTML)
    assert "fewer than k = 1000 rows" in told.text
    await makings.make(making)
    await page.locator("section[aria-labelledby=publish]").wait_for()  # the page asked by itself
    await page.goto(f"{origin}/processing/makings/{making}?lang=fr")
    assert await find_barriers(page) == []
    await shoot(page, "making-fr")
    await page.locator("[name=title_fr]").fill("Lignes anonymes")
    await page.locator("[name=title_nl]").fill("Lignes anonymes")
    await page.locator("section[aria-labelledby=publish] form button").first.click()
    await page.locator("section[aria-labelledby=word]").wait_for()
    draft = page.url.partition("?")[0]
    await sign_in(application, client, "otto")
    await enter(page.context, origin, client)
    await page.goto(f"{draft}?lang=fr")
    assert await find_barriers(page) == []
    await shoot(page, "draft-rows-fr")
    await page.locator("form[action$=agree] button").click()
    await page.locator("form[action$=take-back]").wait_for()
    await page.locator("form[action$=publish] button").click()
    await page.wait_for_url("**/statistics/**")
    await page.get_by_role("heading", name="Lignes anonymes").wait_for()
    assert await find_barriers(page) == []
    await shoot(page, "rows-published-fr")
    again = await client.get(f"{HERE}/rows?lang=en", headers=HTML)
    assert "published" in again.text
