"""Pseudonyms join within a scope and nowhere else; two humans are needed to turn one back."""

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.base.clock import FixedClock
from koinon.base.database import Database
from koinon.base.errors import Conflict, Invalid, KoinonError, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.integrator.processing.keys import ProcessingKeys
from koinon.integrator.processing.pseudonyms import (
    Human,
    PseudonymKeys,
    Scope,
    approve_case,
    list_cases,
    open_case,
    period_of,
    use_case,
)
from koinon.trust.gate import Released
from koinon.trust.ledger import Sealer
from koinon.trust.parties import Author, PartyId, PersonId

KEYS = PseudonymKeys(bytes(range(32)))
SEALING = ProcessingKeys(bytes(32))
NORTH, SOUTH = UUID(int=1), UUID(int=2)
SUBJECTS = st.text("0123456789", min_size=1, max_size=15)


def scope(recipient: UUID = NORTH, purpose: str = "housing", period: str = "2026-2") -> Scope:
    return Scope(recipient=recipient, purpose=purpose, period=period)


SCOPES = st.builds(
    scope,
    st.sampled_from([NORTH, SOUTH]),
    st.sampled_from(["housing", "housin", "tax"]),
    st.sampled_from(["2026-1", "2026-2", "2027-1"]),
)


@given(SUBJECTS, SUBJECTS, SCOPES, SCOPES)
@settings(max_examples=300)
def test_a_pseudonym_is_the_same_exactly_for_the_same_subject_in_the_same_scope(
    one: str, other: str, here: Scope, there: Scope
) -> None:
    same = KEYS.pseudonym(one, here) == KEYS.pseudonym(other, there)
    assert same == (one == other and here == there)
    text = KEYS.pseudonym(one, here)
    assert KEYS.subject(text, here.recipient, here.purpose) == one
    assert len(text) == len("urn:koinon:pseudonym:2026-2:") + 43
    if (there.recipient, there.purpose) != (here.recipient, here.purpose):
        with pytest.raises(Invalid) as refused:
            KEYS.subject(text, there.recipient, there.purpose)
        assert refused.value.code == "pseudonym_unknown"


def test_another_secret_makes_other_pseudonyms_and_opens_none() -> None:
    other = PseudonymKeys(bytes(32))
    text = KEYS.pseudonym("80690112370", scope())
    assert other.pseudonym("80690112370", scope()) != text
    with pytest.raises(Invalid) as refused:
        other.subject(text, NORTH, "housing")
    assert refused.value.code == "pseudonym_unknown"


