"""Decisions of the public prosecutor: written down, and images that need one are shown on it and on nothing else."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.video.rights.test_rights import recording, refusal, trace
from tests.video.rights.test_web import csrf
from tests.video.rights.test_web import site as site

from koinon.base.clock import BRUSSELS
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.demo.region.video import INVESTIGATION, ZONE_SOUTH, ZONE_WEST
from koinon.trust.gate import Cut
from koinon.trust.parties.sign_in.edge import SESSION_COOKIE
from koinon.trust.standing.acts import Deed, TargetKind
from koinon.video.rights import Action, ViewRequest, actor_of, decisions
from koinon.video.rights.model import NewDecision, ProsecutorDecision
from koinon.video.rights.policy import choose_decision

DIGEST = hashlib.sha256(b"the document").hexdigest()


def decision(*of: Any, **changes: Any) -> NewDecision:
    now = datetime.now(UTC)
    values = {
        "case": "PV-1", "authority": "Demo prosecutor", "reference": "BR.30.F1.1/2026",
        "decided_on": now.astimezone(BRUSSELS).date(), "cameras": tuple(each.id for each in of),
        "since": now - timedelta(days=31), "until": now - timedelta(days=20), "ends_at": now + timedelta(days=5),
        "document_sha256": DIGEST,
    }  # fmt: skip
    return NewDecision(**{**values, **changes})


class Office:
    """The region, rights to its images, and who writes decisions down."""

    def __init__(self, world: Any, film: Any, rights: Any) -> None:
        self.world, self.film, self.rights = world, film, rights
        self.ivo = film.session("ivo", "investigator")
        self.iris = film.session("iris", "investigator")

    async def record(self, asked: NewDecision, by: Any = None) -> ProsecutorDecision:
        async with self.world.database.transaction() as connection:
            return await decisions.record(
                connection, self.world.sealer, await self.rights._gate.keeper.settle(), actor_of(by or self.ivo), asked,
                datetime.now(UTC),
            )  # fmt: skip

    async def end(self, found: ProsecutorDecision, by: Any = None) -> None:
        async with self.world.database.transaction() as connection:
            await decisions.end(
                connection, self.world.sealer, await self.rights._gate.keeper.settle(), actor_of(by or self.ivo),
                found.id, datetime.now(UTC),
            )  # fmt: skip


@pytest.fixture
async def office(world: Any, film: Any, make_rights: Any) -> Office:
    return Office(world, film, await make_rights())


async def test_old_images_are_shown_on_a_decision_and_both_the_view_and_the_decision_are_in_the_trace(
    office: Office,
) -> None:
    camera = await office.film.place(ZONE_SOUTH, "south-3", regime="police")
    old = recording(camera, 29.5)
    assert await refusal(office.rights, office.iris, old) == "decision_missing"
    made = await office.record(decision(camera))
    view = await office.rights.open(office.iris, old)
    await view.go_on(10)
    await view.end()
    [(_, begun)] = await trace(office.world, "exchange.begun", camera)
    assert begun["prosecutor_decision"] == str(made.id)
    [(entry, private)] = await trace(office.world, "decision.recorded", camera)
    assert (entry.public["party"], entry.public["keeper"]) == (
        str(office.world.region.parties[ZONE_WEST]), str(office.world.region.parties[ZONE_SOUTH]),
    )  # fmt: skip
    assert (private["reference"], private["document_sha256"], private["cameras"]) == (
        "BR.30.F1.1/2026", DIGEST, ["south-3"],
    )  # fmt: skip
    assert "reference" not in entry.public and "case" not in entry.public
    # What needs none does not say that it rests on one.
    await (await office.rights.open(office.iris, recording(camera, 28.5))).end()
    all_begun = [fields for _, fields in await trace(office.world, "exchange.begun", camera)]
    assert sorted("prosecutor_decision" in fields for fields in all_begun) == [False, True]


async def test_other_cameras_images_cases_people_and_an_end_are_each_refused_with_a_code_of_their_own(
    office: Office,
) -> None:
    rights, film = office.rights, office.film
    one = await film.place(ZONE_SOUTH, "south-3", regime="police")
    other = await film.place(ZONE_SOUTH, "south-4", regime="police")
    now = datetime.now(UTC)
    made = await office.record(
        decision(one, since=now - timedelta(days=30), until=now - timedelta(days=29, hours=12))
    )
    inside = recording(one, 29.9, until=now - timedelta(days=29, hours=13))
    await (await rights.open(office.iris, inside)).end()
    for request, session, code in (
        (msgspec.structs.replace(inside, camera=other.id), office.iris, "decision_other_cameras"),
        (
            msgspec.structs.replace(inside, until=now - timedelta(days=29)),
            office.iris,
            "decision_other_images",
        ),
        (msgspec.structs.replace(inside, case="PV-2"), office.iris, "decision_missing"),
        (inside, office.ivo, "decision_by_oneself"),
    ):
        assert await refusal(rights, session, request) == code
    await office.end(made)
    assert await refusal(rights, office.iris, inside) == "decision_over"
    refused = [fields for _, fields in await trace(office.world, "exchange.refused", one)]
    assert len(refused) >= 4
    with pytest.raises(Conflict) as caught:
        await office.end(made)
    assert caught.value.code == "decision_over"
    # It gives nothing that the convention and the rules do not give: they stop at thirty days.
    assert await refusal(rights, office.iris, recording(one, 35.0)) == "depth_exceeded"
    assert (
        await refusal(rights, film.session("wim", "control_room_operator"), inside) == "purpose_not_in_matrix"
    )


async def test_a_view_is_cut_when_its_decision_ends_by_hand_within_a_second_or_by_itself(
    office: Office,
) -> None:
    camera = await office.film.place(ZONE_SOUTH, "south-3", regime="police")
    made = await office.record(decision(camera))
    view = await office.rights.open(office.iris, recording(camera, 29.5))
    cut = asyncio.Event()
    view.on_cut(cut.set)
    await office.end(made)
    async with asyncio.timeout(10):
        await cut.wait()
    with pytest.raises(Cut) as caught:
        await view.go_on(1)
    assert caught.value.code == "decision_over"
    await view.end()
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    await office.record(decision(camera, ends_at=soon))
    view = await office.rights.open(office.iris, recording(camera, 29.5))
    cut = asyncio.Event()
    view.on_cut(cut.set)
    await view.go_on(1)
    async with asyncio.timeout(20):
        await cut.wait()
    assert datetime.now(UTC) >= soon
    await view.end()
    assert await refusal(office.rights, office.iris, recording(camera, 29.5)) == "decision_over"


async def test_only_officers_of_the_asking_zone_or_the_owner_record_and_only_what_makes_sense(
    office: Office,
) -> None:
    film = office.film
    south, centre = film.camera["south-1"], film.camera["centre-1"]
    hidden = await film.place(ZONE_SOUTH, "south-9", shared=False)
    west, rik = (
        office.world.region.parties[ZONE_WEST],
        film.session("rik", "control_room_supervisor", ZONE_SOUTH),
    )
    now = datetime.now(UTC)
    for asked, by, kind, code in (
        (decision(south), film.session("wim", "control_room_operator"), NotAllowed, "decision_profile"),
        (decision(south), film.session("cato", "camera_manager"), NotAllowed, "decision_profile"),
        (decision(hidden), office.ivo, NotFound, "camera_unknown"),
        (decision(msgspec.structs.replace(south, id=new_id())), office.ivo, NotFound, "camera_unknown"),
        (decision(south, centre, party=west), rik, NotAllowed, "decision_of_another"),
        (decision(south, party=new_id()), rik, NotFound, "party_unknown"),
        (decision(), office.ivo, Invalid, "decision_without_cameras"),
        (decision(south, case=" "), office.ivo, Invalid, "decision_without_case"),
        (decision(south, reference=""), office.ivo, Invalid, "decision_without_reference"),
        (decision(south, authority="x" * 201), office.ivo, Invalid, "decision_without_reference"),
        (decision(south, until=now + timedelta(days=1)), office.ivo, Invalid, "decision_interval"),
        (decision(south, since=now - timedelta(days=1)), office.ivo, Invalid, "decision_interval"),
        (decision(south, decided_on=(now + timedelta(days=2)).date()), office.ivo, Invalid, "decision_date"),
        (decision(south, ends_at=now), office.ivo, Invalid, "decision_end"),
        (decision(south, ends_at=now + timedelta(days=400)), office.ivo, Invalid, "decision_end"),
        (decision(south, document_sha256="ab" * 31), office.ivo, Invalid, "decision_digest"),
        (decision(south, document_sha256="zz" * 32), office.ivo, Invalid, "decision_digest"),
    ):
        with pytest.raises(kind) as caught:
            await office.record(asked, by)
        assert caught.value.code == code
    # The owner's officer, for the case of another zone: its own investigators may look, the owner's may not on it.
    camera = await film.place(ZONE_SOUTH, "south-3", regime="police")
    made = await office.record(decision(camera, party=west), rik)
    await (await office.rights.open(office.ivo, recording(camera, 29.5))).end()
    await office.end(made, office.ivo)
    wests = await office.record(decision(camera))
    with pytest.raises(NotFound) as unknown:
        await office.end(wests, rik)
    assert unknown.value.code == "decision_unknown"


@given(
    facts=st.lists(
        st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans()), max_size=6
    )
)
def test_a_view_rests_on_a_decision_exactly_where_one_of_them_gives_all_of_it(facts: Any) -> None:
    now = datetime(2026, 11, 24, 9, tzinfo=UTC)
    camera = new_id()
    request = ViewRequest(
        camera=camera, action=Action.VIEW_RECORDING, purpose=INVESTIGATION, case="PV-1",
        since=now - timedelta(days=40), until=now - timedelta(days=39),
    )  # fmt: skip
    made, own = [], set()
    for of_camera, of_interval, standing, ended, by_oneself in facts:
        each = ProsecutorDecision(
            id=new_id(), party=new_id(), case="PV-1", authority="a", reference="r", decided_on=now.date(),
            cameras=(camera if of_camera else new_id(),), since=now - timedelta(days=40),
            until=now - timedelta(days=39 if of_interval else 39.5), ends_at=now + timedelta(days=1 if standing else 0),
            document_sha256=bytes(32), recorded_by=new_id(), recorded_party=new_id(), recorded_profile="p",
            recorded_at=now - timedelta(days=1), ended_at=now if ended else None, ended_by=new_id() if ended else None,
        )  # fmt: skip
        made.append(each)
        if by_oneself:
            own.add(each.id)
    found = choose_decision(made, request, now, own)
    gives = [c and i and s and not e and not o for c, i, s, e, o in facts]
    assert (found.decision is not None) == any(gives)
    if found.decision is None:
        assert found.code.startswith("decision_")
    else:
        assert gives[made.index(found.decision)]


async def test_a_decision_is_recorded_seen_and_ended_on_the_pages_and_over_the_api(
    world: Any, site: Any, film: Any
) -> None:
    camera = film.camera["south-1"]
    ivo = await site.client("ivo")
    ivo.params = ivo.params.set("lang", "en")
    page = (await ivo.get("/video/decisions/new")).text
    mark = csrf(page)
    now = datetime.now(UTC).astimezone(BRUSSELS)
    form = {
        "case": "PV-7", "authority": "Demo prosecutor", "reference": "2026/77", "decided_on": f"{now:%Y-%m-%d}",
        "cameras": [str(camera.id)], "since": f"{now - timedelta(days=40):%Y-%m-%d} 12:00",
        "until": f"{now - timedelta(days=30):%Y-%m-%d} 12:00", "ends_at": f"{now + timedelta(days=3):%Y-%m-%d}",
        "document_sha256": DIGEST, "party": "",
    }  # fmt: skip
    wrong = await ivo.post("/video/decisions/new", data={**form, **mark, "document_sha256": "12"})
    assert wrong.status_code == 400 and "64 hexadecimal" in wrong.text and "PV-7" in wrong.text
    wrong = await ivo.post("/video/decisions/new", data={**form, **mark, "decided_on": "yesterday"})
    assert wrong.status_code == 400 and "today or earlier" in wrong.text
    wrong = await ivo.post("/video/decisions/new", data={**form, **mark, "ends_at": "9999-12-31"})
    assert wrong.status_code == 400 and "within 366 days" in wrong.text
    done = await ivo.post("/video/decisions/new", data={**form, **mark})
    assert done.status_code == 303, done.text
    listed = (await ivo.get("/video/decisions")).text
    assert "PV-7" in listed and "south-1" in listed and DIGEST[:12] in listed
    told = (await ivo.get("/api/video/decisions", headers={"accept": "application/json"})).json()
    [one] = told
    assert (one["case"], one["document_sha256"], one["stands"]) == ("PV-7", DIGEST, True)
    # Of an inquiry of zone West nobody else is told: not the owner's own officers, not who records nothing.
    async with world.database.acquire() as connection:
        south = world.region.parties[ZONE_SOUTH]
        assert await decisions.list_of(connection, south, datetime.now(UTC), over=False) == []
    cato = await site.client("cato")
    assert (await cato.get("/video/decisions")).status_code == 403
    ended = await ivo.post(f"/video/decisions/{one['id']}/end", data=mark)
    assert ended.status_code == 303
    assert "shown to nobody" in (await ivo.get("/video/decisions")).text
    assert "PV-7" in (await ivo.get("/video/decisions", params={"over": "true"})).text
    async with world.database.acquire() as connection:
        assert len(await connection.fetch("SELECT FROM rights.decision")) == 1
    for client in (ivo, cato):
        await client.aclose()


async def test_who_sends_slowly_is_judged_by_what_stands_when_all_is_there(
    world: Any, site: Any, film: Any
) -> None:
    ivo = await site.client("ivo")
    mark = csrf((await ivo.get("/video/decisions/new")).text)
    now = datetime.now(UTC).astimezone(BRUSSELS)
    form = {
        "case": "PV-7", "authority": "Demo prosecutor", "reference": "2026/77", "decided_on": f"{now:%Y-%m-%d}",
        "cameras": str(film.camera["south-1"].id), "since": f"{now - timedelta(days=40):%Y-%m-%d} 12:00",
        "until": f"{now - timedelta(days=30):%Y-%m-%d} 12:00", "ends_at": f"{now + timedelta(days=3):%Y-%m-%d}",
        "document_sha256": DIGEST, "party": "",
    }  # fmt: skip
    body = urlencode({**form, **mark}).encode()

    keeper = site.platform.keeper

    async def slowly() -> AsyncIterator[bytes]:
        yield body[:40]
        before = (await keeper.settle()).epoch
        await world.act("chair", Deed.SUSPEND, TargetKind.PARTY, str(world.region.parties[ZONE_WEST]))
        await keeper.refresh(beyond=before)
        yield body[40:]

    headers = {"content-type": "application/x-www-form-urlencoded", "x-csrf-token": mark["_csrf"]}
    refused = await ivo.post("/video/decisions/new", content=slowly(), headers=headers)
    assert refused.status_code == 403, refused.text[-500:]
    async with world.database.acquire() as connection:
        assert await connection.fetch("SELECT FROM rights.decision") == []

    async def signed_out() -> AsyncIterator[bytes]:
        yield body[:40]
        async with world.database.acquire() as connection:
            await connection.execute("DELETE FROM parties.session")
        yield body[40:]

    refused = await ivo.post("/video/decisions/new", content=signed_out(), headers=headers)
    assert refused.status_code in (303, 401) and refused.headers.get("location") != "/video/decisions"
    assert "party_suspended" not in refused.text
    await ivo.aclose()


@pytest.mark.browser
@pytest.mark.parametrize("language", ["nl", "fr", "en"])
async def test_the_pages_of_decisions_have_no_barriers_and_work_out_the_digest_of_a_document(
    site: Any, film: Any, serve: Any, new_page: Any, find_barriers: Any, tmp_path: Path, language: str
) -> None:
    origin = await serve(site.asgi)
    page = await new_page(locale=language)
    ivo = await site.client("ivo")
    await page.context.add_cookies(
        [{"name": SESSION_COOKIE, "value": ivo.cookies[SESSION_COOKIE], "url": origin}]
    )
    await ivo.aclose()
    await page.goto(f"{origin}/video/decisions/new?lang={language}")
    assert await find_barriers(page) == []
    document = tmp_path / "decision.pdf"
    document.write_bytes(b"the document")
    await page.wait_for_selector("#document")
    await page.set_input_files("#document", str(document))
    await page.wait_for_selector("#document-told:not(:empty)")
    assert await page.input_value("#document_sha256") == DIGEST
    now = datetime.now(UTC).astimezone(BRUSSELS)
    await page.fill("#case", "PV-9")
    await page.fill("#authority", "Demo")
    await page.fill("#reference", "2026/9")
    await page.fill("#decided_on", f"{now:%Y-%m-%d}")
    await page.check(f"input[value='{film.camera['south-1'].id}']")
    await page.fill("#since", f"{now - timedelta(days=40):%Y-%m-%d} 12:00")
    await page.fill("#until", f"{now - timedelta(days=30):%Y-%m-%d} 12:00")
    await page.fill("#ends_at", f"{now + timedelta(days=9):%Y-%m-%d}")
    await shoot(page, f"{language}-decision-new")
    await page.click("form[action='/video/decisions/new'] .actions button")
    await page.wait_for_selector("table")
    assert "PV-9" in await page.locator("table").inner_text()
    assert await find_barriers(page) == []
    await shoot(page, f"{language}-decisions")


async def shoot(page: Any, name: str) -> None:
    if folder := os.environ.get("KOINON_SCREENSHOTS"):
        await page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
