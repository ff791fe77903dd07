"""Flows that answer with lists, in batch: of each person what is said of one, field by field and row by row."""

import asyncio
import io
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integrator.deferred.conftest import Office, message, numbers, statuses

from koinon.base.clock import start_of
from koinon.base.errors import Invalid, NotAllowed
from koinon.base.text import Text
from koinon.demo.region.flows import BAILIFF, DEBT_PURPOSE, MOBILITY, NOTARY, TAX, TAXI_PURPOSE, TOWN
from koinon.integrator.deferred import Interactive, result_types
from koinon.integrator.deferred.chunks import Questions, decode_part, decode_rows, encode_part
from koinon.integrator.deferred.computing import Asking
from koinon.integrator.deferred.policy import record_key, result_type, rows_types
from koinon.integrator.drivers import Context, PartialDate, SourceAnswer, Spell, gather
from koinon.integrator.entitlement.debts import RANKS
from koinon.integrator.flows import FLOWS
from koinon.integrator.formats import (
    RECORD_TYPES,
    Header,
    Record,
    RecordType,
    open_reader,
    open_writer,
    write_table,
)
from koinon.integrator.formats.record_types import LISTS, list_rows
from koinon.integrator.model import ExchangeRequest, FieldAnswer, Flow
from koinon.integrator.procedures import AnnouncementRequest, ClaimRequest, Debts, DebtsSource
from koinon.integrator.procedures.api import DebtsApi
from koinon.integrator.procedures.model import Announcement, ClaimBody, NamedNotice, Notice, Statement
from koinon.trust.parties import PartyId

TAXI, DEBTS = FLOWS["taxi-career"], FLOWS["debt-recovery"]
DAY = date(2026, 11, 24)
EPOCH = date(1970, 1, 1)
ONE, TWO = "0999000123", "0999000222"
MISSING = ("no_data", "unknown", "no_answer", "not_allowed")


class Register:
    """Answers about each subject what it was told, and about nobody else."""

    services: Mapping[str, Any] = {}

    def __init__(self, name: str, told: Mapping[str, Mapping[str, Any]]) -> None:
        self.name, self.told = name, told

    async def fetch(
        self, service: str, subject: str, fields: Iterable[str], context: Context
    ) -> SourceAnswer:
        return (await self.fetch_many(service, (subject,), fields, context))[0]

    async def fetch_many(
        self, service: str, subjects: Sequence[str], fields: Iterable[str], context: Context
    ) -> tuple[SourceAnswer, ...]:
        wanted = frozenset(fields)
        return tuple(self._one(service, subject, wanted) for subject in subjects)

    async def close(self) -> None:
        """Nothing is held."""

    def _one(self, service: str, subject: str, wanted: frozenset[str]) -> SourceAnswer:
        found = self.told[service].get(subject, "no_data")
        if isinstance(found, str):
            fault = "timeout" if found == "no_answer" else None
            return SourceAnswer(
                source=self.name,
                service=service,
                subject=subject,
                status=found,
                fault=fault,  # type: ignore[arg-type]
            )
        values = {name: value for name, value in found.items() if name in wanted}
        return SourceAnswer(source=self.name, service=service, subject=subject, status="data", values=values)


def day_number(day: date) -> int:
    return (day - EPOCH).days


Said = tuple[str, Any]


def said(answer: FieldAnswer) -> Said:
    return answer.status, answer.value if answer.status == "value" else None


async def one_by_one(
    flow: Flow, sources: Any, people: Sequence[str], days: Sequence[date], allowed: Any
) -> list[dict[str, Said]]:
    """What is said of each, asked alone: the flow's plan and rule as `Integrator.ask` uses them."""
    told = []
    for subject, day in zip(people, days, strict=True):
        at = start_of(day) + timedelta(hours=12)
        context = Context(
            purpose="p", party=ONE, exchange=uuid4(), at=at, deadline=time.monotonic() + 60,
            parameters=flow.parameters(at),
        )  # fmt: skip
        answers = await gather(flow.plan, subject, sources, context, allowed)
        fields = flow.combine(subject, answers, at).fields
        told.append({name: said(fields[name]) for name in flow.fields})
    return told


