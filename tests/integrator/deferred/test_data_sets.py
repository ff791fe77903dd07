"""Results that become data sets by themselves: agreed on by two, once each, only what the rules give at that moment."""

import asyncio
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pyarrow
import pytest
from tests.app.conftest import application  # noqa: F401 - the fixture
from tests.integrator.deferred.conftest import Office, message, numbers
from tests.integrator.processing.test_noise_page import HTML, enter, shoot
from tests.integrator.processing.test_web import client, sign_in  # noqa: F401 - the fixtures

from koinon.app.batches import run_batches
from koinon.base.errors import Conflict, KoinonError, NotAllowed
from koinon.base.text import Text
from koinon.demo.region import AUTHORISATION, FLOW, NORTH, PURPOSE, SOUTH
from koinon.integrator.deferred import store as batches
from koinon.integrator.deferred.data_sets import DataSetOrders, NewOrder
from koinon.integrator.deferred.data_sets.service import name_of
from koinon.integrator.flows import FLOWS
from koinon.integrator.processing.anonymise import Anonymity, Quasi
from koinon.integrator.processing.makings import Makings
from koinon.integrator.processing.model import NewDataSet
from koinon.integrator.processing.privacy import Price
from koinon.integrator.processing.service import Processing
from koinon.trust.ledger import find_entries
from koinon.trust.parties import Author
from koinon.trust.standing.acts import Deed, TargetKind

TITLE = Text("Kandidaten", "Candidats", "Applicants")


class Bureau:
    """An office whose results are ordered as data sets."""

    def __init__(self, office: Office) -> None:
        self.office = office
        world = office.world
        self.processing = Processing(
            database=office.gate.database,
            sealer=world.sealer,
            objects=office.objects,
            clock=world.clock,
            home=world.home,
            keeper=office.gate.keeper,
        )
        self.orders = DataSetOrders(
            database=office.gate.database,
            processing=self.processing,
            gate=office.gate,
            sealed=office.sealed,
            flows=FLOWS,
        )
        region = world.region
        self.olga = self.person("olga", "operator", "integrator")
        self.marc = self.person("marc", "party_manager", NORTH)
        self.new = NewOrder(
            party=region.parties[NORTH],
            flow=FLOW,
            purpose=PURPOSE,
            fields=("household_size", "admissible"),
            title=TITLE,
            budget=Price(epsilon=Decimal(1)),
        )

    def person(self, login: str, profile: str, party: str) -> Author:
        region = self.office.world.region
        return Author(person=region.persons[login], party=region.parties[party], profile=profile)

    async def agreed(self) -> None:
        order = await self.orders.propose(self.new, self.olga)
        await self.orders.agree(order.id, self.marc)

    async def answered(self, people: list[str], number: str = "B-1") -> Any:
        """The batch is done."""
        batch = await self.office.send(message(self.office.world, people, number=number), number=number)
        async with self.office.running():
            return await self.office.until(batch, "done")

    async def lines(self) -> list[tuple[str, str | None]]:
        _, lines = await self.orders.list_orders(self.olga)
        return [(each.state, each.code) for each in lines]


@pytest.fixture
async def bureau(office: Office) -> Bureau:
    return Bureau(office)


async def code_of(call: Any) -> str:
    with pytest.raises(KoinonError) as refused:
        await call
    return refused.value.code


async def test_the_answers_of_a_batch_are_a_data_set_once_with_its_batch_as_origin(bureau: Bureau) -> None:
    people = numbers(9)
    await bureau.office.know(people[:-1])
    await bureau.agreed()
    batch = await bureau.answered([*people, people[0]])  # one stands in it twice, the last in no file
    assert await bureau.lines() == [("waiting", None)]
    assert await bureau.orders.register_next() and not await bureau.orders.register_next()
    [(made, budget)] = await bureau.processing.list_data_sets()
    assert made.origin == f"batch:{batch.id}" and made.name.startswith(FLOW)
    assert set(made.columns) == {"subject", "household_size", "admissible"}
    assert budget is not None and budget.epsilon == 1
    rows = await bureau.processing.load_rows(made)
    assert (rows.num_rows, set(rows["household_size"].to_pylist())) == (8, {1})
    assert not set(rows["subject"].to_pylist()) & set(people)
    async with bureau.office.world.database.acquire() as connection:
        # By their kinds: entries of one minute have no order, and the region may have been made in this one.
        told = ("data_set_order.proposed", "data_set_order.agreed", "data_set.taken")
        counts = [len(await find_entries(connection, kind=kind)) for kind in told]
        [entry] = await find_entries(connection, kind="data_set.registered")
        found = await batches.find_batch(connection, batch.id)
    assert entry.public["origin"] == made.origin
    assert counts == [1, 1, 1]
    assert found is not None and name_of(found) == made.name
    # By hand, under another name and with other columns: the origin is known.
    by_hand = NewDataSet(
        name="by-hand", title=TITLE, source="by hand", budget=Price(epsilon=Decimal(1)), origin=made.origin
    )
    with pytest.raises(Conflict) as refused:
        await bureau.processing.register_data_set(by_hand, rows.select(["subject"]), bureau.olga)
    assert (refused.value.code, refused.value.facts["by"]) == ("data_set_same", "origin")


