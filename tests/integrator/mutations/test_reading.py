"""Subscribers read on: recorded before it leaves, in order, and only about files that are open at that moment."""

import asyncio
import time

import pytest
from tests.integrator.mutations.conftest import Bureau, changed, numbers, subjects, void

from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.demo.region import AUTHORISATION, CONTRACTOR_FLOW, CONTRACTOR_PURPOSE, SOUTH
from koinon.trust.ledger import find_entries, read_private
from koinon.trust.standing.acts import Deed, TargetKind


async def entries(bureau: Bureau, kind: str) -> list[tuple[dict[str, object], list[str]]]:
    """Private fields and subjects of each entry of the kind, oldest first."""
    async with bureau.world.database.acquire() as connection:
        found = await find_entries(connection, kind=kind, limit=100)
        opened = await read_private(connection, bureau.world.sealer, found)
    return [(dict(each.fields), list(each.subjects)) for each in opened]  # type: ignore[union-attr,arg-type]


async def test_a_delivery_is_recorded_with_who_how_many_and_about_whom(bureau: Bureau) -> None:
    people = numbers(3)
    await bureau.know(people)
    heard = await bureau.subscribe()
    await bureau.publish(*(changed(n + 1, each) for n, each in enumerate(people)), changed(4, people[0]))
    delivery = await bureau.read(heard)
    assert delivery.receipt is not None and (delivery.after, delivery.until, delivery.last) == (0, 4, 4)
    [(fields, about)] = await entries(bureau, "mutations.delivered")
    assert (fields["rows"], fields["first"], fields["last"]) == (3, 1, 4)
    assert fields["subscription"] == str(heard.id) and sorted(about) == sorted(people)
    async with bureau.world.database.acquire() as connection:
        [entry] = await find_entries(connection, kind="mutations.delivered", limit=2)
        assert entry.id == delivery.receipt.entry
        row = await connection.fetchrow("SELECT authorisation FROM ledger.entry WHERE id = $1", entry.id)
    assert row is not None and row[0] == AUTHORISATION


async def test_the_consumer_reads_on_from_where_it_was_and_says_what_took_effect(bureau: Bureau) -> None:
    people = numbers(5)
    await bureau.know(people)
    heard = await bureau.subscribe()
    await bureau.publish(*(changed(n + 1, each) for n, each in enumerate(people)))
    first = await bureau.read(heard, limit=2)
    assert subjects(first) == people[:2]
    # Nothing was acknowledged: it comes again, under the same numbers.
    assert (await bureau.read(heard, limit=2)).items == first.items
    with pytest.raises(Invalid) as ahead:
        await bureau.acknowledge(heard, 3)
    assert ahead.value.code == "acknowledged_ahead"
    view = await bureau.acknowledge(heard, 2)
    assert (view.acknowledged, view.waiting, view.state) == (2, 3, "running")
    assert (await bureau.acknowledge(heard, 1)).acknowledged == 2
    assert subjects(await bureau.read(heard, 2)) == people[2:]
    with pytest.raises(Invalid) as beyond:
        await bureau.read(heard, 6)
    assert beyond.value.code == "cursor_ahead"


async def test_nothing_is_delivered_about_a_file_that_ended_and_the_sequence_stays_whole(
    bureau: Bureau,
) -> None:
    people = numbers(4)
    dossiers = await bureau.know(people)
    await bureau.know([people[3]], seconds=0.4)
    heard = await bureau.subscribe()
    await bureau.publish(*(changed(n + 1, each) for n, each in enumerate(people)))
    await bureau.close(dossiers[1])
    await bureau.close(dossiers[3])
    await asyncio.sleep(0.5)  # the fourth had another file, which runs out by itself
    delivery = await bureau.read(heard)
    assert [(item.number, item.kind) for item in delivery.items] == [
        (1, "changed"), (2, "withdrawn"), (3, "changed"), (4, "withdrawn")
    ]  # fmt: skip
    assert subjects(delivery) == [people[0], "", people[2], ""]
    [(fields, about)] = await entries(bureau, "mutations.delivered")
    assert fields["rows"] == 2 and sorted(about) == sorted([people[0], people[2]])