async def together(
    flow: Flow, sources: Any, people: Sequence[str], days: Sequence[date], allowed: Any, syntax: Any
) -> list[dict[str, Said]]:
    """What a batch says of each, read out of its files in that syntax; a list is its rows, or why there is none."""
    batch = uuid4()
    places = list(range(1, len(people) + 1))
    questions = Questions(
        numbers=places, sequences=places, subjects=people, at=[day_number(day) for day in days]
    )
    asking = Asking(purpose="p", party=ONE, exchange=uuid4(), allowed=allowed)
    computed = await Interactive(flow, sources).compute(questions, asking)
    data, _ = encode_part(
        questions, bytes([1]) * len(people), computed.columns, computed.replaced_by, result_type(flow)
    )
    found = [
        {name: said(answer) for name, answer in record.fields.items() if name in flow.fields}
        for record in carried(flow, result_type(flow), decode_part(data, batch, result_type(flow)), syntax)
    ]
    for field, record_type in rows_types(flow).items():
        rows: dict[str, list[dict[str, FieldAnswer]]] = {record_key(batch, place): [] for place in places}
        for record in carried(flow, record_type, decode_rows(data, batch, field, record_type, 1), syntax):
            fields = dict(record.fields)
            rows[fields.pop("record_key").value].append(fields)
        for place, answer in zip(places, found, strict=True):
            status, count = answer[field]
            mine = rows[record_key(batch, place)]
            assert len(mine) == (count or 0)
            answer[field] = (status, mine if status == "value" else None)
    return found


def carried(flow: Flow, record_type: RecordType, table: Any, syntax: Any) -> list[Record]:
    """Through a message and back."""
    types = result_types([flow])
    stream = io.BytesIO()
    header = Header(
        record_type=record_type.name, version=1, sender="koinon", flow=flow.name, purpose="p",
        reference="B", created=datetime(2026, 11, 24, tzinfo=UTC),
    )  # fmt: skip
    writer = open_writer(stream, syntax, header, types=types)
    assert not write_table([writer], record_type, table)
    writer.close()
    stream.seek(0)
    found = []
    for piece in open_reader(stream, syntax, types).batches():
        assert not piece.rejects
        found += list(piece.columns.records())
    return found


def agree(
    flow: Flow, sources: Any, people: Sequence[str], days: Sequence[date], allowed: Any, syntax: Any
) -> None:
    """The batch says of each what is said of one."""

    async def both() -> None:
        alone = await one_by_one(flow, sources, people, days, allowed)
        batch = await together(flow, sources, people, days, allowed, syntax)
        for (name, field), row in LISTS.items():
            for subject, answer in zip(people, alone, strict=True):
                if name == flow.name and answer[field][0] == "value":
                    rows = list_rows(RECORD_TYPES[row], subject, answer[field][1])
                    answer[field] = ("value", [dict(each.fields) for each in rows])
        assert batch == alone

    asyncio.run(both())


quarters = st.sampled_from([date(year, month, 1) for year in (2024, 2025, 2026) for month in (1, 4, 7, 10)])


