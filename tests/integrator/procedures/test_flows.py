"""The stateless flows through the gate: minimum, explanation only when asked, replaced and dead persons, refusals."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest

from koinon.base.errors import NotAllowed
from koinon.demo.region import NORTH
from koinon.demo.region.flows import (
    FARES_PURPOSE,
    MOBILITY,
    PARKING_PURPOSE,
    RENT_PURPOSE,
    TAXI_PURPOSE,
    TOWN,
    TRANSPORT,
)
from koinon.integrator.directory import DirectoryKeys, insert_dossiers, new_line
from koinon.integrator.drivers import Context, HouseholdMember, PartialDate, SourceAnswer
from koinon.integrator.entitlement.disability import GROUNDS
from koinon.integrator.flows import FLOWS
from koinon.integrator.model import ExchangeRequest
from koinon.integrator.service import Exchange, Integrator, answer_of
from koinon.trust.standing.acts import Deed, TargetKind

SUBJECT, OLD, CHILD = "80690112370", "75721054372", "93051822361"
BORN = PartialDate(1980, 5, 1)


class Register:
    """A source that answers with what it was told about each current number, and follows replaced ones."""

    def __init__(self, name: str, told: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        self.name = name
        self.services: Mapping[str, Any] = {}
        self.told = {service: dict(values) for service, values in told.items()}
        self.replaced: dict[str, str] = {}

    async def fetch(
        self, service: str, subject: str, fields: Iterable[str], context: Context
    ) -> SourceAnswer:
        return (await self.fetch_many(service, (subject,), fields, context))[0]

    async def fetch_many(
        self, service: str, subjects: Sequence[str], fields: Iterable[str], context: Context
    ) -> tuple[SourceAnswer, ...]:
        asked = frozenset(fields)
        return tuple(self._one(service, subject, asked) for subject in subjects)

    async def close(self) -> None:
        pass

    def _one(self, service: str, subject: str, asked: frozenset[str]) -> SourceAnswer:
        current = self.replaced.get(subject, subject)
        found = self.told[service].get(current)
        return SourceAnswer(
            source=self.name,
            service=service,
            subject=subject,
            status="data" if found is not None else "no_data",
            values={name: value for name, value in (found or {}).items() if name in asked},
            replaced_by=current if current != subject else None,
        )


def sources() -> dict[str, Register]:
    members = (
        HouseholdMember(SUBJECT, "reference", BORN, "population"),
        HouseholdMember(CHILD, "child", PartialDate(2015, 5, 1), "population"),
    )
    return {
        "rijksregister": Register(
            "rijksregister",
            {
                "person": {SUBJECT: {"birth_date": BORN, "death_date": None}},
                "household": {SUBJECT: {"members": members}},
            },
        ),
        "ksz": Register(
            "ksz",
            {
                "income": {SUBJECT: {"net_taxable_income": 2_000_000}, CHILD: {"net_taxable_income": 0}},
                "social_status": {
                    SUBJECT: {"dependent_child": False, "disabled": True},
                    CHILD: {"dependent_child": True, "disabled": False},
                },
            },
        ),
        "dwellings": Register(
            "dwellings",
            {
                "tenancy": {
                    SUBJECT: {
                        "base_rent": 40_000,
                        "excess_bedrooms": 0,
                        "transfer_requested": False,
                        "declared_income": None,
                    }
                }
            },
        ),
        "taxi": Register("taxi", {"driver": {}, "rides": {}}),
        "rsz": Register("rsz", {"taxi_work": {}}),
        "disability": Register(
            "disability",
            {
                "recognition": {
                    SUBJECT: {
                        **dict.fromkeys(GROUNDS, False),
                        "points_ge_12": True,
                        "valid_from": date(2020, 1, 1),
                        "valid_until": date(2999, 1, 1),
                    }
                }
            },
        ),
    }


class Flows:
    """An integrator over those registers, and who asks."""

    def __init__(self, world: Any, gate: Any, uses: Any) -> None:
        self.world = world
        self.sources = sources()
        self.integrator = Integrator(
            gate=gate,
            uses=uses,
            flows=FLOWS,
            sources=self.sources,  # type: ignore[arg-type]
            keys=DirectoryKeys.load(world.home),
            origin="https://koinon.example",
        )

    async def ask(
        self, flow: str, purpose: str, party: str, subject: str = SUBJECT, *, explain: bool = False
    ) -> Exchange:
        request = ExchangeRequest(
            flow=flow, purpose=purpose, case="C-1", subject={"national_number": subject}, explain=explain
        )
        return await self.integrator.ask(request, self.world.system(party))


ASKERS = (
    ("social-dwelling-rent", RENT_PURPOSE, NORTH),
    ("taxi-career", TAXI_PURPOSE, MOBILITY),
    ("disability-rights", PARKING_PURPOSE, TOWN),
    ("disability-rights", FARES_PURPOSE, TRANSPORT),
)


@pytest.fixture
async def flows(world: Any, make_gate: Any) -> AsyncIterator[Flows]:
    gate, uses = await make_gate()
    keys, now = DirectoryKeys.load(world.home), world.clock.now()
    async with world.database.transaction() as connection:
        for _, purpose, party in ASKERS:
            lines = [
                new_line(purpose, number, "C-1", "demo", now - timedelta(days=1), now + timedelta(days=365))
                for number in (SUBJECT, OLD)
            ]
            await insert_dossiers(connection, keys, world.region.parties[party], lines, now)
    yield Flows(world, gate, uses)


async def test_the_rent_leaves_and_no_income_nor_disability(flows: Flows) -> None:
    exchange = await flows.ask("social-dwelling-rent", RENT_PURPOSE, NORTH, explain=True)
    answer = exchange.released.value
    assert answer["total_month"].status == "value" and answer["over_adapted"].value is False
    sent = msgspec.json.encode(answer_of(exchange)).decode()
    assert "2000000" not in sent and "20,000" not in sent and CHILD not in sent
    # Another household with the same rent names the same parameters.
    flows.sources["ksz"].told["social_status"][SUBJECT] = {"dependent_child": False, "disabled": False}
    other = await flows.ask("social-dwelling-rent", RENT_PURPOSE, NORTH, explain=True)
    assert other.parameters == exchange.parameters
    assert other.released.value["rent_month"].value > answer["rent_month"].value


async def test_why_is_told_only_to_who_asks_for_it(flows: Flows) -> None:
    plain = answer_of(await flows.ask("social-dwelling-rent", RENT_PURPOSE, NORTH))
    assert all(field.explanation == () for field in plain.answer.values()) and plain.notes is msgspec.UNSET
    told = answer_of(await flows.ask("social-dwelling-rent", RENT_PURPOSE, NORTH, explain=True))
    assert told.answer["rent_month"].explanation and told.notes
    assert any("ILLUSTRATIVE" in note.en for note in told.notes or ())


async def test_a_replaced_number_has_the_rent_of_its_successor(flows: Flows) -> None:
    for source in flows.sources.values():
        source.replaced[OLD] = SUBJECT
    own = (await flows.ask("social-dwelling-rent", RENT_PURPOSE, NORTH)).released.value
    old = (await flows.ask("social-dwelling-rent", RENT_PURPOSE, NORTH, OLD)).released.value
    assert old == own


async def test_who_died_in_between_has_no_rent_and_no_rights(flows: Flows) -> None:
    before = (await flows.ask("disability-rights", PARKING_PURPOSE, TOWN)).released.value
    assert before["parking_card"].value is True and before["parking_card_until"].value == date(2999, 1, 1)
    flows.sources["rijksregister"].told["person"][SUBJECT]["death_date"] = date(2026, 1, 1)  # type: ignore[index]
    after = (await flows.ask("disability-rights", PARKING_PURPOSE, TOWN)).released.value
    assert after["parking_card"].value is False and after["parking_card_until"].status == "no_data"
    rent = (await flows.ask("social-dwelling-rent", RENT_PURPOSE, NORTH)).released.value
    assert rent["total_month"].status == "unknown" and rent["total_month"].value is None


async def test_each_asker_gets_its_own_rights_and_no_other(flows: Flows) -> None:
    town = (await flows.ask("disability-rights", PARKING_PURPOSE, TOWN)).released
    transport = (await flows.ask("disability-rights", FARES_PURPOSE, TRANSPORT)).released
    assert set(town.value) == {"parking_card", "parking_card_from", "parking_card_until"}
    assert not set(transport.value) & set(town.value) and "disabled_for_tax" not in transport.value
    for released in (town, transport):
        sent = msgspec.json.encode(released.value).decode()
        assert not any(ground in sent for ground in GROUNDS)


async def test_who_drives_no_taxi_has_no_certificate_and_no_signal(flows: Flows) -> None:
    answer = (await flows.ask("taxi-career", TAXI_PURPOSE, MOBILITY)).released.value
    assert answer["signals"].value == () and answer["certified"].value is False


@pytest.mark.parametrize(("flow", "purpose", "party"), ASKERS)
async def test_a_suspended_flow_is_refused(flows: Flows, flow: str, purpose: str, party: str) -> None:
    await flows.ask(flow, purpose, party)
    await flows.world.act("chair", Deed.SUSPEND, TargetKind.FLOW, flow)
    with pytest.raises(NotAllowed) as refusal:
        await flows.ask(flow, purpose, party)
    assert refusal.value.code == "flow_suspended"


@pytest.mark.parametrize(
    ("flow", "purpose", "party"),
    [
        ("social-dwelling-rent", RENT_PURPOSE, TOWN),
        ("taxi-career", TAXI_PURPOSE, TRANSPORT),
        ("disability-rights", FARES_PURPOSE, TOWN),
    ],
)
async def test_another_party_has_no_authorisation(flows: Flows, flow: str, purpose: str, party: str) -> None:
    with pytest.raises(NotAllowed) as refusal:
        await flows.ask(flow, purpose, party)
    assert refusal.value.code == "authorisation_missing"
