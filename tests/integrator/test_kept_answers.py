"""What a rule lets be kept: one question to the source, each use through the gate, nothing past the standing."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.integrator.test_exchange_api import ORIGIN, SUBJECT, told
from tests.region import CONTRACTOR

from koinon.base.clock import SystemClock
from koinon.base.errors import KoinonError, NotAllowed
from koinon.demo.region import (
    CONTRACTOR_FLOW,
    CONTRACTOR_PURPOSE,
    FLOW,
    NORTH,
    PURPOSE,
    SOUTH,
    load_key,
)
from koinon.integrator.directory import DirectoryKeys
from koinon.integrator.flows import FLOWS
from koinon.integrator.model import ExchangeRequest
from koinon.integrator.service import Exchange, Integrator, copies_for
from koinon.trust.gate import Actor
from koinon.trust.ledger import Log, find_entries, read_private
from koinon.trust.standing.acts import Deed, TargetKind


class Ahead(SystemClock):
    """The machine's clock, some time ahead."""

    by = timedelta()

    def now(self) -> datetime:
        return super().now() + self.by


class Desk:
    """An integrator that asks about the contractor of North, and counts what the register of enterprises was asked."""

    def __init__(self, world: Any, gate: Any, uses: Any) -> None:
        self.world, self.gate = world, gate
        self.keys = DirectoryKeys.load(world.home)
        self.sources = told()
        self.integrator = Integrator(
            gate=gate, uses=uses, flows=FLOWS, sources=self.sources, keys=self.keys, origin=ORIGIN
        )

    async def ask(self, actor: Actor | None = None, **changes: Any) -> Exchange:
        request = ExchangeRequest(
            **{
                "flow": CONTRACTOR_FLOW,
                "purpose": CONTRACTOR_PURPOSE,
                "case": "NORTH-1",
                "subject": {"enterprise_number": CONTRACTOR},
                **changes,
            }
        )
        return await self.integrator.ask(request, actor or self.world.system())

    async def move_standing(self, kind: TargetKind, id_: str) -> None:
        """Something is suspended, and this process knows it."""
        epoch = (await self.gate.keeper.settle()).epoch
        await self.world.act("chair", Deed.SUSPEND, kind, id_)
        await self.catch_up(epoch)

    async def catch_up(self, epoch: int) -> None:
        """This process knows a standing newer than `epoch`."""
        async with asyncio.timeout(10):
            while (await self.gate.keeper.settle()).epoch <= epoch:  # noqa: ASYNC110 - it tells only its listeners
                await asyncio.sleep(0.02)

    @property
    def asked(self) -> int:
        return len(self.sources["kbo"].asked)


@pytest.fixture
async def desk(world: Any, make_gate: Any) -> Desk:
    world.clock = Ahead()
    return Desk(world, *await make_gate())


async def test_the_second_question_asks_no_source_says_so_and_stands_in_the_trace(
    desk: Desk, world: Any
) -> None:
    first, second = await desk.ask(), await desk.ask(case="NORTH-2")
    assert desk.asked == 1
    assert second.released.value == first.released.value
    assert second.released.value["active"].value is True
    assert [each.cached for each in (*first.sources, *second.sources)] == [0, 1]
    assert second.sources[0].status == "data"
    assert 0 <= second.sources[0].age_seconds < 60
    assert first.released.receipt != second.released.receipt
    async with world.database.acquire() as connection:
        entries = await find_entries(connection, kind="exchange.released", log=Log.EXCHANGE)
        private = await read_private(connection, world.sealer, entries)
    notes = {each.fields["case"]: each.fields for each in private}
    assert "cached" not in notes["NORTH-1"]
    assert list(notes["NORTH-2"]["cached"]) == ["kbo/enterprise"]
    assert notes["NORTH-1"]["sources"] == notes["NORTH-2"]["sources"] == {"kbo/enterprise": "data"}


async def test_under_rules_that_do_not_name_it_nothing_is_kept(desk: Desk) -> None:
    for _ in range(2):
        done = await desk.ask(flow=FLOW, purpose=PURPOSE, subject={"national_number": SUBJECT})
        assert not any(each.cached for each in done.sources)
    assert len(desk.integrator.kept) == 0
    assert [service for service, _ in desk.sources["ksz"].asked].count("income") == 2


async def test_a_party_is_never_served_what_was_kept_for_another(desk: Desk, world: Any) -> None:
    await desk.ask()
    # No rule of the region lets a second party ask this: what the passage of the first may use is held against another.
    request = ExchangeRequest(
        flow=CONTRACTOR_FLOW,
        purpose=CONTRACTOR_PURPOSE,
        case="NORTH-2",
        subject={"enterprise_number": CONTRACTOR},
    )
    flow, ask = await desk.integrator.read_request(request, world.system())
    asking = copies_for(await desk.gate.open(ask), flow.parameters(world.clock.now()))
    fields = flow.plan.resources["kbo/enterprise"]
    assert asking.party == str(world.region.parties[NORTH])
    assert asking.seconds("kbo/enterprise") == 60
    assert CONTRACTOR in desk.integrator.kept.find(asking, "kbo", "enterprise", [CONTRACTOR], fields)
    other = msgspec.structs.replace(asking, party=str(world.region.parties[SOUTH]))
    assert desk.integrator.kept.find(other, "kbo", "enterprise", [CONTRACTOR], fields) == {}


async def test_two_people_of_a_party_share_what_may_be_kept(desk: Desk, world: Any) -> None:
    await desk.ask()
    done = await desk.ask(world.person("an", "case_handler"))
    assert (desk.asked, done.sources[0].cached) == (1, 1)


async def test_after_a_change_of_standing_the_source_is_asked_again(desk: Desk, world: Any) -> None:
    await desk.ask()
    await desk.move_standing(TargetKind.KEY, load_key(world.home, f"{SOUTH}-system").key_id)
    assert len(desk.integrator.kept) == 0
    done = await desk.ask()
    assert (desk.asked, done.sources[0].cached) == (2, 0)


async def test_a_suspended_party_is_refused_whatever_was_kept_for_it(desk: Desk, world: Any) -> None:
    await desk.ask()
    await desk.move_standing(TargetKind.PARTY, str(world.region.parties[NORTH]))
    with pytest.raises(NotAllowed) as refused:
        await desk.ask()
    assert refused.value.code == "party_suspended"
    assert (desk.asked, len(desk.integrator.kept)) == (1, 0)


async def test_when_its_time_is_over_the_source_is_asked_again(desk: Desk, world: Any) -> None:
    await desk.ask()
    world.clock.by = timedelta(seconds=60)
    done = await desk.ask()
    assert (desk.asked, done.sources[0].cached) == (2, 0)


async def test_a_silent_source_is_asked_again_and_then_serves(desk: Desk) -> None:
    desk.sources["kbo"].silent = True
    assert (await desk.ask()).released.value["active"].status == "no_answer"
    desk.sources["kbo"].silent = False
    assert (await desk.ask()).released.value["active"].value is True
    assert desk.asked == 2


async def test_a_copy_is_no_way_around_the_gate(desk: Desk, world: Any) -> None:
    await desk.ask()
    with pytest.raises(KoinonError) as refused:
        await desk.ask(world.system(SOUTH))
    assert refused.value.code == "authorisation_missing"
    with pytest.raises(KoinonError) as unknown:
        await desk.ask(subject={"enterprise_number": "1990000134"})
    assert unknown.value.code == "subject_not_registered"
