"""Debts from a sale, through the gate: announced, told, answered in and after the term, stated, refused, traced."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from koinon.base.clock import FixedClock, SystemClock, civil_date
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.demo.region.flows import DEBT_PURPOSE, MOBILITY, NOTARY, TAX, TOWN
from koinon.integrator.directory import DirectoryKeys, insert_dossiers, new_line
from koinon.integrator.entitlement.debts import answer_term
from koinon.integrator.flows import FLOWS
from koinon.integrator.model import ExchangeRequest
from koinon.integrator.procedures import (
    AnnouncementRequest,
    ClaimRequest,
    Debts,
    DebtsSource,
    DeedRequest,
)
from koinon.integrator.service import Exchange, Integrator
from koinon.trust.gate import Actor
from koinon.trust.ledger import Log, find_entries, read_private
from koinon.trust.standing.acts import Deed, TargetKind

DEBTOR = "80690112370"
OTHER = "75721054372"


class GateClock:
    """The gate's own, whichever it has now."""

    def __init__(self, gate: Any) -> None:
        self._gate = gate

    def now(self) -> datetime:
        return self._gate.clock.now()  # type: ignore[no-any-return]


class Office:
    """The procedure in one process, and who takes part in it."""

    def __init__(self, world: Any, gate: Any, uses: Any) -> None:
        self.world = world
        self.gate = gate
        self.keys = DirectoryKeys.load(world.home)
        self.debts = Debts(gate, self.keys)
        self.integrator = Integrator(
            gate=gate,
            uses=uses,
            flows=FLOWS,
            sources={"debts": DebtsSource(gate.database, self.keys, gate.keeper, GateClock(gate))},
            keys=self.keys,
            origin="https://koinon.example",
        )
        self.notary = world.system(NOTARY)
        self.town = world.system(TOWN)
        self.tax = world.system(TAX)

    async def announce(self, **changes: Any) -> Any:
        values: dict[str, Any] = {
            "case": "N-2026-1",
            "national_number": DEBTOR,
            "kind": "sale",
            "property": "Voorbeeldstraat 1, 1000 Brussel",
        }
        return (await self.debts.announce(AnnouncementRequest(**{**values, **changes}), self.notary)).answer

    async def answer(self, number: str, actor: Actor, **values: Any) -> Any:
        return (await self.debts.answer(ClaimRequest(number=number, case="C-1", **values), actor)).answer

    async def state(self, subject: str = DEBTOR, actor: Actor | None = None) -> Exchange:
        return await self.integrator.ask(
            ExchangeRequest(
                flow="debt-recovery",
                purpose=DEBT_PURPOSE,
                case="N-2026-1",
                subject={"national_number": subject},
                fields=[
                    "announced", "lapsed", "closed", "answers_complete", "last_term", "claims", "total_due",
                    "price_too_short",
                ],
                explain=True,
            ),
            actor or self.notary,
        )  # fmt: skip

    def move(self, days: int) -> None:
        """Only the procedure's clock: rights and keys of the region stay those of today."""
        now = self.world.clock.now() + timedelta(days=days)
        self.gate.clock = FixedClock(now)


@pytest.fixture
async def office(world: Any, make_gate: Any) -> AsyncIterator[Office]:
    gate, uses = await make_gate()
    keys, now = DirectoryKeys.load(world.home), world.clock.now()
    lines = [
        new_line(
            DEBT_PURPOSE, subject, "N-2026-1", "demo", now - timedelta(days=1), now + timedelta(days=365)
        )
        for subject in (DEBTOR, OTHER)
    ]
    async with world.database.transaction() as connection:
        await insert_dossiers(connection, keys, world.region.parties[NOTARY], lines, now)
    yield Office(world, gate, uses)
    gate.clock = SystemClock()


async def test_an_announcement_tells_the_competent_creditors_and_no_other(office: Office) -> None:
    announced = await office.announce()
    assert [term.kind for term in announced.terms] == ["municipal_tax", "regional_tax"]
    today = civil_date(announced.sent_at)
    assert {term.term_ends for term in announced.terms} == {answer_term("regional_tax", today)[0]}
    assert all(term.mark == "illustrative" and term.working_days == 10 for term in announced.terms)
    for creditor in (office.town, office.tax):
        notices, released = await office.debts.list_notices(creditor)
        assert released is not None
        [(subject, notice)] = notices.notices
        assert subject == DEBTOR and notice.number == announced.number and notice.answered is None
        assert notice.property.startswith("Voorbeeldstraat")
    # The taxi inspection is a regional service too, and is not authorised to collect.
    assert (await office.debts.list_notices(office.world.system(MOBILITY)))[0].notices == ()


async def test_a_creditor_is_let_in_by_the_announcement_and_by_nothing_else(office: Office) -> None:
    request = ExchangeRequest(
        flow="debt-recovery", purpose=DEBT_PURPOSE, case="C", subject={"national_number": DEBTOR}
    )
    with pytest.raises(NotAllowed) as refusal:
        await office.integrator.ask(request, office.tax)
    assert refusal.value.code == "subject_not_registered"
    await office.announce()
    # Now it has a line on that person; the statement is still not its to see.
    with pytest.raises(NotAllowed):
        await office.state(actor=office.tax)
    with pytest.raises(NotAllowed) as refusal:
        await office.state(OTHER, actor=office.tax)
    assert refusal.value.code == "subject_not_registered"


