"""Sources publish under their own numbers: in order, once, and nobody hears of what is not theirs to hear of."""

from datetime import timedelta

import asyncpg
import pytest
from tests.integrator.mutations.conftest import RENT, Bureau, changed, numbers, replaced, subjects, void

from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.demo.region import SOUTH
from koinon.integrator.mutations import PublicationRequest
from koinon.trust.ledger import find_entries, read_private
from koinon.trust.standing.acts import Deed, TargetKind


async def test_a_mutation_is_told_to_who_has_a_file_on_the_person_and_to_nobody_else(bureau: Bureau) -> None:
    both, one, nobody, of_another = numbers(4)
    await bureau.know([both, one])
    await bureau.know([both], purpose=RENT["purpose"])
    await bureau.know([of_another], SOUTH)
    admission, rent = await bureau.subscribe(), await bureau.subscribe(**RENT)
    done = await bureau.publish(changed(1, both), changed(2, one), changed(3, nobody), changed(4, of_another))
    assert (done.accepted, done.repeated, done.told) == (4, 0, 3)
    assert done.stream.passed_until == 4 and not done.stream.missing
    assert subjects(await bureau.read(admission)) == [both, one]
    assert subjects(await bureau.read(rent)) == [both]


async def test_what_comes_after_a_gap_waits_and_the_gap_is_told(bureau: Bureau) -> None:
    people = numbers(6)
    await bureau.know(people)
    heard = await bureau.subscribe()
    done = await bureau.publish(changed(1, people[0]), changed(4, people[3]), changed(6, people[5]))
    assert (done.stream.passed_until, done.stream.held, list(done.stream.missing)) == (1, 2, [(2, 3), (5, 5)])
    assert subjects(await bureau.read(heard)) == people[:1]
    # The source's keeper lost its place, and asks.
    assert await bureau.publishing.look("rijksregister", bureau.keeper) == done.stream
    done = await bureau.publish(changed(3, people[2]), changed(2, people[1]))
    assert (done.stream.passed_until, list(done.stream.missing)) == (4, [(5, 5)])
    # A number that was never given out is closed as such, or it would wait for ever.
    done = await bureau.publish(void(5))
    assert (done.stream.passed_until, done.stream.held, done.told) == (6, 0, 1)
    delivery = await bureau.read(heard)
    assert subjects(delivery) == [people[0], people[1], people[2], people[3], people[5]]
    assert [item.number for item in delivery.items] == [1, 2, 3, 4, 5]


async def test_what_is_published_again_changes_nothing(bureau: Bureau) -> None:
    people = numbers(3)
    await bureau.know(people)
    heard = await bureau.subscribe()
    await bureau.publish(changed(1, people[0]), changed(2, people[1]))
    again = await bureau.publish(changed(1, people[0]), changed(2, people[1]), changed(3, people[2]))
    assert (again.accepted, again.repeated, again.told) == (1, 2, 1)
    once_more = await bureau.publish(changed(3, people[2]))
    assert (once_more.accepted, once_more.repeated, once_more.told) == (0, 1, 0)
    assert subjects(await bureau.read(heard)) == people
    async with bureau.world.database.acquire() as connection:
        entries = await find_entries(connection, kind="mutations.published", limit=10)
        opened = await read_private(connection, bureau.world.sealer, entries)
    assert sorted(each.fields["accepted"] for each in opened) == [1, 2]  # type: ignore[union-attr]
    assert all(not each.subjects for each in opened)  # type: ignore[union-attr]


async def test_a_number_with_other_content_is_refused_and_nothing_of_it_happened(bureau: Bureau) -> None:
    one, other = numbers(2)
    await bureau.know([one, other])
    heard = await bureau.subscribe()
    await bureau.publish(changed(1, one))
    with pytest.raises(Conflict) as refused:
        await bureau.publish(changed(2, other), changed(1, other))
    assert (refused.value.code, refused.value.facts["sequence"]) == ("sequence_reused", 1)
    assert subjects(await bureau.read(heard)) == [one]
    assert (await bureau.publishing.look("rijksregister", bureau.keeper)).passed_until == 1


async def test_a_source_cannot_run_far_ahead_of_a_gap(bureau: Bureau) -> None:
    [one] = numbers(1)
    with pytest.raises(Conflict) as refused:
        await bureau.publish(changed(10_001, one))
    assert (refused.value.code, refused.value.facts["expected"]) == ("sequence_too_far_ahead", 1)
    # A source that has counted for years says where it begins.
    done = await bureau.publish(changed(10_001, one), begins_at=10_001)
    assert done.stream.passed_until == 10_001


