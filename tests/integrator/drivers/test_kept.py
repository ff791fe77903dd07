"""Copies of answers: for the very question they answered, for no longer than a rule lets them be, in bounds, sealed."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.clock import FixedClock
from koinon.base.crypto import open_sealed
from koinon.base.errors import Invalid
from koinon.base.metrics import REGISTRY
from koinon.integrator.drivers import (
    Asking,
    Context,
    EnterpriseFunction,
    HouseholdMember,
    Keeping,
    KeptAnswers,
    PartialDate,
    Plan,
    Request,
    Service,
    SourceAnswer,
    Spell,
    gather,
)
from koinon.integrator.drivers import kept as kept_module

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
FIELDS = frozenset({"active", "name"})
A, B = "1990000035", "1990000134"
ASKING = Asking(
    party="north",
    purpose="works",
    parameters={"year": "2023"},
    epoch=7,
    seconds=lambda resource: 60 if resource == "firms/firm" else 0,
    good_until=NOW + timedelta(days=1),
)


class Firms:
    """Answers with the next of what it was given, and counts how often it was asked."""

    name = "firms"
    services: Mapping[str, Service] = {}

    def __init__(self, **says: Any) -> None:
        self.says = {"status": "data", "values": {"active": True, "name": "Firm"}} | says
        self.asked: list[tuple[str, ...]] = []
        self.held = asyncio.Event()
        self.held.set()

    async def fetch(
        self, service: str, subject: str, fields: Iterable[str], context: Context
    ) -> SourceAnswer:
        return (await self.fetch_many(service, [subject], fields, context))[0]

    async def fetch_many(
        self, service: str, subjects: Sequence[str], fields: Iterable[str], context: Context
    ) -> tuple[SourceAnswer, ...]:
        self.asked.append(tuple(subjects))
        await self.held.wait()
        return tuple(
            SourceAnswer(source=self.name, service=service, subject=each, **self.says) for each in subjects
        )

    async def close(self) -> None: ...


class Desk:
    """Asks `firms/firm` about companies, with one store of copies and a still clock."""

    def __init__(self, source: Firms | None = None, **bounds: int) -> None:
        self.clock = FixedClock(NOW)
        self.kept = KeptAnswers(self.clock, **bounds)
        self.source = source or Firms()

    async def ask(
        self,
        *subjects: str,
        service: str = "firm",
        fields: frozenset[str] = FIELDS,
        allowed: frozenset[str] = FIELDS,
        **changes: Any,
    ) -> list[SourceAnswer]:
        first, *others = subjects or (A,)
        resource = f"firms/{service}"
        steps: tuple[tuple[Request, ...], ...] = ((Request(resource, fields),),)
        if others:
            steps += ((Request(resource, fields, "others"),),)
        asking = msgspec.structs.replace(ASKING, **changes)
        context = Context(
            purpose="works",
            party="0566988259",
            exchange=UUID(int=1),
            at=self.clock.now(),
            deadline=asyncio.get_running_loop().time() + 5,
        )
        plan = Plan(steps=steps, find=lambda about, subject, answers: others)
        return await gather(
            plan, first, {"firms": self.source}, context, lambda _: allowed, Keeping(self.kept, asking)
        )


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    yield Desk()


def counted(outcome: str) -> float:
    labels = {"source": "firms", "service": "firm", "outcome": outcome}
    return REGISTRY.get_sample_value("koinon_source_copies_total", labels) or 0.0


async def test_a_copy_says_as_the_answer_did_why_a_field_has_no_value() -> None:
    desk = Desk(Firms(values={"active": True}, gaps={"name": "unknown"}))
    first, second = await desk.ask(), await desk.ask()
    assert second[0].age_seconds == 0 and len(desk.source.asked) == 1
    assert dict(second[0].gaps) == dict(first[0].gaps) == {"name": "unknown"}


async def test_the_second_question_asks_no_source_and_says_how_old_its_answer_is(desk: Desk) -> None:
    hits, misses = counted("hit"), counted("miss")
    (first,) = await desk.ask()
    desk.clock.advance(timedelta(seconds=12))
    (second,) = await desk.ask()
    assert len(desk.source.asked) == 1
    assert (first.age_seconds, second.age_seconds) == (None, 12.0)
    assert (second.status, second.values) == ("data", first.values)
    assert (counted("hit") - hits, counted("miss") - misses) == (1, 1)


async def test_without_a_rule_that_lets_it_nothing_is_kept(desk: Desk) -> None:
    for _ in range(2):
        (answer,) = await desk.ask(seconds=lambda _: 0)
        assert answer.age_seconds is None
    assert (len(desk.source.asked), len(desk.kept)) == (2, 0)
    await desk.ask(service="other")
    assert len(desk.kept) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"party": "south"},
        {"purpose": "debts"},
        {"parameters": {"year": "2024"}},
        {"parameters": {}},
        {"epoch": 8},
        {"fields": frozenset({"active"})},
        {"allowed": frozenset({"name"})},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_another_party_purpose_standing_or_question_asks_the_source(
    desk: Desk, changes: dict[str, Any]
) -> None:
    await desk.ask()
    (answer,) = await desk.ask(**changes)
    assert answer.age_seconds is None
    assert len(desk.source.asked) == 2


async def test_only_subjects_without_a_copy_are_asked_about(desk: Desk) -> None:
    await desk.ask(B)
    answers = await desk.ask(A, B, A, B)
    assert [each.subject for each in answers] == [A, B, A, B]
    assert desk.source.asked == [(B,), (A,)]


@pytest.mark.parametrize("status", ["no_answer", "not_allowed"])
async def test_what_is_no_answer_is_never_kept(status: str) -> None:
    desk = Desk(Firms(status=status, values={}, fault="timeout"))
    await desk.ask()
    desk.source.says = Firms().says
    (answer,) = await desk.ask()
    assert (answer.status, len(desk.source.asked)) == ("data", 2)


async def test_that_a_source_has_no_data_is_an_answer_and_kept() -> None:
    desk = Desk(Firms(status="no_data", values={}))
    await desk.ask()
    (answer,) = await desk.ask()
    assert (answer.status, answer.values, len(desk.source.asked)) == ("no_data", {}, 1)


async def test_a_copy_serves_until_its_seconds_are_over(desk: Desk) -> None:
    await desk.ask()
    desk.clock.advance(timedelta(seconds=59.9))
    await desk.ask()
    assert len(desk.source.asked) == 1
    desk.clock.advance(timedelta(seconds=0.1))
    await desk.ask()
    assert len(desk.source.asked) == 2


async def test_a_use_does_not_make_a_copy_younger(desk: Desk) -> None:
    for _ in range(5):
        await desk.ask()
        desk.clock.advance(timedelta(seconds=15))
    assert len(desk.source.asked) == 2


async def test_a_clock_that_is_set_back_does_not_lengthen_the_life_of_a_copy(desk: Desk) -> None:
    await desk.ask()
    desk.clock.advance(timedelta(seconds=61))
    desk.clock.step(timedelta(seconds=-61))
    await desk.ask()
    assert len(desk.source.asked) == 2


async def test_the_stricter_of_the_rules_of_keeping_and_of_using_binds(desk: Desk) -> None:
    await desk.ask()
    desk.clock.advance(timedelta(seconds=20))
    await desk.ask(seconds=lambda _: 10)
    assert len(desk.source.asked) == 2


async def test_no_copy_serves_when_the_right_to_ask_may_have_ended_by_itself(desk: Desk) -> None:
    await desk.ask(good_until=NOW + timedelta(seconds=5))
    desk.clock.advance(timedelta(seconds=5))
    await desk.ask()
    assert len(desk.source.asked) == 2
    await desk.ask(good_until=desk.clock.now())
    assert len(desk.source.asked) == 3
    assert len(desk.kept) == 0


async def test_what_was_on_its_way_when_all_was_dropped_is_not_kept(desk: Desk) -> None:
    desk.source.held.clear()
    going = asyncio.create_task(desk.ask())
    while not desk.source.asked:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)
    desk.kept.drop()
    desk.source.held.set()
    await going
    assert len(desk.kept) == 0


async def test_copies_are_bounded_in_number_and_in_bytes_and_the_oldest_go_first() -> None:
    few = Desk(most_entries=1)
    for subject in (A, B, B, A):
        await few.ask(subject)
    assert few.source.asked == [(A,), (B,), (A,)]
    assert len(few.kept) == 1
    small = Desk(Firms(values={"name": "x" * 3000}), most_bytes=4000)
    await small.ask(A)
    await small.ask(B)
    assert len(small.kept) == 1
    none = Desk(Firms(values={"name": "x" * 5000}), most_bytes=4000)
    await none.ask()
    assert len(none.kept) == 0


async def test_copies_whose_time_is_over_go_though_nobody_asks_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "_SWEEP_SECONDS", 0.01)
    await desk.ask()
    await asyncio.sleep(0.05)
    assert len(desk.kept) == 1
    desk.clock.advance(timedelta(seconds=60))
    async with asyncio.timeout(5):
        while len(desk.kept):  # noqa: ASYNC110 - the sweep tells nobody
            await asyncio.sleep(0.01)


async def test_nothing_of_a_copy_can_be_read_without_the_key_or_under_another_name(desk: Desk) -> None:
    desk.source.says["values"] = {"active": True, "name": "Visible-Name"}
    await desk.ask(A)
    await desk.ask(B)
    copies = desk.kept._copies
    for name, copy in copies.items():
        assert A.encode() not in name + copy.sealed
        assert b"Visible-Name" not in copy.sealed
    (one, other) = list(copies)
    copies[one], copies[other] = copies[other], copies[one]
    asked = len(desk.source.asked)
    (answer,) = await desk.ask(A)
    assert (answer.subject, answer.age_seconds, len(desk.source.asked)) == (A, None, asked + 1)
    with pytest.raises(Invalid) as refused:
        open_sealed(bytes(32), copies[other].sealed, other)
    assert refused.value.code == "seal_broken"


member = st.builds(HouseholdMember, st.text(), st.text(), st.just(PartialDate(1980, 9)), st.text())
function = st.builds(EnterpriseFunction, st.text(), st.text(), st.dates(), st.none() | st.dates())
spell = st.builds(Spell, valid_from=st.dates(), minutes=st.none() | st.integers(0, 9999))
value: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.text(),
    st.integers(-(2**63), 2**64 - 1),
    st.booleans(),
    st.dates(),
    st.just(PartialDate(2001)),
    st.lists(member, max_size=3).map(tuple),
    st.lists(function, max_size=3).map(tuple),
    st.lists(spell, max_size=3).map(tuple),
)


@given(st.dictionaries(st.text(max_size=5), value, max_size=5))
def test_every_value_comes_back_as_it_was_with_its_type(values: dict[str, Any]) -> None:
    async def twice() -> None:
        desk = Desk(Firms(values=values))
        fields = frozenset(values) | FIELDS
        (first,) = await desk.ask(fields=fields, allowed=fields)
        (second,) = await desk.ask(fields=fields, allowed=fields)
        assert len(desk.source.asked) == 1
        assert second.values == first.values
        for name, found in second.values.items():
            assert type(found) is type(values[name])

    asyncio.run(twice())


async def test_what_would_not_be_read_back_the_same_is_not_kept() -> None:
    desk = Desk(Firms(values={"name": 2**70}))
    await desk.ask()
    (answer,) = await desk.ask()
    assert (answer.values, len(desk.source.asked)) == ({"name": 2**70}, 2)
    mixed = Desk(Firms(values={"name": (date(2026, 1, 1), "a")}))
    await mixed.ask()
    assert len(mixed.kept) == 0