def test_the_parts_of_a_scope_do_not_run_into_each_other() -> None:
    assert KEYS.pseudonym("1", scope(purpose="ab", period="2026-1")) != KEYS.pseudonym(
        "1", scope(purpose="a", period="2026-1")
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "pseudonym_malformed"),
        ("80690112370", "pseudonym_malformed"),
        ("urn:koinon:pseudonym:2026-3:" + "A" * 43, "pseudonym_malformed"),
        ("urn:koinon:pseudonym:2026-2:" + "A" * 42, "pseudonym_malformed"),
        ("urn:koinon:pseudonym:2026-2:" + "A" * 43, "pseudonym_unknown"),
    ],
)
def test_what_is_no_pseudonym_is_refused(text: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        KEYS.subject(text, NORTH, "housing")
    assert refused.value.code == code


def test_a_period_overlaps_with_the_next_for_thirty_days_and_not_with_the_one_after() -> None:
    assert period_of(date(2026, 6, 30)) == "2026-1"
    assert period_of(date(2026, 7, 1)) == "2026-2"
    old = KEYS.pseudonym("80690112370", scope(period="2026-1"))
    new = KEYS.renew(old, NORTH, "housing", date(2026, 7, 30))
    assert new == KEYS.pseudonym("80690112370", scope(period="2026-2"))
    assert KEYS.renew(new, NORTH, "housing", date(2026, 12, 31)) == new
    for text, day in ((old, date(2026, 7, 31)), (old, date(2027, 1, 2)), (new, date(2026, 6, 30))):
        with pytest.raises(Conflict) as refused:
            KEYS.renew(text, NORTH, "housing", day)
        assert refused.value.code == "pseudonym_period_over"


def test_the_key_is_made_once_and_kept_for_its_owner_alone(tmp_path: Any) -> None:
    first = PseudonymKeys.load(tmp_path).pseudonym("1", scope())
    assert PseudonymKeys.load(tmp_path).pseudonym("1", scope()) == first
    assert (tmp_path / "keys" / "pseudonyms.key").stat().st_mode & 0o77 == 0


PARTY = PartyId(NORTH)


def human(identity: str, profile: str = "case_handler", party: UUID = NORTH) -> Human:
    person = PersonId(UUID(int=1000 + sum(identity.encode()) + len(profile)))
    return Human(author=Author(person=person, party=PartyId(party), profile=profile), identity=identity)


REASON = "A court order in file 12 asks who this is."


class Bureau:
    """What cases need, for one test."""

    def __init__(self, database: Database, sealer: Sealer, clock: FixedClock) -> None:
        self.database, self.sealer, self.clock = database, sealer, clock

    async def open(self, by: Human, **changes: Any) -> UUID:
        values = {"purpose": "housing", "case": "C-1", "reason": REASON} | changes
        text = KEYS.pseudonym("80690112370", scope(by.author.party or NORTH))
        async with self.database.transaction() as connection:
            return await open_case(
                connection, self.sealer, KEYS, SEALING, text, by=by, at=self.clock.now(), **values
            )

    async def approve(self, case: UUID, by: Human) -> None:
        async with self.database.transaction() as connection:
            await approve_case(connection, self.sealer, case, by=by, at=self.clock.now())

    async def use(self, case: UUID, by: Human, gate: Any) -> Released[dict[str, str]]:
        return await use_case(
            self.database, self.sealer, KEYS, SEALING, gate, case, by=by.author, at=self.clock.now()
        )


@pytest.fixture
async def bureau(open_database: Any, clock: FixedClock, home: Any) -> Bureau:
    return Bureau(await open_database("web"), Sealer.of(home), clock)


async def code_of(call: Any) -> str:
    with pytest.raises(KoinonError) as refused:
        await call
    return refused.value.code


class NoGate:
    """Stands where nothing may get to."""

    async def open(self, ask: Any) -> Any:
        raise AssertionError("the gate was asked")


async def test_one_human_is_not_two(bureau: Bureau) -> None:
    an = human("an")
    case = await bureau.open(an)
    assert await code_of(bureau.approve(case, human("an", "security_adviser"))) == "second_person_same"
    assert await code_of(bureau.approve(case, human("bo"))) == "profile_not_held"
    other = human("bo", "security_adviser", SOUTH)
    assert await code_of(bureau.approve(case, other)) == "reidentification_unknown"
    assert await code_of(bureau.use(case, an, NoGate())) == "reidentification_not_approved"


async def test_a_case_needs_a_reason_and_a_pseudonym_of_the_party_itself(bureau: Bureau) -> None:
    an = human("an")
    assert await code_of(bureau.open(an, reason="because")) == "reason_too_short"
    assert await code_of(bureau.open(an, case="")) == "case_missing"
    assert await code_of(bureau.open(an, purpose="tax")) == "pseudonym_unknown"
    assert await code_of(bureau.open(human("an", "operator"))) == "profile_not_held"


async def test_a_case_ends_by_itself(bureau: Bureau) -> None:
    an, bo = human("an"), human("bo", "security_adviser")
    first = await bureau.open(an)
    second = await bureau.open(an)
    await bureau.approve(second, bo)
    bureau.clock.advance(timedelta(hours=24))
    assert await code_of(bureau.approve(first, bo)) == "reidentification_over"
    assert await code_of(bureau.use(second, an, NoGate())) == "reidentification_over"
    async with bureau.database.acquire() as connection:
        assert {each.state for each in await list_cases(connection, PARTY, bureau.clock.now())} == {"over"}


async def test_nothing_about_the_pseudonym_lies_open_in_the_database(bureau: Bureau) -> None:
    await bureau.open(human("an"))
    async with bureau.database.acquire() as connection:
        row = await connection.fetchrow("SELECT * FROM processing.reidentification")
    assert b"urn:koinon" not in row["sealed_pseudonym"]
    assert "80690112370" not in str(dict(row))


async def test_an_approved_case_passes_the_gate_once_with_its_second_person(bureau: Bureau) -> None:
    an, bo = human("an"), human("bo", "security_adviser")
    case = await bureau.open(an)
    await bureau.approve(case, bo)
    assert await code_of(bureau.approve(case, bo)) == "reidentification_approved"
    asked: list[Any] = []

    class Recording:
        async def open(self, ask: Any) -> Any:
            asked.append(ask)
            raise NotAllowed("field_not_authorised")

    done = await asyncio.gather(
        *(bureau.use(case, an, Recording()) for _ in range(3)), return_exceptions=True
    )
    assert sorted(each.code for each in done if isinstance(each, KoinonError)) == [
        "field_not_authorised",
        "reidentification_over",
        "reidentification_over",
    ]
    [ask] = asked
    assert ask.subjects == ("80690112370",)
    assert (ask.second.person, ask.second.profile) == (bo.author.person, "security_adviser")
    assert (ask.purpose, ask.case, ask.reason) == ("housing", "C-1", REASON)
    stranger = human("cy")
    assert await code_of(bureau.use(case, stranger, NoGate())) == "reidentification_unknown"


async def test_an_unknown_case_is_unknown(bureau: Bureau) -> None:
    with pytest.raises(NotFound):
        await bureau.approve(new_id(), human("bo", "security_adviser"))