@pytest.mark.parametrize(
    ("mutation", "code"),
    [
        (changed(0, numbers(1)[0]), "sequence_malformed"),
        (changed(1, "80690112371"), "subject_malformed"),
        (changed(1, numbers(1)[0], service="shoe_size"), "service_unknown"),
        (changed(1, numbers(1)[0], effective_on=None), "effective_on_missing"),
        (changed(1, numbers(1)[0], kind="replaced"), "replaced_by_malformed"),
        (replaced(1, numbers(1)[0], numbers(1)[0]), "replaced_by_malformed"),
        (changed(1, numbers(1)[0], replaced_by=numbers(2)[1]), "replaced_by_malformed"),
        (changed(1, numbers(1)[0], kind="died", service="household"), "kind_not_of_service"),
        (changed(1, numbers(1)[0], kind="void"), "void_not_empty"),
    ],
)
async def test_what_is_malformed_is_refused_whole(bureau: Bureau, mutation: object, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        await bureau.publish(mutation)  # type: ignore[arg-type]
    assert refused.value.code == code
    assert numbers(1)[0] not in str(refused.value)
    assert (await bureau.publishing.look("rijksregister", bureau.keeper)).passed_until == 0


async def test_only_the_keeper_of_a_source_publishes_for_it(bureau: Bureau) -> None:
    request = PublicationRequest(source="rijksregister", mutations=[void(1)])
    with pytest.raises(NotAllowed) as refused:
        await bureau.publishing.publish(request, bureau.world.system())
    assert refused.value.code == "not_keeper"
    with pytest.raises(NotAllowed) as other:
        await bureau.publishing.publish(PublicationRequest(source="kbo", mutations=[void(1)]), bureau.keeper)
    assert other.value.code == "not_keeper"
    with pytest.raises(NotFound) as unknown:
        await bureau.publishing.look("elsewhere", bureau.keeper)
    assert unknown.value.code == "source_unknown"
    await bureau.world.act("chair", Deed.SUSPEND, TargetKind.PARTY, str(bureau.keeper.party))
    await bureau.gate.keeper.refresh((await bureau.gate.keeper.settle()).epoch)
    with pytest.raises(NotAllowed) as suspended:
        await bureau.publish(void(1))
    assert suspended.value.code == "party_suspended"


async def test_a_person_merged_into_another_is_told_on_under_the_number_of_the_file(bureau: Bureau) -> None:
    old, new, newest = numbers(3)
    await bureau.know([old])
    heard = await bureau.subscribe()
    await bureau.publish(replaced(1, old, new), changed(2, new), replaced(3, new, newest), changed(4, newest))
    items = (await bureau.read(heard)).items
    assert [(item.kind, item.subject, item.replaced_by) for item in items] == [
        ("replaced", old, new), ("changed", old, None), ("replaced", old, newest), ("changed", old, None)
    ]  # fmt: skip


async def test_replacements_that_come_in_the_wrong_order_meet(bureau: Bureau) -> None:
    old, new, newest = numbers(3)
    await bureau.know([old])
    heard = await bureau.subscribe()
    await bureau.publish(replaced(1, new, newest))
    await bureau.publish(replaced(2, old, new))
    await bureau.publish(changed(3, newest))
    assert [item.kind for item in (await bureau.read(heard)).items] == ["replaced", "changed"]


async def test_who_has_files_under_both_numbers_is_told_once(bureau: Bureau) -> None:
    old, new = numbers(2)
    await bureau.know([old, new])
    heard = await bureau.subscribe()
    await bureau.publish(replaced(1, old, new), changed(2, new, kind="died"))
    items = (await bureau.read(heard)).items
    assert [(item.kind, item.subject) for item in items] == [("replaced", old), ("died", new)]


async def test_no_table_holds_a_number_of_a_person_in_the_clear(bureau: Bureau) -> None:
    old, new = numbers(2)
    await bureau.know([old])
    await bureau.subscribe()
    await bureau.publish(replaced(1, old, new))
    async with bureau.world.database.acquire() as connection:
        rows = await connection.fetch("SELECT to_jsonb(p)::text FROM mutations.publication p")
        rows += await connection.fetch("SELECT to_jsonb(r)::text FROM mutations.replacement r")
        rows += await connection.fetch("SELECT to_jsonb(i)::text FROM mutations.item i")
    text = "".join(str(row[0]) for row in rows)
    assert len(rows) == 3
    for number in (old, new):
        assert number not in text and number.encode().hex() not in text


async def test_a_file_that_is_not_open_hears_nothing(bureau: Bureau) -> None:
    one, later, over = numbers(3)
    await bureau.know([one])
    [ended] = await bureau.know([over])
    now = bureau.world.clock.now()
    await bureau.close(ended)
    heard = await bureau.subscribe()
    async with bureau.world.database.acquire() as connection:
        [begins] = await bureau.know([later])
        await connection.execute(
            "UPDATE integrator.dossier SET valid_from = $2 WHERE id = $1", begins, now + timedelta(hours=1)
        )
    done = await bureau.publish(changed(1, later), changed(2, over), changed(3, one))
    assert done.told == 1
    assert subjects(await bureau.read(heard)) == [one]


async def test_no_number_is_of_a_subscription_or_source_that_is_not_there(bureau: Bureau) -> None:
    [one] = numbers(1)
    await bureau.know([one])
    await bureau.subscribe()
    await bureau.publish(changed(1, one))
    for statement in (
        "INSERT INTO mutations.item VALUES (gen_random_uuid(), 1, 'rijksregister', 1, gen_random_uuid(), now())",
        "INSERT INTO mutations.publication (source, sequence, resource, kind, digest, received_at) "
        "VALUES ('nobody', 1, '', 'void', sha256(''), now())",
        "UPDATE mutations.item SET subscription = gen_random_uuid()",
        "UPDATE mutations.publication SET source = 'nobody'",
        "DELETE FROM mutations.subscription",
        "UPDATE mutations.subscription SET id = gen_random_uuid()",
        "DELETE FROM mutations.stream",
        "UPDATE mutations.stream SET source = 'nobody'",
    ):
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            async with bureau.world.database.acquire() as connection:  # with the owner's rights
                await connection.execute(statement)