async def test_answers_are_ranked_and_stated_once_all_are_in(office: Office) -> None:
    number = (await office.announce()).number
    before = (await office.state()).released.value
    assert before["announced"].value is True and before["answers_complete"].value is False
    assert (before["total_due"].status, before["total_due"].missing) == ("unknown", ("debts/claims.answer",))
    assert [row.state for row in before["claims"].value] == ["waiting", "waiting"]
    await office.answer(
        number, office.town, principal_cents=50_000, costs_cents=1_000, rank="municipal_privilege"
    )
    assert (await office.state()).released.value["total_due"].status == "unknown"
    await office.answer(
        number,
        office.tax,
        principal_cents=100_000,
        rank="regional_privilege",
        interest_from=civil_date(office.gate.clock.now()) - timedelta(days=365),
    )
    after = (await office.state()).released.value
    rows = after["claims"].value
    assert [(row.state, row.rank) for row in rows] == [
        ("claim", "regional_privilege"),
        ("claim", "municipal_privilege"),
    ]
    assert rows[0].interest_cents in (4_500, 4_499, 4_501) and rows[0].paid_cents is None
    assert after["total_due"].value == sum(row.due_cents for row in rows)
    assert after["answers_complete"].value is True and after["price_too_short"].status == "no_data"
    assert any("Regional tax service" in text.en for text in after["claims"].explanation)


async def test_what_comes_after_the_term_is_out_and_shown(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced = await office.announce()
    await office.answer(announced.number, office.town)
    last = announced.terms[0].term_ends
    before = await office.debts._told(announced.number, office.tax)
    office.move((last - civil_date(announced.sent_at)).days)
    in_time = await office.answer(announced.number, office.tax, principal_cents=1)
    assert in_time.late is False
    office.move((last - civil_date(announced.sent_at)).days + 1)
    # What was answered in time cannot be changed afterwards.
    with pytest.raises(Conflict) as refusal:
        await office.answer(announced.number, office.tax, principal_cents=2)
    assert refusal.value.code == "answer_final"
    # Nor by somebody of the same creditor who began before it came.
    with monkeypatch.context() as patch, pytest.raises(Conflict) as refusal:
        patch.setattr(office.debts, "_told", lambda number, actor: asyncio.sleep(0, before))
        await office.answer(announced.number, office.tax, principal_cents=2)
    assert refusal.value.code == "answer_final"
    second = await office.announce(case="N-2026-2")
    office.move((second.terms[0].term_ends - civil_date(office.world.clock.now())).days + 1)
    late = await office.answer(second.number, office.town, principal_cents=70_000, rank="municipal_privilege")
    assert late.late is True
    stated = (await office.state()).released.value
    assert [(row.state, row.due_cents) for row in stated["claims"].value] == [
        ("late", 70_000),
        ("silent", None),
    ]
    assert stated["total_due"].value == 0 and stated["answers_complete"].value is True


async def test_a_deed_stops_the_interest_and_shares_the_price(office: Office) -> None:
    number = (await office.announce()).number
    await office.answer(number, office.town, principal_cents=50_000, rank="municipal_privilege")
    await office.answer(number, office.tax, principal_cents=100_000, rank="regional_privilege")
    today = civil_date(office.gate.clock.now())
    done = await office.debts.record_deed(
        DeedRequest(number=number, deed_on=today, price_cents=120_000), office.notary
    )
    assert done.answer.pay_by > today
    stated = (await office.state()).released.value
    assert [row.paid_cents for row in stated["claims"].value] == [100_000, 20_000]
    assert stated["price_too_short"].value is True and stated["lapsed"].value is False


async def test_the_same_announcement_twice_tells_nobody_twice(office: Office) -> None:
    number = (await office.announce()).number
    with pytest.raises(Conflict) as refusal:
        await office.announce()
    assert (refusal.value.code, refusal.value.facts) == ("announcement_exists", {"number": number})
    assert len((await office.debts.list_notices(office.tax))[0].notices) == 1
    await office.announce(case="N-2026-2")
    with pytest.raises(Conflict) as refusal:
        await office.announce()
    assert refusal.value.facts == {"number": number}, "also where another case came in between"
    office.move(93)
    assert (await office.announce()).number != number, "one that lapsed is made again"


async def test_of_the_same_announcement_at_the_same_time_one_stands(office: Office) -> None:
    done = await asyncio.gather(*(office.announce() for _ in range(3)), return_exceptions=True)
    assert [each.code for each in done if isinstance(each, Conflict)] == ["announcement_exists"] * 2, done
    assert len((await office.debts.list_notices(office.tax))[0].notices) == 1


async def test_a_day_of_the_deed_that_goes_by_without_one_ends_no_interest(office: Office) -> None:
    today = civil_date(office.gate.clock.now())
    with pytest.raises(Invalid) as refusal:
        await office.announce(deed_on=today - timedelta(days=1))
    assert refusal.value.code == "deed_before_announcement"
    number = (await office.announce(deed_on=today + timedelta(days=30))).number
    await office.answer(number, office.tax, principal_cents=100_000, interest_from=today)

    async def told() -> tuple[date, bool]:
        stated = (await office.state()).released.value
        return stated["claims"].value[0].interest_to, stated["lapsed"].value

    office.move(40)
    assert await told() == (today + timedelta(days=40), False)
    office.move(93)
    assert await told() == (today + timedelta(days=93), True)
    await office.debts.record_deed(
        DeedRequest(number=number, deed_on=today + timedelta(days=31), price_cents=1), office.notary
    )
    assert await told() == (today + timedelta(days=31), False)


async def test_an_announcement_without_a_deed_lapses_after_three_months(office: Office) -> None:
    await office.announce()
    office.move(93)
    assert (await office.state()).released.value["lapsed"].value is True


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"national_number": "80690112371"}, "subject_malformed"),
        ({"case": "  "}, "case_missing"),
        ({"case": "x" * 65}, "case_too_long"),
        ({"property": " "}, "property_missing"),
        ({"property": "x" * 401}, "property_too_long"),
        ({"price_cents": -1}, "amount_out_of_range"),
    ],
)
async def test_a_malformed_announcement_is_refused(
    office: Office, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        await office.announce(**changes)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"principal_cents": -1}, "amount_out_of_range"),
        ({"principal_cents": 10**13 + 1}, "amount_out_of_range"),
        ({"principal_cents": 1, "costs_cents": -5}, "amount_out_of_range"),
        ({"principal_cents": 1, "rank": "first"}, "rank_unknown"),
        ({"principal_cents": 1, "rank": "registered"}, "registered_on_missing"),
        ({"principal_cents": 1, "interest_from": date(2999, 1, 1)}, "claim_in_future"),
        ({"principal_cents": 1, "interest_from": date(2000, 1, 1)}, "interest_rate_unknown"),
    ],
)
async def test_a_malformed_claim_is_refused(office: Office, changes: dict[str, Any], code: str) -> None:
    number = (await office.announce()).number
    with pytest.raises(Invalid) as refusal:
        await office.answer(number, office.tax, **changes)
    assert refusal.value.code == code
    assert (await office.state()).released.value["claims"].status == "value", (
        "it takes nothing from the statement"
    )