async def test_a_subscription_ends_with_the_last_file_also_when_that_runs_out_by_itself(
    bureau: Bureau,
) -> None:
    async with bureau.world.database.acquire() as connection:
        await connection.execute("UPDATE integrator.dossier SET ended_at = now()")
    [one] = numbers(1)
    await bureau.know([one])
    heard = await bureau.subscribe()
    await bureau.publish(changed(1, one))
    async with bureau.world.database.acquire() as connection:
        await connection.execute("UPDATE integrator.dossier SET valid_until = now() WHERE ended_at IS NULL")
    with pytest.raises(Conflict) as ended:
        await bureau.read(heard)
    assert (ended.value.code, ended.value.facts["why"]) == ("subscription_ended", "no_dossier_left")
    view = await bureau.look(heard)
    assert (view.state, view.code) == ("ended", "no_dossier_left")
    [(fields, _)] = await entries(bureau, "mutations.unsubscribed")
    assert fields["code"] == "no_dossier_left"
    # A party without a file cannot begin one either.
    with pytest.raises(NotAllowed) as refused:
        await bureau.subscribe()
    assert refused.value.code == "subject_not_registered"
    [(refusal, _)] = await entries(bureau, "exchange.refused")
    assert refusal["case"] == "TELL-ME"


async def test_a_suspension_in_the_middle_stops_delivery_and_nothing_is_lost(bureau: Bureau) -> None:
    people = numbers(4)
    await bureau.know(people)
    heard = await bureau.subscribe()
    await bureau.publish(changed(1, people[0]), changed(2, people[1]))
    await bureau.read(heard, limit=1)
    await bureau.acknowledge(heard, 1)
    waiting = asyncio.create_task(bureau.read(heard, 2, wait_seconds=20))
    await asyncio.sleep(0.2)
    await bureau.world.act("chair", Deed.SUSPEND, TargetKind.AUTHORISATION, AUTHORISATION)
    with pytest.raises(NotAllowed) as refused:
        await bureau.read(heard, 1)
    assert refused.value.code == "authorisation_suspended" and "reason" in refused.value.facts
    # What comes meanwhile gets its number, and stays.
    await bureau.publish(changed(3, people[2]))
    with pytest.raises(NotAllowed) as long_poll:
        await waiting
    assert long_poll.value.code == "authorisation_suspended"
    view = await bureau.look(heard)
    assert (view.state, view.code, view.last, view.acknowledged) == (
        "stopped",
        "authorisation_suspended",
        3,
        1,
    )
    assert len(await entries(bureau, "mutations.delivered")) == 1
    await bureau.world.act("chair", Deed.RESUME, TargetKind.AUTHORISATION, AUTHORISATION)
    await bureau.publish(changed(4, people[3]))
    await bureau.gate.keeper.refresh((await bureau.gate.keeper.settle()).epoch)
    delivery = await bureau.read(heard, 1)
    assert subjects(delivery) == people[1:]
    assert (await bureau.look(heard)).state == "running"


async def test_a_rule_that_gives_less_takes_the_keys_too(bureau: Bureau) -> None:
    """The rule on the register of persons is suspended; that on households is not."""
    one, other = numbers(2)
    await bureau.know([one, other])
    heard = await bureau.subscribe()
    await bureau.publish(changed(1, one), changed(2, other, service="household"))
    rule = "social-dwelling-admission.rijksregister-person"
    await bureau.world.act("chair", Deed.SUSPEND, TargetKind.RULE, rule)
    await bureau.gate.keeper.refresh((await bureau.gate.keeper.settle()).epoch)
    assert [(item.kind, item.subject) for item in (await bureau.read(heard)).items] == [
        ("withdrawn", ""), ("changed", other)
    ]  # fmt: skip