async def test_the_same_persons_with_the_same_answers_in_a_second_batch_get_no_second_budget(
    bureau: Bureau,
) -> None:
    people = numbers(6)
    await bureau.office.know(people)
    await bureau.agreed()
    await bureau.answered(people)
    await bureau.answered(list(reversed(people)), "B-2")
    while await bureau.orders.register_next():
        pass
    assert sorted(await bureau.lines()) == [("refused", "data_set_same"), ("registered", None)]
    assert len(await bureau.processing.list_data_sets()) == 1


async def test_what_was_registered_by_a_process_that_did_not_live_to_say_so_is_said_by_the_next(
    bureau: Bureau,
) -> None:
    people = numbers(6)
    await bureau.office.know(people)
    await bureau.agreed()
    batch = await bureau.answered(people)
    async with bureau.office.world.database.acquire() as connection:
        found = await batches.find_batch(connection, batch.id)
    [order], _ = await bureau.orders.list_orders(bureau.olga)
    assert found is not None
    await bureau.orders.register(found, order)
    assert await bureau.orders.register_next()
    assert await bureau.lines() == [("registered", None)]


async def test_a_fault_of_ours_with_one_result_is_tried_again_and_ends_nothing_else(
    bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = numbers(6)
    await bureau.office.know(people)
    await bureau.agreed()
    await bureau.answered(people)
    with monkeypatch.context() as patch:
        patch.setattr(bureau.processing, "register_data_set", None)
        assert not await bureau.orders.register_next()
    assert await bureau.lines() == [("waiting", None)]
    assert not await bureau.orders.register_next(), "it waits for its turn"
    async with bureau.office.world.database.acquire() as connection:
        await connection.execute("UPDATE deferred.data_set_line SET at = at - interval '1 minute'")
    assert await bureau.orders.register_next()
    assert await bureau.lines() == [("registered", None)]


async def test_nothing_is_registered_without_the_partys_word_nor_after_the_end_nor_under_a_suspension(
    bureau: Bureau,
) -> None:
    people = numbers(6)
    await bureau.office.know(people)
    order = await bureau.orders.propose(bureau.new, bureau.olga)
    assert await code_of(bureau.orders.propose(bureau.new, bureau.olga)) == "data_set_order_exists"
    await bureau.answered(people)
    assert not await bureau.orders.register_next() and await bureau.lines() == []
    luc = bureau.person("luc", "party_manager", SOUTH)
    assert await code_of(bureau.orders.agree(order.id, luc)) == "data_set_order_unknown"
    assert await code_of(bureau.orders.agree(order.id, bureau.olga)) == "profile_not_held"
    assert await code_of(bureau.orders.propose(bureau.new, bureau.marc)) == "profile_not_held"
    await bureau.orders.agree(order.id, bureau.marc)
    assert await code_of(bureau.orders.agree(order.id, bureau.marc)) == "data_set_order_over"
    await bureau.answered(people, "B-2")
    await bureau.office.world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, AUTHORISATION)
    while (await bureau.lines())[0][0] == "waiting":
        # Decided under the standing of before it waits, two seconds, and is decided anew.
        if not await bureau.orders.register_next():
            await asyncio.sleep(0.1)
    assert await bureau.lines() == [("refused", "authorisation_suspended")]
    assert await bureau.processing.list_data_sets() == []
    await bureau.orders.end(order.id, bureau.marc)
    assert await code_of(bureau.orders.end(order.id, bureau.olga)) == "data_set_order_over"


