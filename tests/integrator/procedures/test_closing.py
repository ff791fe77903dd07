"""How an announcement of debts ends: closed once nobody is shut out by it, or withdrawn; and what follows."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.integrator.procedures.test_debts import DEBTOR, Office, office

from koinon.base.clock import civil_date
from koinon.base.database import Database
from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed, NotFound
from koinon.demo.region.flows import DEBT_PURPOSE, TAX
from koinon.integrator.directory import page_dossiers
from koinon.integrator.procedures import ClosingRequest, DeedRequest, WithdrawalRequest, policy, store
from koinon.integrator.procedures.model import (
    WITHDRAWAL_REASONS,
    Announcement,
    Notice,
    Outcome,
    WithdrawalReason,
)
from koinon.trust.gate import Actor
from koinon.trust.ledger import Log, find_entries, read_private
from koinon.trust.parties import PartyId
from koinon.trust.standing.acts import Deed, TargetKind

__all__ = ["office"]
SENT = datetime(2026, 9, 1, 9, tzinfo=UTC)


async def close(office: Office, number: str, actor: Actor | None = None) -> Any:
    return (await office.debts.close(ClosingRequest(number=number), actor or office.notary)).answer


async def withdraw(office: Office, number: str, reason: str = "wrong_person") -> Any:
    return (
        await office.debts.withdraw(WithdrawalRequest(number=number, reason=reason), office.notary)
    ).answer


def after_the_terms(office: Office, announced: Any) -> None:
    office.move((max(term.term_ends for term in announced.terms) - civil_date(announced.sent_at)).days + 1)


async def files_on(office: Office, code: str) -> list[str]:
    """The cases under which the party has a file now."""
    async with office.world.database.acquire() as connection:
        lines = await page_dossiers(
            connection,
            office.keys,
            office.world.region.parties[code],
            office.gate.clock.now(),
            after=None,
        )
    return [line.case for line in lines if line.purpose == DEBT_PURPOSE and line.evidence == "announcement"]


async def test_a_procedure_is_closed_when_the_terms_have_passed(office: Office) -> None:
    announced = await office.announce()
    await office.answer(announced.number, office.tax, principal_cents=80_000, rank="regional_privilege")
    with pytest.raises(Conflict) as refusal:
        await close(office, announced.number)
    last = str(announced.terms[0].term_ends)
    assert (refusal.value.code, refusal.value.facts) == ("answers_awaited", {"count": 1, "until": last})
    await office.answer(announced.number, office.town)
    with pytest.raises(Conflict) as refusal:
        await close(office, announced.number)
    assert (refusal.value.code, refusal.value.facts) == ("terms_running", {"until": last})
    assert await files_on(office, TAX) == [announced.number], "what is refused ends nothing"
    after_the_terms(office, announced)
    ended = await close(office, announced.number)
    assert (ended.outcome, ended.dossiers_ended) == ("stated", 2)
    assert await files_on(office, TAX) == []
    closed_on = civil_date(ended.closed_at)
    office.move(60)
    stated = (await office.state()).released.value
    assert stated["closed"].value is True and stated["total_due"].value == 80_000
    assert {row.interest_to for row in stated["claims"].value} == {closed_on}, (
        "no interest runs after the end"
    )


async def test_with_a_deed_it_is_closed_once_every_creditor_has_answered(office: Office) -> None:
    number = (await office.announce(price_cents=90_000)).number
    today = civil_date(office.gate.clock.now())
    await office.answer(number, office.tax, principal_cents=80_000, rank="regional_privilege")
    await office.debts.record_deed(
        DeedRequest(number=number, deed_on=today, price_cents=90_000), office.notary
    )
    with pytest.raises(Conflict) as refusal:
        await close(office, number)
    assert refusal.value.code == "answers_awaited"
    await office.answer(number, office.town, principal_cents=20_000, rank="municipal_privilege")
    with pytest.raises(Conflict) as refusal:
        await withdraw(office, number)
    assert refusal.value.code == "deed_recorded"
    assert (await close(office, number)).outcome == "distributed"
    stated = (await office.state()).released.value
    assert [row.paid_cents for row in stated["claims"].value] == [80_000, 10_000]


async def test_after_the_end_nobody_answers_and_the_creditor_reads_how_it_ended(office: Office) -> None:
    announced = await office.announce()
    await office.answer(announced.number, office.tax, principal_cents=80_000)
    after_the_terms(office, announced)
    # Late, and before the end: kept, and out.
    assert (await office.answer(announced.number, office.town, principal_cents=1)).late is True
    ended = await close(office, announced.number)
    for actor in (office.tax, office.town):
        with pytest.raises(Conflict) as refusal:
            await office.answer(announced.number, actor, principal_cents=2)
        assert refusal.value.code == "announcement_closed"
        assert refusal.value.facts == {
            "number": announced.number, "outcome": "stated", "closed_on": str(civil_date(ended.closed_at))
        }  # fmt: skip
    notices, released = await office.debts.list_notices(office.town)
    assert notices.notices == () and released is not None and released.receipt == notices.receipt
    [notice] = notices.closed
    assert (notice.number, notice.outcome, notice.answered, notice.late) == (
        announced.number, "stated", "claim", True
    )  # fmt: skip
    assert DEBTOR not in repr(notices) and "Voorbeeldstraat" not in repr(notices)
    # It has no file on the person any more; the gate says so of every question about it.
    with pytest.raises(NotAllowed) as denied:
        await office.state(actor=office.tax)
    assert denied.value.code == "subject_not_registered"


async def test_what_was_announced_in_error_is_withdrawn_with_its_reason(office: Office) -> None:
    announced = await office.announce()
    await office.answer(announced.number, office.tax, principal_cents=80_000)
    with pytest.raises(Invalid) as malformed:
        await withdraw(office, announced.number, "because")
    assert malformed.value.code == "reason_unknown"
    ended = await withdraw(office, announced.number, "wrong_property")
    assert (ended.outcome, ended.dossiers_ended) == ("withdrawn", 2)
    stated = (await office.state()).released.value
    assert (stated["announced"].value, stated["closed"].value) == (False, True)
    assert {stated[name].status for name in ("claims", "total_due", "answers_complete")} == {"no_data"}
    [notice] = (await office.debts.list_notices(office.tax))[0].closed
    assert (notice.outcome, notice.reason) == ("withdrawn", "wrong_property")
    with pytest.raises(Conflict) as refusal:
        await office.answer(announced.number, office.town)
    assert refusal.value.facts["reason"] == "wrong_property"
    # The right one is announced for the same case, and tells everybody.
    again = await office.announce(property="Voorbeeldstraat 2, 1000 Brussel")
    assert again.number != announced.number and len(again.terms) == 2
    notices = (await office.debts.list_notices(office.tax))[0]
    assert [notice.number for _, notice in notices.notices] == [again.number]
    assert [notice.number for notice in notices.closed] == [announced.number]
    assert (await office.state()).released.value["announced"].value is True


async def test_of_two_the_withdrawn_one_leaves_the_other_standing(office: Office) -> None:
    first = await office.announce()
    await office.answer(first.number, office.tax, principal_cents=80_000)
    second = await office.announce(case="N-2026-2")
    await withdraw(office, second.number, "announced_twice")
    assert await files_on(office, TAX) == [first.number]
    rows = (await office.state()).released.value["claims"].value
    assert {row.state for row in rows} == {"claim", "waiting"}
    assert (await office.answer(first.number, office.town)).late is False


async def test_nothing_ends_twice_and_nobody_ends_another_s(office: Office) -> None:
    number = (await office.announce()).number
    for actor, wanted in ((office.tax, number), (office.notary, "D-2026-999999")):
        with pytest.raises(NotFound) as unknown:
            await close(office, wanted, actor)
        assert unknown.value.code == "announcement_unknown"
    await withdraw(office, number)
    today = civil_date(office.gate.clock.now())
    deed = DeedRequest(number=number, deed_on=today, price_cents=1)
    for again in (
        lambda: close(office, number),
        lambda: withdraw(office, number),
        lambda: office.debts.record_deed(deed, office.notary),
    ):
        with pytest.raises(Conflict) as refusal:
            await again()
        assert refusal.value.code == "announcement_closed"


async def test_who_lost_the_file_on_the_debtor_does_not_end_it_and_a_suspended_flow_ends_nothing(
    office: Office,
) -> None:
    number = (await office.announce()).number
    other = await office.announce(case="N-2026-2")
    await withdraw(office, other.number)
    await office.world.act("chair", Deed.SUSPEND, TargetKind.FLOW, "debt-recovery")
    for step in (
        lambda: withdraw(office, number),
        lambda: office.debts.list_notices(office.tax),
    ):
        with pytest.raises(NotAllowed) as refusal:
            await step()
        assert refusal.value.code == "flow_suspended"
    assert sorted(await files_on(office, TAX)) == [number]


async def test_closed_notices_alone_are_not_read_in_a_suspended_flow(office: Office) -> None:
    await withdraw(office, (await office.announce()).number)
    assert len((await office.debts.list_notices(office.tax))[0].closed) == 1
    await office.world.act("chair", Deed.SUSPEND, TargetKind.FLOW, "debt-recovery")
    with pytest.raises(NotAllowed) as refusal:
        await office.debts.list_notices(office.tax)
    assert refusal.value.code == "flow_suspended"


async def test_the_end_stands_in_the_ledger_with_its_reason_and_each_line_that_ended(office: Office) -> None:
    number = (await office.announce()).number
    await withdraw(office, number, "not_sold")
    async with office.world.database.acquire() as connection:
        found = {
            kind: await find_entries(
                connection, office.world.sealer, subject=DEBTOR, kind=kind, log=Log.EXCHANGE
            )
            for kind in ("debt.withdrawn", "dossier.ended")
        }
        [private] = await read_private(connection, office.world.sealer, found["debt.withdrawn"])
    assert {kind: len(entries) for kind, entries in found.items()} == {
        "debt.withdrawn": 1,
        "dossier.ended": 2,
    }
    said = {name: private.fields[name] for name in ("announcement", "outcome", "reason")}
    assert said == {"announcement": number, "outcome": "withdrawn", "reason": "not_sold"}


async def test_of_those_who_race_one_ends_it_and_the_others_leave_no_trace_of_what_they_did_not_do(
    office: Office,
) -> None:
    number = (await office.announce()).number
    database = office.world.database
    async with database.transaction() as connection:
        await store.get_announcement(connection, office.keys, number, lock=True)
        racing = []
        for act in (
            lambda: withdraw(office, number),
            lambda: withdraw(office, number, "not_sold"),
            lambda: office.answer(number, office.tax, principal_cents=1),
        ):
            racing.append(asyncio.create_task(act()))
            async with asyncio.timeout(20):
                while await count_waiting(database) < len(
                    racing
                ):  # in this order: each waits for the one before
                    assert not any(task.done() for task in racing), [task.exception() for task in racing]
    ended, *refused = await asyncio.gather(*racing, return_exceptions=True)
    assert ended.outcome == "withdrawn"
    assert [(type(each), each.code) for each in refused] == [(Conflict, "announcement_closed")] * 2
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "SELECT kind, count(*) AS count FROM ledger.entry WHERE kind LIKE 'debt.%' GROUP BY kind"
        )
    assert {row["kind"]: row["count"] for row in rows} == {"debt.announced": 1, "debt.withdrawn": 1}


async def count_waiting(database: Database) -> int:
    """How many statements of this database wait for a lock."""
    async with database.acquire() as connection:
        found: int = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    return found


def announcement(
    deed: datetime | None, outcome: Outcome | None = None, reason: WithdrawalReason | None = None
) -> Announcement:
    return Announcement(
        id=UUID(int=1),
        number="D-2026-000001",
        party=PartyId(UUID(int=2)),
        case="N-1",
        kind="sale",
        subject=DEBTOR,
        property="Voorbeeldstraat 1",
        sent_at=SENT,
        deed_on=date(2026, 9, 20),
        price_cents=1,
        deed_recorded_at=deed,
        closed_at=None if outcome is None else SENT + timedelta(days=9),
        outcome=outcome,
        reason=reason,
    )


def notice(ends: date, answered: bool) -> Notice:
    return Notice(
        creditor=PartyId(uuid4()),
        kind="regional_tax",
        term_ends=ends,
        answered_at=SENT if answered else None,
        answer="nothing" if answered else None,
        claim=None,
        late=False if answered else None,
    )


days = st.dates(date(2026, 9, 1), date(2026, 10, 1))


@given(
    deed=st.booleans(),
    notices=st.lists(st.builds(notice, days, st.booleans()), min_size=1, max_size=4),
    today=days,
)
def test_closing_shuts_nobody_out_who_may_still_answer(
    deed: bool, notices: list[Notice], today: date
) -> None:
    open_still = [each for each in notices if each.answered_at is None and each.term_ends >= today]
    running = [each for each in notices if each.term_ends >= today]
    try:
        outcome = policy.close(announcement(SENT if deed else None), notices, today)
    except KoinonError as refusal:
        assert refusal.code == ("answers_awaited" if open_still else "terms_running")
        blocking = open_still or running
        assert refusal.facts["until"] == str(max(each.term_ends for each in blocking))
        assert open_still or (running and not deed)
        # What it says to wait for is what it waits for.
        later = date.fromisoformat(refusal.facts["until"]) + timedelta(days=1)
        assert policy.close(announcement(SENT if deed else None), notices, later)
    else:
        assert not open_still
        assert outcome == ("distributed" if deed else "stated")
        assert deed or not running


@given(
    outcome=st.sampled_from(get_args(Outcome)), reason=st.sampled_from(WITHDRAWAL_REASONS), deed=st.booleans()
)
def test_what_has_ended_is_ended_by_nothing_else(
    outcome: Outcome, reason: WithdrawalReason, deed: bool
) -> None:
    ended = announcement(SENT if deed else None, outcome, reason if outcome == "withdrawn" else None)
    for act in (lambda: policy.close(ended, [], date(2027, 1, 1)), lambda: policy.withdraw(ended, reason)):
        with pytest.raises(Conflict) as refusal:
            act()
        assert refusal.value.code == "announcement_closed"
        assert ("reason" in refusal.value.facts) == (outcome == "withdrawn")
    # A day of the deed that was known beforehand is no deed.
    if deed:
        with pytest.raises(Conflict):
            policy.withdraw(announcement(SENT), reason)
    else:
        assert policy.withdraw(announcement(None), reason) == reason
