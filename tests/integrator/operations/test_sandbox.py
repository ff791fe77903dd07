"""A sandbox reaches no source, whatever way it takes; personas are answered as promised."""

import asyncio
import time
from datetime import datetime
from typing import Any

import msgspec
import pytest
from tests.integrator.test_exchange_api import ORIGIN, SUBJECT, told

from koinon.base.errors import Conflict, KoinonError, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.demo.region import FLOW, NORTH, PURPOSE
from koinon.integrator.directory import DirectoryKeys
from koinon.integrator.drivers import Context, gather, is_synthetic
from koinon.integrator.flows import FLOWS
from koinon.integrator.model import ExchangeRequest
from koinon.integrator.operations import Meter, MeteredIntegrator
from koinon.integrator.operations.sandbox import (
    Sandboxes,
    list_sandboxes,
    open_sandbox,
    personas,
    refusals,
    reset_sandbox,
    separate,
)
from koinon.integrator.operations.sandbox.export import expectations, holds
from koinon.integrator.registration import DossierRequest, register_dossier
from koinon.trust.ledger import Log, find_entries
from koinon.trust.parties import Author
from koinon.trust.parties.policy import INSTALLER

FILED = {number: persona for number, persona in personas().items() if persona.has_file}
ADMISSION = {number: persona for number, persona in FILED.items() if persona.flow == FLOW}


class Tried:
    """An integrator over sources that tell when they are asked, and the operator who opens sandboxes."""

    def __init__(self, world: Any, gate: Any, uses: Any) -> None:
        self.world, self.gate = world, gate
        self.keys = DirectoryKeys.load(world.home)
        self.real = told()
        self.sandboxes = Sandboxes(gate.database, gate.keeper)
        self.integrator = MeteredIntegrator(
            meter=Meter(gate.database, world.clock),
            sandboxes=self.sandboxes,
            gate=gate,
            uses=uses,
            flows=FLOWS,
            sources=separate(self.real, self.sandboxes),
            keys=self.keys,
            origin=ORIGIN,
        )
        self.operator = Author(person=world.region.persons["olga"], profile="operator")
        self.party = world.region.parties[NORTH]

    @property
    def asked(self) -> int:
        return sum(len(source.asked) for source in self.real.values())

    async def open(self) -> None:
        # The region gives North files on persons; a newcomer has none.
        async with self.world.database.transaction() as connection:
            await connection.execute("DELETE FROM integrator.dossier WHERE party = $1", self.party)
        await open_sandbox(
            self.gate.database, self.gate.sealer, self.party, self.operator, self.world.clock.now()
        )
        await self.reset()
        await asyncio.sleep(0.3)  # the epoch moved

    async def reset(self) -> int:
        return await reset_sandbox(
            self.gate.database,
            self.gate.sealer,
            self.keys,
            FLOWS.values(),
            self.party,
            self.world.clock.now(),
        )

    async def ask(self, number: str, party: str = NORTH) -> Any:
        request = ExchangeRequest(
            flow=FLOW, purpose=PURPOSE, case="TRY-1", subject={"national_number": number}
        )
        return await self.integrator.ask(request, self.world.system(party))


@pytest.fixture
async def tried(world: Any, make_gate: Any) -> Tried:
    gate, uses = await make_gate()
    return Tried(world, gate, uses)


def test_no_persona_can_be_a_person() -> None:
    assert personas() and all(is_synthetic(number) for number in personas())
    assert all(persona.flow in FLOWS for persona in personas().values())
    for persona in personas().values():
        named = {
            *persona.answer,
            *persona.unknown,
            *(name for year in persona.in_year.values() for name in year),
        }
        assert named <= FLOWS[persona.flow].fields.keys(), persona.text.en


class Always:
    """Whoever asks is a sandbox."""

    async def hold_number(self, enterprise_number: str) -> bool:
        return True


class Silent:
    """A source that nobody may ask."""

    services: Any = {}

    def __init__(self, name: str) -> None:
        self.name = name


# Also in a year of which the platform knows no amounts yet, and at the turn of one.
@pytest.mark.parametrize("day", ["2026-01-03", "2026-11-29", "2027-03-01"])
async def test_every_flow_says_of_its_personas_what_is_promised(day: str) -> None:
    at = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    names = {each.partition("/")[0] for flow in FLOWS.values() for each in flow.plan.resources}
    sources: Any = separate({name: Silent(name) for name in names}, Always())  # type: ignore[arg-type, misc]
    context = Context(purpose="", party="", exchange=new_id(), at=at, deadline=time.monotonic() + 60)
    wrong = []
    for persona in FILED.values():
        flow = FLOWS[persona.flow]
        answers = await gather(flow.plan, persona.number, sources, context)
        fields = flow.combine(persona.number, answers, at).fields
        for name, promised in persona.promised(at.year).items():
            told = msgspec.to_builtins(fields[name].value)
            if fields[name].status != "value" or not holds(promised, told):
                wrong.append((persona.text.en, name, promised, fields[name].status, told))
        wrong += [
            (persona.text.en, name)
            for name in persona.unknown
            if fields[name].status not in ("unknown", "no_data")
        ]
    assert wrong == []
    # A yes and a no of something are shown in every flow but the contractor's, which is about enterprises.
    told_: dict[tuple[str, str], set[Any]] = {}
    for persona in FILED.values():
        for name, promised in persona.answer.items():
            if isinstance(promised, bool):
                told_.setdefault((persona.flow, name), set()).add(promised)
    both = {flow for (flow, _), values in told_.items() if len(values) == 2}
    assert both == FLOWS.keys() - {"contractor-check"}