async def test_an_operator_whom_the_commission_stopped_proposes_and_publishes_nothing(bureau: Bureau) -> None:
    olga = bureau.olga
    await bureau.office.world.act("chair", Deed.SUSPEND, TargetKind.PERSON, str(olga.person))
    await bureau.office.gate.keeper.refresh((await bureau.office.gate.keeper.settle()).epoch)
    with pytest.raises(NotAllowed) as refused:
        await bureau.orders.propose(bureau.new, olga)
    assert refused.value.code == "person_suspended"
    rows = pyarrow.table({"subject": ["1"], "zone": ["a"]})
    new = NewDataSet(name="rows", title=TITLE, source="test", budget=Price(epsilon=Decimal(1)))
    with pytest.raises(NotAllowed) as refused:
        await bureau.processing.register_data_set(new, rows, olga)
    assert refused.value.code == "person_suspended"
    with pytest.raises(NotAllowed) as refused:
        await Makings(bureau.processing).start(
            "rows", Anonymity(quasi=(Quasi(column="zone", kind="category"),), k=2), olga
        )
    assert refused.value.code == "person_suspended"


async def test_a_manager_whom_the_commission_stopped_agrees_to_nothing_and_ends_nothing(
    bureau: Bureau,
) -> None:
    order = await bureau.orders.propose(bureau.new, bureau.olga)
    await bureau.office.world.act("chair", Deed.SUSPEND, TargetKind.PERSON, str(bureau.marc.person))
    await bureau.office.gate.keeper.refresh((await bureau.office.gate.keeper.settle()).epoch)
    assert await code_of(bureau.orders.agree(order.id, bureau.marc)) == "person_suspended"
    assert await code_of(bureau.orders.end(order.id, bureau.marc)) == "person_suspended"
    [found], _ = await bureau.orders.list_orders(bureau.olga)
    assert found.state == "proposed"


async def test_an_order_is_about_fields_that_the_flow_gives(bureau: Bureau) -> None:
    for changed, code in (
        ({"fields": ("income",)}, "field_unknown"),
        ({"fields": ()}, "field_unknown"),
        ({"purpose": "debt_recovery"}, "purpose_unknown"),
        ({"flow": "nothing"}, "flow_unknown"),
    ):
        new = msgspec.structs.replace(bureau.new, **changed)  # type: ignore[arg-type]
        assert await code_of(bureau.orders.propose(new, bureau.olga)) == code


@pytest.mark.browser
async def test_an_operator_proposes_and_the_manager_agrees_on_pages(
    application: Any,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
    world: Any,
    serve: Any,
    new_page: Any,
    find_barriers: Any,
) -> None:
    here = "/processing/results"
    await sign_in(application, client, "an")
    assert (await client.get(here, headers=HTML)).status_code == 403
    csrf = await sign_in(application, client, "olga")
    form = {
        "party": str(world.region.parties[NORTH]), "flow": FLOW, "purpose": PURPOSE,
        "fields": ["household_size", "admissible"], "epsilon": "0,5", "title_nl": "Kandidaten", "_csrf": csrf,
    }  # fmt: skip
    bad = await client.post(f"{here}?lang=en", data=form | {"epsilon": "50"}, headers=HTML)
    assert bad.status_code == 400 and "at most 10" in bad.text
    assert (await client.post(here, data=form, headers=HTML)).status_code == 303
    origin = await serve(application.asgi)
    for login, language in (("olga", "nl"), ("marc", "fr")):
        csrf = await sign_in(application, client, login)
        page = await new_page(locale=language)
        await enter(page.context, origin, client)
        await page.goto(f"{origin}{here}?lang={language}")
        assert await find_barriers(page) == []
        await shoot(page, f"results-{language}")
        await page.context.close()
    [order] = (await client.get("/api/processing/results")).json()["orders"]
    assert (
        await client.post(f"{here}/{order['id']}/agree", data={"_csrf": csrf}, headers=HTML)
    ).status_code == 303
    [order] = (await client.get("/api/processing/results")).json()["orders"]
    assert order["agreed_at"] is not None


async def test_the_process_that_runs_batches_registers_them(bureau: Bureau) -> None:
    people = numbers(4)
    await bureau.office.know(people)
    await bureau.agreed()
    await bureau.answered(people)
    world = bureau.office.world
    running = asyncio.create_task(
        run_batches(msgspec.structs.replace(world.settings, database_url=world.url))
    )
    async with asyncio.timeout(60):
        while await bureau.lines() != [("registered", None)]:
            assert not running.done()
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
