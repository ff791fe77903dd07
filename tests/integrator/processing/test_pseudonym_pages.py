"""Pseudonyms on pages and over the signed API: given to another, renewed, turned back by two humans; each refusal."""

import re
from typing import Any

import httpx
import msgspec
import pytest
from tests.app.conftest import application  # noqa: F401 - the fixture
from tests.integrator.processing.test_noise_page import HTML, enter, shoot
from tests.integrator.processing.test_web import client, sign_in  # noqa: F401 - the fixtures

from koinon.base import http_signatures
from koinon.base.clock import SystemClock
from koinon.demo.region import NORTH, PURPOSE, SOUTH, load_key
from koinon.integrator.processing.pseudonyms.service import period_on
from koinon.trust.ledger import Log, find_entries
from koinon.trust.parties import INSTALLER
from koinon.trust.parties.model import Identity
from koinon.trust.parties.service import link_identity
from koinon.trust.standing.acts import Deed, TargetKind

SUBJECT = "80690112370"  # of whom both companies have a file
OURS = "75721054372"  # of whom only North has one
REASON = "The rent tribunal asks for the name in file 12."
PSEUDONYM = re.compile(r"urn:koinon:pseudonym:\d{4}-[12]:[\w-]{43}")


class Desk:
    """Somebody of the region at their browser."""

    def __init__(self, application: Any, client: httpx.AsyncClient) -> None:  # noqa: F811
        self.application, self.client, self.csrf = application, client, ""

    async def sits(self, login: str) -> None:
        self.csrf = await sign_in(self.application, self.client, login)

    async def post(self, path: str, **form: str) -> httpx.Response:
        return await self.client.post(f"{path}?lang=en", data=form | {"_csrf": self.csrf}, headers=HTML)

    async def give(self, world: Any, to: str = NORTH, subject: str = SUBJECT) -> httpx.Response:
        return await self.post(
            "/pseudonyms/given",
            recipient=str(world.region.parties[to]), purpose=PURPOSE, subject=subject, case="S-1",
        )  # fmt: skip

    async def kinds(self) -> list[str]:
        async with self.application.platform.database.acquire() as connection:
            return [each.kind for each in await find_entries(connection, log=Log.EXCHANGE, limit=1000)]


@pytest.fixture
async def desk(application: Any, client: httpx.AsyncClient) -> Desk:  # noqa: F811
    return Desk(application, client)


async def test_one_company_gives_and_two_humans_of_the_other_turn_it_back_once(
    desk: Desk, world: Any
) -> None:
    await desk.sits("luc")
    given = await desk.give(world)
    assert given.status_code == 200, given.text[-2000:]
    [pseudonym] = set(PSEUDONYM.findall(given.text))
    assert SUBJECT not in given.text

    await desk.sits("an")
    asked = {"pseudonym": pseudonym, "purpose": PURPOSE, "case": "N-7", "reason": REASON}
    assert "Say why" in (await desk.post("/pseudonyms/cases", **asked | {"reason": "because"})).text
    opened = await desk.post("/pseudonyms/cases", **asked)
    assert opened.status_code == 303, opened.text[-2000:]
    case = opened.headers["location"]
    early = await desk.post(f"{case}/use")
    assert early.status_code == 409 and "has not approved" in early.text and SUBJECT not in early.text
    assert (await desk.post(f"{case}/confirm")).status_code == 403

    await desk.sits("nora")  # the adviser of the other company
    assert (await desk.post(f"{case}/confirm")).status_code == 404
    await desk.sits("sara")
    page = (await desk.client.get(f"{case}?lang=en", headers=HTML)).text
    assert REASON in page and "Confirm the case" in page and pseudonym not in page
    assert (await desk.post(f"{case}/confirm")).status_code == 303
    assert (await desk.post(f"{case}/use")).status_code == 404, "only who opened it learns it"

    await desk.sits("an")
    told = await desk.post(f"{case}/use")
    assert told.status_code == 200 and SUBJECT in told.text, told.text[-2000:]
    again = await desk.post(f"{case}/use")
    assert again.status_code == 409 and SUBJECT not in again.text
    page = (await desk.client.get(f"{case}?lang=en", headers=HTML)).text
    for words in ("Opened by An Demo", "Confirmed by Sara Demo", "Used by An Demo"):
        assert words in page
    kinds = await desk.kinds()
    for kind in ("reidentification.opened", "reidentification.approved", "reidentification.used"):
        assert kinds.count(kind) == 1
    assert "exchange.released" in kinds and "exchange.piece" in kinds


async def test_no_pseudonym_for_oneself_nor_about_strangers_nor_for_who_takes_none(
    desk: Desk, world: Any
) -> None:
    await desk.sits("luc")
    for to, subject, words in (
        (SOUTH, SUBJECT, "Nobody makes pseudonyms for oneself"),
        (NORTH, OURS, "no file"),
        (NORTH, "75721054399", "no file"),
        ("commission", SUBJECT, "takes no pseudonyms"),
    ):
        refused = await desk.give(world, to, subject)
        assert refused.status_code in (400, 403, 404), (to, refused.status_code)
        assert words in refused.text, (to, re.findall(r"notice-title.*?</div>", refused.text, re.S))
        assert not PSEUDONYM.findall(refused.text)
    assert (await desk.kinds()).count("exchange.refused") == 2
    await desk.sits("olga")  # the operator of the platform has none, and sees none
    assert (await desk.client.get("/pseudonyms", headers=HTML)).status_code == 403


