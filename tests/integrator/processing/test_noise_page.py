"""Asking with noise: what it would mean before, what it cost after, and the refusal; on the page and for programs."""

import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.app.conftest import application  # noqa: F401 - the fixture
from tests.integrator.processing.test_web import client, processing, publish, sign_in  # noqa: F401 - the fixtures

from koinon.base.errors import Invalid
from koinon.integrator.processing.service import Processing
from koinon.integrator.processing.web.words import decimal
from koinon.trust.ledger import find_entries
from koinon.trust.parties.sign_in.edge import SESSION_COOKIE
from koinon.trust.standing.acts import Deed, TargetKind

HTML = {"accept": "text/html"}
HERE = "/processing/data-sets/debts-2026"
NIL = "00000000-0000-0000-0000-000000000000"
QUESTION = {
    "kind": "histogram",
    "column": "zone",
    "categories": "north, south",
    "epsilon": "0,5",
    "delta": "0",
}


async def test_what_the_noise_means_is_told_before_and_costs_nothing(
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
    processing: Processing,  # noqa: F811
) -> None:
    await sign_in(application, client, "olga")
    page = await client.get(f"{HERE}/noise", params=QUESTION | {"lang": "en"}, headers=HTML)
    assert page.status_code == 200
    assert "What the noise would mean" in page.text and "Propose to pay 0.5" in page.text
    assert "± 6" in page.text  # 95 % within 2 ln 20 = 5.99
    _, budget, spendings = await processing.get_account("debts-2026")
    assert (budget.spent_epsilon, spendings) == (0, [])


async def test_an_answer_is_paid_listed_with_its_price_and_refused_when_nothing_is_left(
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
    processing: Processing,  # noqa: F811
) -> None:
    csrf = await sign_in(application, client, "olga")
    form = QUESTION | {"epsilon": "1.5", "title_en": "Debts, with noise", "_csrf": csrf}
    done = await client.post(f"{HERE}/noise", data=form, headers=HTML)
    assert done.status_code == 303, done.text
    _, budget, spendings = await processing.get_account("debts-2026")
    assert (budget.spent_epsilon, spendings) == (0, []), "paid before another operator looked"
    second = await client.post(f"{HERE}/noise", data=form, headers=HTML)
    for draft, status in ((done, 201), (second, 409)):
        drafted = draft.headers["location"].rpartition("/")[2]
        published = await publish(application, client, drafted)
        assert published.status_code == status, published.text
    assert published.json()["code"] == "privacy_budget_spent"
    form["_csrf"] = await sign_in(application, client, "olga")
    page = (await client.get(f"{HERE}?lang=en", headers=HTML)).text
    assert "Debts, with noise" in page and "spent: 1.5" in page and "left: 0.5" in page
    assert "1.5" in (await client.get("/statistics?lang=en", headers=HTML)).text
    # In advance, and when it is asked all the same.
    words = "does not hold so much: 0.500000 of epsilon"
    before = await client.get(f"{HERE}/noise", params=QUESTION | {"epsilon": "1", "lang": "en"}, headers=HTML)
    assert before.status_code == 409 and words in before.text and "Propose to ask" not in before.text
    after = await client.post(f"{HERE}/noise?lang=en", data=form | {"epsilon": "1"}, headers=HTML)
    assert after.status_code == 409 and words in after.text
    async with processing.database.acquire() as connection:
        assert len(await find_entries(connection, kind="privacy.spent")) == 1
        assert len(await find_entries(connection, kind="statistics.published")) == 1


WRONG = [
    ({"column": "height"}, "no column height"),
    ({"kind": "sum", "column": "zone", "lower": "0", "upper": "9"}, "holds no whole numbers"),
    ({"kind": "sum", "column": "age", "lower": "", "upper": "9"}, "not whole"),
    ({"epsilon": "much"}, "Epsilon is more than zero and at most 10"),
    ({"epsilon": "11"}, "Epsilon is more than zero and at most 10"),
    ({"categories": ""}, "not whole"),
    ({"only_column": "age", "only_is": "<", "only_value": "old"}, "does not fit the column"),
]


@pytest.mark.parametrize("text", ["", "much", "inf", "NaN", "sNaN"])
def test_what_is_typed_as_a_number_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        decimal(text, "anonymity_malformed")


async def test_what_cannot_be_asked_is_refused_with_its_reason_and_costs_nothing(
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
    processing: Processing,  # noqa: F811
) -> None:
    csrf = await sign_in(application, client, "olga")
    for changed, words in WRONG:
        form = QUESTION | changed | {"_csrf": csrf}
        page = await client.post(f"{HERE}/noise?lang=en", data=form, headers=HTML)
        assert page.status_code == 400 and words in page.text, (changed, page.text[-3000:])
    _, budget, _ = await processing.get_account("debts-2026")
    assert budget.spent_epsilon == 0