@st.composite
def quarter(draw: st.DrawFn, **values: Any) -> Spell:
    begins = draw(quarters)
    ends = date(begins.year + begins.month // 10, (begins.month + 2) % 12 + 1, 1)
    return Spell(
        valid_from=begins,
        valid_until=ends,
        minutes=draw(st.one_of(st.none(), st.integers(0, 60_000))),
        **{name: draw(each) for name, each in values.items()},
    )


@st.composite
def stretch(draw: st.DrawFn, kinds: Sequence[str] = ("",)) -> Spell:
    # Some begin on one day.
    begins = draw(st.one_of(st.just(date(2025, 1, 1)), st.dates(date(2022, 1, 1), date(2027, 1, 31))))
    length = draw(st.one_of(st.none(), st.integers(1, 900)))
    return Spell(
        valid_from=begins,
        valid_until=None if length is None else begins + timedelta(days=length),
        kind=draw(st.sampled_from(kinds)),
        party=draw(st.sampled_from((ONE, TWO))),
    )


def some(each: st.SearchStrategy[Spell]) -> st.SearchStrategy[tuple[Spell, ...]]:
    return st.lists(each, max_size=3).map(tuple)


def or_missing(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.fixed_dictionaries(values), st.sampled_from(MISSING))


persons = or_missing(death_date=st.sampled_from((None, PartialDate(2026, 5, 1))))
drivers = or_missing(
    certificates=some(stretch()), engagements=some(stretch(kinds=("employee", "self_employed")))
)
rides = or_missing(quarters=some(quarter()))
work = or_missing(
    employments=some(stretch()),
    declared=some(
        quarter(party=st.sampled_from((ONE, TWO)), cents=st.one_of(st.none(), st.integers(0, 900_000)))
    ),
)
reference_days = st.dates(DAY - timedelta(days=366), DAY + timedelta(days=31))


@st.composite
def narrowed(draw: st.DrawFn, flow: Flow) -> Any:
    """What the gate gives of each resource."""
    given_ = {
        resource: draw(st.one_of(st.just(fields), st.frozensets(st.sampled_from(sorted(fields)))))
        for resource, fields in flow.plan.resources.items()
    }
    return given_.__getitem__


@given(
    told=st.lists(st.tuples(persons, drivers, rides, work, reference_days), min_size=1, max_size=4),
    allowed=narrowed(TAXI),
    syntax=st.sampled_from(("fixed", "xml", "jsonl")),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
def test_of_each_career_a_batch_says_what_is_said_of_one(told: Any, allowed: Any, syntax: Any) -> None:
    people = numbers(len(told))
    services = ("rijksregister/person", "taxi/driver", "taxi/rides", "rsz/taxi_work")
    sources: dict[str, Register] = {}
    for place, resource in enumerate(services):
        name, _, service = resource.partition("/")
        of = {subject: each[place] for subject, each in zip(people, told, strict=True)}
        known = sources.get(name)
        sources[name] = Register(name, {**(known.told if known else {}), service: of})
    agree(TAXI, sources, people, [each[-1] for each in told], allowed, syntax)


CREDITORS = (
    Text("Gewest (demo)", "Région (démo)", "Region (demo)"),
    Text("Stad (demo)", "Ville (démo)", "City (demo)"),
)


@st.composite
def statements(draw: st.DrawFn, subject: str) -> Statement:
    sent = datetime(2026, 8, 3, 9, tzinfo=UTC) + timedelta(days=draw(st.integers(0, 100)))
    outcome: Any = draw(st.sampled_from((None, "stated", "distributed", "withdrawn")))
    announcement = Announcement(
        id=uuid4(),
        number="D-2026-000001",
        party=PartyId(UUID(int=1)),
        case="N-1",
        kind="sale",
        subject=subject,
        property="Voorbeeldstraat 1",
        sent_at=sent,
        deed_on=draw(st.one_of(st.none(), st.just(sent.date() + timedelta(days=30)))),
        price_cents=draw(st.one_of(st.none(), st.integers(0, 10**8))),
        closed_at=None if outcome is None else sent + timedelta(days=40),
        outcome=outcome,
        reason="not_sold" if outcome == "withdrawn" else None,
    )
    notices = []
    kinds: Sequence[Any] = ("regional_tax", "municipal_tax")
    for creditor, kind in zip(CREDITORS, kinds, strict=True):
        answer: Any = draw(st.sampled_from((None, "claim", "nothing")))
        rank: Any = draw(st.sampled_from(RANKS))
        claim = ClaimBody(
            principal_cents=draw(st.integers(0, 10**8)),
            costs_cents=draw(st.integers(0, 10**5)),
            interest_from=draw(st.one_of(st.none(), st.dates(date(2023, 1, 1), date(2026, 8, 1)))),
            rank=rank,
            registered_on=date(2025, 1, 1) if rank == "registered" else None,
        )
        notices.append(
            NamedNotice(
                creditor=creditor,
                notice=Notice(
                    creditor=PartyId(uuid4()),
                    kind=kind,
                    term_ends=sent.date() + timedelta(days=14),
                    answered_at=None if answer is None else sent + timedelta(days=draw(st.integers(0, 30))),
                    answer=answer,
                    claim=claim if answer == "claim" else None,
                    late=None if answer is None else False,
                ),
            )
        )
    read = datetime(2026, 11, 24, 9, tzinfo=UTC)
    return Statement(
        announcement=announcement, notices=() if outcome == "withdrawn" else tuple(notices), read_at=read
    )


@given(data=st.data(), syntax=st.sampled_from(("fixed", "xml", "jsonl")))
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_of_each_debtor_a_batch_states_what_is_stated_of_one(data: st.DataObject, syntax: Any) -> None:
    people = numbers(data.draw(st.integers(1, 4)))
    told = {
        subject: data.draw(
            st.one_of(st.fixed_dictionaries({"statement": statements(subject)}), st.sampled_from(MISSING))
        )
        for subject in people
    }
    days = [data.draw(reference_days) for _ in people]
    sources = {"debts": Register("debts", {"claims": told})}
    agree(DEBTS, sources, people, days, data.draw(narrowed(DEBTS)), syntax)


@given(statement=statements(numbers(1)[0]), ahead=st.integers(0, 31))
@settings(max_examples=60)
def test_interest_to_a_later_day_does_not_shut_out_who_may_still_answer(
    statement: Statement, ahead: int
) -> None:
    """Whoever may answer today is waited for, to whatever day the interest is asked."""
    answer = SourceAnswer(
        source="debts", service="claims", subject=numbers(1)[0], status="data", values={"statement": statement}
    )  # fmt: skip
    now, later = (
        DEBTS.combine(
            numbers(1)[0], (answer,), start_of(DAY + timedelta(days=days)) + timedelta(hours=12)
        ).fields
        for days in (0, ahead)
    )
    assert now["answers_complete"] == later["answers_complete"]
    assert now["total_due"].status == later["total_due"].status
    if now["total_due"].status == "value":
        assert later["total_due"].value >= now["total_due"].value


async def test_a_batch_of_careers_goes_from_file_to_result_with_its_signals(office: Office) -> None:
    fit, odd, stranger = numbers(3)
    await office.know([fit, odd], MOBILITY, TAXI_PURPOSE)
    certificate = (Spell(valid_from=date(2022, 10, 21), valid_until=None),)
    engaged = Spell(valid_from=date(2025, 1, 1), valid_until=None, kind="employee", party=ONE)
    declared = Spell(valid_from=date(2025, 1, 1), valid_until=None, party=ONE)
    sources: Any = {
        "rijksregister": Register("rijksregister", {"person": {p: {"death_date": None} for p in (fit, odd)}}),
        "taxi": Register(
            "taxi",
            {
                "driver": {p: {"certificates": certificate, "engagements": (engaged,)} for p in (fit, odd)},
                "rides": {p: {"quarters": ()} for p in (fit, odd)},
            },
        ),
        "rsz": Register(
            "rsz",
            {
                "taxi_work": {
                    fit: {"employments": (declared,), "declared": ()},
                    odd: {"employments": (), "declared": ()},
                }
            },
        ),
    }
    data = message(office.world, [fit, odd, stranger], party=MOBILITY, about=TAXI)
    batch = await office.send(
        data, party=MOBILITY, flow=TAXI.name, purpose=TAXI_PURPOSE, results=["fixed", "xml", "jsonl"]
    )
    async with office.running(computations={TAXI.name: Interactive(TAXI, sources)}):
        done = await office.until(batch, "done", party=MOBILITY)
    names = ["fixed", "xml", "jsonl", "fixed.signals", "xml.signals", "jsonl.signals"]
    assert [each.name for each in done.files] == names
    assert done.files[3].fields == ["signals"]
    syntaxes: Any = ("fixed", "xml", "jsonl")
    for syntax in syntaxes:
        records = await office.result(done, syntax, MOBILITY)
        assert statuses(records) == ["answered", "answered", "not_in_directory"]
        assert [r.fields["signals"].value for r in records] == [0, 1, None]
        assert records[2].fields["signals"].status == "not_allowed"
        [row] = await office.result(done, syntax, MOBILITY, rows="signals")
        assert (row.subject, row.fields["record_key"]) == (odd, records[1].fields["record_key"])
        assert row.fields["code"].value == "engaged_not_declared"
        assert "werknemer" in row.fields["reason_nl"].value


async def test_a_batch_of_statements_looks_up_each_and_says_what_is_said_of_one(office: Office) -> None:
    gate, keys = office.gate, office.integrator.keys
    debts = Debts(gate, keys)
    source = DebtsSource(gate.database, keys, gate.keeper, gate.clock)
    office.sources["debts"] = source  # type: ignore[assignment]
    owing, quiet, stranger = numbers(3)
    await office.know([owing, quiet], NOTARY, DEBT_PURPOSE)
    notary = office.world.system(NOTARY)
    announced = await debts.announce(
        AnnouncementRequest(
            case="N-1", national_number=owing, kind="sale", property="Voorbeeldstraat 1", price_cents=100_000
        ),
        notary,
    )
    for party, cents, rank in ((TAX, 80_000, "regional_privilege"), (TOWN, 50_000, "municipal_privilege")):
        claim: Any = {"principal_cents": cents, "rank": rank}
        await debts.answer(
            ClaimRequest(number=announced.answer.number, case="C-1", **claim), office.world.system(party)
        )
    data = message(office.world, [owing, quiet, stranger], party=NOTARY, about=DEBTS)
    batch = await office.send(data, party=NOTARY, flow=DEBTS.name, purpose=DEBT_PURPOSE)
    async with office.running(computations={DEBTS.name: Interactive(DEBTS, {"debts": source})}):
        done = await office.until(batch, "done", party=NOTARY)
    records = await office.result(done, party=NOTARY)
    assert statuses(records) == ["answered", "unknown", "not_in_directory"]
    assert [r.fields["announced"].value for r in records] == [True, False, None]
    rows = await office.result(done, party=NOTARY, rows="claims")
    assert [(row.subject, row.fields["paid_cents"].value) for row in rows] == [
        (owing, 80_000),
        (owing, 20_000),
    ]
    request = ExchangeRequest(
        flow=DEBTS.name, purpose=DEBT_PURPOSE, case="N-1", subject={"national_number": owing}
    )
    for name, answer in (await office.integrator.ask(request, notary)).released.value.items():
        told = records[0].fields[name]
        value = len(answer.value) if name == "claims" else answer.value
        assert (told.status, told.value) == (answer.status, value if answer.status == "value" else None), name
    # The source answers each office about its own announcements, however many are asked.
    parties = (await gate.keeper.settle()).register.parties
    of = {code: parties[office.world.region.parties[code]].enterprise_number for code in (NOTARY, BAILIFF)}
    for code, expected in ((NOTARY, ["data", "no_data"]), (BAILIFF, ["no_data", "no_data"])):
        context = Context(
            purpose=DEBT_PURPOSE, party=of[code], exchange=uuid4(), at=gate.clock.now(), deadline=0.0
        )
        found = await source.fetch_many("claims", [owing, quiet], ["statement"], context)
        assert [each.status for each in found] == expected


async def test_a_creditor_asks_for_no_statements_in_a_batch(office: Office) -> None:
    data = message(office.world, numbers(1), party=TAX, about=DEBTS)
    with pytest.raises(NotAllowed) as refusal:
        await office.send(data, party=TAX, flow=DEBTS.name, purpose=DEBT_PURPOSE, fields=["claims"])
    assert refusal.value.code == "authorisation_missing"


async def test_acts_of_a_procedure_come_one_at_a_time(office: Office) -> None:
    api = DebtsApi(Debts(office.gate, office.integrator.keys), key=office.key, authority="koinon.example")
    for what in ("announcements", "answers", "deeds", "closings", "withdrawals"):
        with pytest.raises(Invalid) as refusal:
            await api._answer(what, b' [{"number": "D-2026-000001"}]', office.world.system(NOTARY))
        assert refusal.value.code == "one_at_a_time"