async def test_the_second_person_is_another_human_by_every_identity(desk: Desk, world: Any) -> None:
    await desk.sits("luc")
    [pseudonym] = set(PSEUDONYM.findall((await desk.give(world)).text))
    await desk.sits("an")
    asked = {"pseudonym": pseudonym, "purpose": PURPOSE, "case": "N-7", "reason": REASON}
    case = (await desk.post("/pseudonyms/cases", **asked)).headers["location"]
    platform = desk.application.platform
    both = Identity(issuer="https://id.example", subject="an-and-sara", person=world.region.persons["sara"])
    async with world.database.transaction() as connection:
        for each in (both, msgspec.structs.replace(both, person=world.region.persons["an"])):
            await link_identity(connection, platform.sealer, each, by=INSTALLER, at=platform.clock.now())
    await desk.sits("sara")
    refused = await desk.post(f"{case}/confirm")
    assert refused.status_code == 403 and "must be another human" in refused.text


async def test_a_recipient_renews_its_own_and_sees_why_another_is_not(desk: Desk, world: Any) -> None:
    await desk.sits("luc")
    [ours] = set(PSEUDONYM.findall((await desk.give(world)).text))
    await desk.sits("an")
    made_up = f"{ours[:-43]}{'A' * 43}"
    page = await desk.post(
        "/pseudonyms/renewed", purpose=PURPOSE, pseudonyms=f"{ours}\n{made_up}\n=HYPERLINK(1)"
    )
    assert page.status_code == 200 and "1 of 3" in page.text
    assert page.text.count(ours) == 2  # of this period: it stays as it is
    assert "not made for this recipient" in page.text and "no pseudonym of this platform" in page.text
    assert "pseudonyms.renewed" in await desk.kinds()


async def test_a_system_gives_and_renews_over_the_signed_api(desk: Desk, world: Any) -> None:
    async def call(party: str, path: str, body: Any) -> httpx.Response:
        data, target = msgspec.json.encode(body), f"/api/pseudonyms/{path}"
        signed = http_signatures.sign_request(
            load_key(world.home, f"{party}-system"), "POST", "127.0.0.1:8000", target.encode(), b"", data,
            SystemClock().now(),
        )  # fmt: skip
        headers = {name.decode(): value.decode() for name, value in signed.headers}
        return await desk.client.post(target, content=data, headers=headers)

    order = {
        "recipient": str(world.region.parties[NORTH]), "purpose": PURPOSE, "case": "S-1", "subjects": [SUBJECT]
    }  # fmt: skip
    given = await call(SOUTH, "given", order)
    assert given.status_code == 200, given.text
    [row] = given.json()["given"]
    assert row["subject"] == SUBJECT and PSEUDONYM.fullmatch(row["pseudonym"])
    assert (await call(NORTH, "given", order)).json()["code"] == "pseudonym_for_oneself"
    strangers = await call(SOUTH, "given", order | {"subjects": [SUBJECT, OURS]})
    assert strangers.json()["code"] == "subject_not_registered"
    renewed = await call(NORTH, "renewed", {"purpose": PURPOSE, "pseudonyms": [row["pseudonym"]]})
    assert renewed.json()["renewed"] == [{"old": row["pseudonym"], "new": row["pseudonym"], "code": None}]
    other = await call(SOUTH, "renewed", {"purpose": PURPOSE, "pseudonyms": [row["pseudonym"]]})
    assert other.json()["renewed"][0]["code"] == "pseudonym_unknown"
    # What the Commission stopped is stopped here too, although nothing of this passes the gate.
    await desk.sits("an")
    await world.act("chair", Deed.SUSPEND, TargetKind.PARTY, str(world.region.parties[NORTH]))
    keeper = desk.application.platform.keeper  # it hears of it within the second: here before the next call
    await keeper.refresh((await keeper.settle()).epoch)
    stopped = await call(NORTH, "renewed", {"purpose": PURPOSE, "pseudonyms": [row["pseudonym"]]})
    assert (stopped.status_code, stopped.json()["code"]) == (403, "party_suspended")
    asked = {"pseudonym": row["pseudonym"], "purpose": PURPOSE, "case": "N-7", "reason": REASON}
    assert (await desk.post("/pseudonyms/cases", **asked)).status_code == 403
    assert "reidentification.opened" not in await desk.kinds()


@pytest.mark.parametrize(
    "day", ["2026-01-01", "2026-06-30", "2026-07-01", "2026-07-30", "2026-07-31", "2026-12-31"]
)
def test_a_period_ends_where_the_next_begins(day: str) -> None:
    from datetime import date, timedelta

    on = date.fromisoformat(day)
    period = period_on(on)
    assert period.began <= on < period.ends
    assert period_on(period.ends).began == period.ends and period_on(period.ends).before == period.name
    assert period.overlaps(on) == (on - period.began < timedelta(days=30))


@pytest.mark.browser
async def test_the_pages_have_no_barriers(
    desk: Desk, world: Any, serve: Any, new_page: Any, find_barriers: Any
) -> None:
    await desk.sits("luc")
    [pseudonym] = set(PSEUDONYM.findall((await desk.give(world)).text))
    await desk.sits("an")
    asked = {"pseudonym": pseudonym, "purpose": PURPOSE, "case": "N-7", "reason": REASON}
    case = (await desk.post("/pseudonyms/cases", **asked)).headers["location"]
    origin = await serve(desk.application.asgi)
    for login, language, path, name in (
        ("an", "fr", "/pseudonyms", "pseudonyms"),
        ("sara", "nl", case, "case"),
    ):
        await desk.sits(login)
        page = await new_page(locale=language)
        await enter(page.context, origin, desk.client)
        await page.goto(f"{origin}{path}?lang={language}")
        assert await find_barriers(page) == [], path
        await shoot(page, f"{name}-{language}")
        await page.context.close()