async def test_each_persona_is_answered_as_promised_and_no_source_is_asked(tried: Tried) -> None:
    await tried.ask(SUBJECT)
    assert tried.asked > 0  # before it was a sandbox, its questions went where questions go
    for source in tried.real.values():
        source.asked.clear()
    await tried.open()
    for number, persona in ADMISSION.items():
        answer = (await tried.ask(number)).released.value
        promised = persona.promised(tried.world.clock.now().year)
        told_ = {name: answer[name].value for name in promised if answer[name].status == "value"}
        assert told_ == promised, persona.text.en
    assert tried.asked == 0


async def test_each_question_that_must_be_refused_is_with_the_promised_code_and_status(tried: Tried) -> None:
    await tried.open()
    seen = set()
    for each in expectations(FLOWS):
        if "code" not in each:
            continue
        with pytest.raises(KoinonError) as caught:
            await tried.integrator.ask(
                msgspec.convert(each["question"], ExchangeRequest), tried.world.system(NORTH)
            )
        assert (caught.value.code, caught.value.status) == (each["code"], each["status"]), each["text"]
        seen.add(each["code"])
    assert len(seen) == len(refusals()) > 0
    assert tried.asked == 0


async def test_what_the_command_line_opened_names_nobody_as_its_opener(tried: Tried) -> None:
    at = tried.world.clock.now()
    async with tried.world.database.transaction() as connection:
        await connection.execute("DELETE FROM integrator.dossier WHERE party = $1", tried.party)
    await open_sandbox(tried.gate.database, tried.gate.sealer, tried.party, INSTALLER, at)
    (found,) = await list_sandboxes(tried.gate.database)
    assert (found.party, found.opened_by, found.reset_at) == (tried.party, None, None)


async def test_a_sandbox_asks_about_nobody_who_is_no_persona_and_that_is_recorded(tried: Tried) -> None:
    await tried.open()
    for number in (SUBJECT, "80010100105"):
        with pytest.raises(KoinonError) as caught:
            await tried.ask(number)
        assert caught.value.code in ("sandbox_subject_unknown", "subject_malformed")
    with pytest.raises(NotAllowed) as refused:
        await tried.ask(SUBJECT)
    assert refused.value.code == "sandbox_subject_unknown"
    async with tried.world.database.acquire() as connection:
        entries = await find_entries(connection, kind="exchange.refused", log=Log.EXCHANGE)
    assert entries
    assert tried.asked == 0


async def test_a_sandbox_cannot_register_a_person_nor_stream_what_a_source_says(tried: Tried) -> None:
    await tried.open()
    at = tried.world.clock.now().date()
    request = DossierRequest(
        purpose=PURPOSE, case="X", national_number=SUBJECT, family_name="X", birth_date="1980-09-01",
        valid_from=at, valid_until=at.replace(year=at.year + 1),
    )  # fmt: skip
    with pytest.raises(NotAllowed) as refused:
        await register_dossier(tried.integrator, request, tried.world.system(NORTH))
    assert refused.value.code == "evidence_refused"
    use, pieces = await tried.integrator.stream(FLOW, PURPOSE, "TRY-2", tried.world.system(NORTH))
    seen = {subject async for piece in pieces for subject, _ in piece.value}
    assert seen == set(ADMISSION)
    assert tried.asked == 0
    assert use


async def test_a_party_with_files_on_persons_never_becomes_a_sandbox(tried: Tried) -> None:
    at = tried.world.clock.now()
    with pytest.raises(Conflict) as has:
        await open_sandbox(tried.gate.database, tried.gate.sealer, tried.party, tried.operator, at)
    assert has.value.code == "sandbox_has_dossiers"
    with pytest.raises(NotFound) as none:
        await tried.reset()
    assert none.value.code == "sandbox_unknown"


async def test_a_reset_gives_every_persona_one_file_again(tried: Tried) -> None:
    await tried.open()
    assert await tried.reset() == await tried.reset()
    async with tried.world.database.acquire() as connection:
        standing = await connection.fetchval(
            "SELECT count(*) FROM integrator.dossier WHERE party = $1 AND ended_at IS NULL", tried.party
        )
    assert standing == sum(len(FLOWS[persona.flow].purposes) for persona in FILED.values())