async def test_who_was_not_told_of_it_knows_no_announcement(office: Office) -> None:
    number = (await office.announce()).number
    for actor, wanted in ((office.notary, number), (office.tax, "D-2026-999999")):
        with pytest.raises(NotFound) as refusal:
            await office.answer(wanted, actor, principal_cents=1)
        assert refusal.value.code == "announcement_unknown"
    with pytest.raises(NotFound) as refusal:
        await office.debts.record_deed(
            DeedRequest(number=number, deed_on=date(2026, 1, 1), price_cents=1), office.tax
        )
    assert refusal.value.code == "announcement_unknown"


async def test_who_has_no_file_on_the_debtor_announces_nothing(office: Office) -> None:
    with pytest.raises(NotAllowed) as refusal:
        await office.announce(national_number="93051822361")
    assert refusal.value.code == "subject_not_registered"
    assert await office.debts.list_announcements(office.notary.party) == []


async def test_a_suspended_flow_stops_every_step(office: Office) -> None:
    number = (await office.announce()).number
    await office.world.act("chair", Deed.SUSPEND, TargetKind.FLOW, "debt-recovery")
    for step in (
        lambda: office.announce(case="N-2026-3"),
        lambda: office.answer(number, office.tax, principal_cents=1),
        lambda: office.state(),
        lambda: office.debts.list_notices(office.tax),
    ):
        with pytest.raises(NotAllowed) as refusal:
            await step()
        assert refusal.value.code == "flow_suspended"


async def test_every_step_stands_in_the_ledger_and_no_amount_lies_open_in_the_database(
    office: Office,
) -> None:
    number = (await office.announce()).number
    await office.debts.list_notices(office.tax)
    await office.answer(number, office.tax, principal_cents=123_456)
    await office.state()
    async with office.world.database.acquire() as connection:
        kinds = {
            kind: await find_entries(
                connection, office.world.sealer, subject=DEBTOR, kind=kind, log=Log.EXCHANGE
            )
            for kind in ("debt.announced", "dossier.registered", "debt.notices_read", "debt.answered")
        }
        [private] = await read_private(connection, office.world.sealer, kinds["debt.answered"])
        rows = await connection.fetch(
            "SELECT * FROM procedures.announcement a JOIN procedures.notice n ON n.announcement = a.id"
        )
    assert {kind: len(found) for kind, found in kinds.items()} == {
        "debt.announced": 1,
        "dossier.registered": 2,
        "debt.notices_read": 1,
        "debt.answered": 1,
    }
    assert private.fields["announcement"] == number and "123456" not in str(private.fields)
    text = repr([tuple(row) for row in rows])
    assert DEBTOR not in text and "123456" not in text and "Voorbeeldstraat" not in text
