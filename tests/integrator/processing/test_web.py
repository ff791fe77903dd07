"""The pages and the public API, over the real application."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pyarrow
import pytest
from tests.app.conftest import application  # noqa: F401 - the fixture

from koinon.base.text import Text
from koinon.integrator.processing.anonymise import Anonymity, Quasi
from koinon.integrator.processing.cluster import Cluster
from koinon.integrator.processing.makings import Makings
from koinon.integrator.processing.model import NewDataSet
from koinon.integrator.processing.privacy import Price, Query
from koinon.integrator.processing.service import Processing
from koinon.trust.parties import LOCAL_ISSUER, Author
from koinon.trust.parties.sign_in.edge import SESSION_COOKIE
from koinon.trust.parties.sign_in.sessions import Sessions, csrf_token

BY = Author(profile="operator")
TITLE = Text("Schulden per zone", "Dettes par zone", "Debts by zone")
WORDS = {
    "Demo": Text("Verzonnen", "Inventé", "Made up"),
    "kind": Text("Soort", "Genre", "Kind"),
    "tax": Text("Belastingen", "Impôts", "Taxes"),
}


@pytest.fixture
async def client(application: Any) -> AsyncIterator[httpx.AsyncClient]:  # noqa: F811
    transport = httpx.ASGITransport(app=application.asgi, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as made:
        yield made


@pytest.fixture
async def processing(application: Any) -> Processing:  # noqa: F811
    platform = application.platform
    made = Processing(
        database=platform.database,
        sealer=platform.sealer,
        objects=platform.objects,
        clock=platform.clock,
        home=platform.settings.home,
    )
    rows = [
        {"subject": f"{n:011d}", "zone": ["north", "south", "east"][n % 3], "kind": ["rent", "tax"][n % 2],
         "age": n % 70}
        for n in range(300)
    ] + [{"subject": f"9{n:010d}", "zone": "west", "kind": "rent", "age": 30} for n in range(4)]  # fmt: skip
    new = NewDataSet(
        name="debts-2026",
        title=TITLE,
        source="Demo",
        budget=Price(epsilon=Decimal(2)),
        demo=True,
        words=WORDS,
    )
    await made.register_data_set(new, pyarrow.Table.from_pylist(rows), BY)
    return made


async def sign_in(application: Any, client: httpx.AsyncClient, login: str) -> str:  # noqa: F811
    platform = application.platform
    async with platform.database.transaction() as connection:
        token = await Sessions(platform.sealer).open(
            connection, LOCAL_ISSUER, login, platform.clock.now(), replacing=None
        )
    client.cookies.set(SESSION_COOKIE, token)
    return csrf_token(token)


@pytest.mark.parametrize(
    ("language", "left_out", "made"),
    [
        ("nl", "weggelaten", "Hoe het gemaakt is"),
        ("fr", "omis", "Comment c&#39;est fait"),
        ("en", "left out", "How"),
    ],
)
async def test_anybody_reads_a_table_with_its_cells_left_out_shown_as_such(
    client: httpx.AsyncClient, processing: Processing, language: str, left_out: str, made: str
) -> None:
    published = await processing.publish_cells(
        "debts-2026", Cluster(dimensions=("zone", "kind"), minimum=10), (), TITLE, BY
    )
    page = await client.get(f"/statistics/{published.id}?lang={language}", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert left_out in page.text and made in page.text
    for told in (TITLE, *WORDS.values()):
        assert told.in_(language) in page.text  # type: ignore[arg-type]
    listed = await client.get(f"/statistics?lang={language}", headers={"accept": "text/html"})
    assert str(published.id) in listed.text
    document = (await client.get(f"/api/statistics/{published.id}")).json()
    assert any(cell["suppressed"] for cell in document["body"])
    answer = await client.get(f"/api/statistics/{published.id}/csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert ":c" in answer.text
    assert len((await client.get("/api/statistics")).json()) == 1


async def test_rows_and_noisy_numbers_have_a_page_too(
    client: httpx.AsyncClient, processing: Processing
) -> None:
    asked = Anonymity(quasi=(Quasi(column="age", kind="number"),), sensitive=("kind",), k=5)
    makings = Makings(processing)
    making = await makings.start("debts-2026", asked, BY)
    await makings.make(making)
    rows = await makings.publish(making, TITLE, BY)
    query = Query(kind="histogram", column="zone", categories=("north",))
    noisy = await processing.publish_noisy("debts-2026", query, (), Price(epsilon=Decimal(1)), TITLE, BY)
    for published, word in ((rows, "Discernibility"), (noisy, "Value with noise")):
        page = await client.get(f"/statistics/{published.id}?lang=en", headers={"accept": "text/html"})
        assert page.status_code == 200, page.text[:500]
        assert word in page.text
        assert (await client.get(f"/api/statistics/{published.id}/csv")).status_code == 200


async def publish(application: Any, client: httpx.AsyncClient, draft: str) -> httpx.Response:  # noqa: F811
    """Another operator looks at the draft, gives their word, and publishes it; olga is signed in afterwards."""
    csrf = await sign_in(application, client, "otto")
    told = (await client.get(f"/api/processing/drafts/{draft}")).json()
    headers = {"x-csrf-token": csrf}
    path = f"/api/processing/drafts/{draft}"
    agreed = await client.post(f"{path}/agree", json={"sha256": told["sha256"]}, headers=headers)
    assert agreed.status_code == 204, agreed.text
    done = await client.post(f"{path}/publish", headers=headers)
    await sign_in(application, client, "olga")
    return done


async def test_an_operator_sees_budgets_and_proposes_and_nobody_else_does(
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,
    processing: Processing,
) -> None:
    html = {"accept": "text/html"}
    await sign_in(application, client, "an")
    assert (await client.get("/processing", headers=html)).status_code == 403
    csrf = await sign_in(application, client, "olga")
    page = await client.get("/processing?lang=en", headers=html)
    assert page.status_code == 200
    assert "epsilon: 0 of 2 spent" in page.text
    form = {"data_set": "debts-2026", "dimensions": "zone", "minimum": "10", "title_nl": "x", "_csrf": csrf}
    done = await client.post("/processing/tables", data=form, headers=html)
    assert done.status_code == 303
    draft = done.headers["location"]
    assert draft.startswith("/processing/drafts/")
    assert (await client.get("/statistics", headers=html)).text.count("/statistics/") == 0
    published = await publish(application, client, draft.rpartition("/")[2])
    assert published.status_code == 201, published.text
    address = f"/statistics/{published.json()['id']}"
    csrf = await sign_in(application, client, "olga")
    form["_csrf"] = csrf
    assert (await client.get(address, headers=html)).status_code == 200
    bad = await client.post("/processing/tables?lang=en", data=form | {"dimensions": "height"}, headers=html)
    assert bad.status_code == 400
    assert "The data set has no column height." in bad.text
    withdrawn = await client.post(
        f"/processing/publications/{address.rpartition('/')[2]}/withdraw", data={"_csrf": csrf}, headers=html
    )
    assert withdrawn.status_code == 303
    assert (await client.get(address, headers=html)).status_code == 404