async def test_a_long_poll_answers_when_something_comes_and_when_its_time_is_over(bureau: Bureau) -> None:
    [one] = numbers(1)
    await bureau.know([one])
    heard = await bureau.subscribe()
    nothing = await bureau.read(heard, wait_seconds=0.3)
    assert (list(nothing.items), nothing.until, nothing.receipt) == ([], 0, None)
    assert await entries(bureau, "mutations.delivered") == []
    waiting = asyncio.create_task(bureau.read(heard, wait_seconds=20))
    await asyncio.sleep(0.2)
    began = time.monotonic()
    await bureau.publish(changed(1, one))
    assert subjects(await waiting) == [one]
    assert time.monotonic() - began < 5


async def test_asked_again_it_is_the_same_subscription_and_another_partys_is_unknown(bureau: Bureau) -> None:
    [one] = numbers(1)
    await bureau.know([one])
    heard = await bureau.subscribe(services=["rijksregister/household"])
    again = await bureau.subscribe(services=["rijksregister/person"])
    assert again.id == heard.id and list(again.resources) == ["rijksregister/person"]
    with pytest.raises(NotFound) as unknown:
        await bureau.read(heard, party=SOUTH)
    assert unknown.value.code == "subscription_unknown"
    await bureau.publish(changed(1, one, service="household"), changed(2, one))
    assert [item.resource for item in (await bureau.read(again)).items] == ["rijksregister/person"]
    ended = await bureau.mutations.end(heard.id, bureau.world.system())
    assert (ended.state, ended.code) == ("ended", "unsubscribed")
    with pytest.raises(Conflict) as over:
        await bureau.read(heard)
    assert over.value.code == "subscription_ended"
    assert (await bureau.subscribe()).id != heard.id


async def test_a_party_without_an_authorisation_cannot_subscribe_whatever_files_it_has(
    bureau: Bureau,
) -> None:
    await bureau.know(numbers(1), SOUTH)
    with pytest.raises(NotAllowed) as refused:
        await bureau.subscribe(SOUTH)
    assert refused.value.code == "authorisation_missing"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"flow": "elsewhere"}, "flow_unknown"),
        ({"purpose": "curiosity"}, "purpose_unknown"),
        ({"case": " "}, "case_missing"),
        ({"case": "x" * 65}, "case_too_long"),
        ({"services": ["kbo/enterprise"]}, "service_unknown"),
        ({"services": []}, "service_unknown"),
        ({"push_address": "http://169.254.169.254/latest"}, "push_address_refused"),
        ({"push_address": "http://10.0.0.1/inside"}, "push_address_refused"),
        ({"push_address": "postgresql://127.0.0.1/db"}, "push_address_refused"),
        ({"push_address": "http://127.0.0.1:9/told?key=1"}, "push_address_refused"),
        ({"flow": CONTRACTOR_FLOW, "purpose": CONTRACTOR_PURPOSE}, "authorisation_missing"),
    ],
)
async def test_a_subscription_that_cannot_be_is_refused(
    bureau: Bureau, values: dict[str, object], code: str
) -> None:
    await bureau.know(numbers(1))
    with pytest.raises((Invalid, NotFound, NotAllowed)) as refused:
        await bureau.subscribe(**values)
    assert refused.value.code == code
    assert await bureau.mutations.page(bureau.world.system()) == []


async def test_numbers_of_several_sources_stand_in_one_sequence(bureau: Bureau) -> None:
    [one] = numbers(1)
    await bureau.know([one])
    heard = await bureau.subscribe()
    await asyncio.gather(*(bureau.publish(changed(n, one), void(n + 100)) for n in (3, 1, 2)))
    delivery = await bureau.read(heard)
    assert [item.number for item in delivery.items] == [1, 2, 3]