async def test_only_rows_of_which_a_condition_holds_are_counted(
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
    processing: Processing,  # noqa: F811
) -> None:
    csrf = await sign_in(application, client, "olga")
    # So dear that the noise is almost surely under three (2 * exp(-20)).
    form = {"kind": "count", "epsilon": "2", "only_column": "zone", "only_is": "=", "only_value": "west"}
    done = await client.post(f"{HERE}/noise", data=form | {"_csrf": csrf}, headers=HTML)
    published = await publish(application, client, done.headers["location"].rpartition("/")[2])
    [value] = published.json()["made"]["noisy"]["values"].values()
    assert abs(value - 4) < 12


async def test_a_program_in_an_operators_session_expects_pays_and_is_refused(
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
    processing: Processing,  # noqa: F811
) -> None:
    await sign_in(application, client, "an")
    for path in ("/api/processing/data-sets", "/api/processing/data-sets/debts-2026"):
        assert (await client.get(path)).json()["code"] == "profile_not_held"
    token = await sign_in(application, client, "olga")
    order = {
        "query": {"kind": "count"},
        "price": {"epsilon": "1.5"},
        "title": {"nl": "Aantal", "fr": "Nombre", "en": "Count"},
    }
    path, headers = "/api/processing/data-sets/debts-2026/noise", {"x-csrf-token": token}
    asked = {name: order[name] for name in ("query", "price")}
    expected = (await client.post(f"{path}/expected", json=asked, headers=headers)).json()
    assert expected["enough"] is True and 0 < expected["half"] < expected["mostly"] < expected["nearly"]
    proposed = await client.post(path, json=order, headers=headers)
    assert proposed.status_code == 202
    done = await publish(application, client, proposed.json()["draft"])
    assert done.status_code == 201 and done.json()["made"]["left_epsilon"] == "0.500000"
    headers["x-csrf-token"] = await sign_in(application, client, "olga")
    assert (await client.post(f"{path}/expected", json=asked, headers=headers)).json()["enough"] is False
    again = await client.post(path, json=order, headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "privacy_budget_spent")
    account = (await client.get("/api/processing/data-sets/debts-2026")).json()
    assert [each["epsilon"] for each in account["spendings"]] == ["1.500000"]
    assert account["budget"]["left_epsilon"] == "0.500000"


async def shoot(page: Any, name: str) -> None:
    if folder := os.environ.get("KOINON_SCREENSHOTS"):
        await page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


async def enter(context: Any, origin: str, client: httpx.AsyncClient) -> None:  # noqa: F811
    """The browser has the session that the client has."""
    await context.add_cookies(
        [{"name": SESSION_COOKIE, "value": client.cookies[SESSION_COOKIE], "url": origin}]
    )


@pytest.mark.browser
async def test_the_pages_have_no_barriers(
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
    processing: Processing,  # noqa: F811
    serve: Any,
    new_page: Any,
    find_barriers: Any,
) -> None:
    csrf = await sign_in(application, client, "olga")
    drafts = []
    for epsilon in ("0.5", "0.25", "0.125"):
        form = QUESTION | {"epsilon": epsilon, "_csrf": csrf}
        drafts.append((await client.post(f"{HERE}/noise", data=form, headers=HTML)).headers["location"])
    for draft in drafts[:2]:
        await publish(application, client, draft.rpartition("/")[2])
    origin = await serve(application.asgi)
    asked = "&".join(f"{name}={value}" for name, value in QUESTION.items())
    for language, path, name in (
        ("nl", f"{HERE}/noise?{asked}", "noise"),
        ("fr", HERE, "data-set"),
        ("en", f"{HERE}/noise?{asked.replace('0,5', '3')}", "noise-refused"),
        ("nl", drafts[2], "draft-noise"),
        ("en", "/processing", "data-sets"),
    ):
        page = await new_page(locale=language, width=390 if language == "fr" else 1280)
        await enter(page.context, origin, client)
        await page.goto(f"{origin}{path}{'&' if '?' in path else '?'}lang={language}")
        assert await find_barriers(page) == [], path
        await shoot(page, f"{name}-{language}")
        await page.context.close()


async def test_an_operator_whom_the_commission_stopped_sees_and_asks_nothing(
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
    processing: Processing,  # noqa: F811
    world: Any,
) -> None:
    csrf = await sign_in(application, client, "olga")
    assert (await client.get(HERE, headers=HTML)).status_code == 200
    await world.act("chair", Deed.SUSPEND, TargetKind.PERSON, str(world.region.persons["olga"]))
    keeper = application.platform.keeper
    await keeper.refresh((await keeper.settle()).epoch)
    for path in ("/processing", HERE, f"{HERE}/noise", f"{HERE}/rows", "/api/processing/data-sets"):
        refused = await client.get(path)
        assert (refused.status_code, refused.json()["code"]) == (403, "person_suspended"), path
    for path in (
        f"{HERE}/noise",
        "/operations/sandbox/reset",
        f"/operations/rules/{NIL}/end",
        f"/operations/alerts/{NIL}/seen",
        f"/operations/maintenance/{NIL}/withdraw",
    ):
        refused = await client.post(path, data=QUESTION | {"_csrf": csrf})
        assert (refused.status_code, refused.json()["code"]) == (403, "person_suspended"), path
