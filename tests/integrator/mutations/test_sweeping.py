"""What is kept is bounded, and who was away too long is told so."""

from datetime import timedelta

import pytest
from tests.integrator.mutations.conftest import RENT, Bureau, changed, numbers, subjects

from koinon.base.database import Database
from koinon.base.errors import Conflict
from koinon.integrator.mutations import policy, sweep


async def swept(bureau: Bureau, after: timedelta) -> int:
    """As the worker does it, so long from now."""
    async with await Database.open(bureau.world.url, kind="worker", max_size=2) as database:
        return await sweep(database, bureau.world.sealer, bureau.world.clock.now() + after)


async def test_who_is_away_past_the_term_must_resynchronise_and_the_others_notice_nothing(
    bureau: Bureau,
) -> None:
    people = numbers(4)
    await bureau.know(people, seconds=86_400 * 90)
    await bureau.know(people, purpose=RENT["purpose"], seconds=86_400 * 90)
    away, live = await bureau.subscribe(), await bureau.subscribe(**RENT)
    await bureau.publish(*(changed(n + 1, each) for n, each in enumerate(people)))
    await bureau.read(live)
    await bureau.acknowledge(live, 4)
    await swept(bureau, policy.KEPT - timedelta(hours=1))
    assert subjects(await bureau.read(away)) == people
    await swept(bureau, policy.KEPT + timedelta(hours=1))
    for after in (0, 4):
        with pytest.raises(Conflict) as behind:
            await bureau.read(away, after)
        assert (behind.value.code, behind.value.facts["floor"]) == ("resynchronise", 4)
    with pytest.raises(Conflict) as hidden:
        await bureau.acknowledge(away, 4)
    assert hidden.value.code == "resynchronise"
    assert (await bureau.look(away)).state == "behind"
    # Whoever had everything reads on.
    assert (await bureau.look(live)).state == "running"
    await bureau.publish(changed(5, people[0]))
    assert subjects(await bureau.read(live, 4)) == people[:1]
    system = bureau.world.system()
    view = await bureau.mutations.resynchronised(away.id, 4, system)
    assert (view.state, view.waiting) == ("running", 1)
    assert subjects(await bureau.read(away, 4)) == people[:1]
    async with bureau.world.database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM mutations.publication") == 1


async def test_what_was_acknowledged_is_kept_a_day_for_who_comes_back_from_a_backup(bureau: Bureau) -> None:
    people = numbers(2)
    await bureau.know(people, seconds=86_400 * 90)
    heard = await bureau.subscribe()
    await bureau.publish(changed(1, people[0]), changed(2, people[1]))
    await bureau.read(heard)
    await bureau.acknowledge(heard, 1)
    await swept(bureau, timedelta(hours=20))
    assert subjects(await bureau.read(heard, 0)) == people
    await swept(bureau, timedelta(hours=26))
    with pytest.raises(Conflict) as gone:
        await bureau.read(heard, 0)
    assert gone.value.code == "resynchronise"
    assert subjects(await bureau.read(heard, 1)) == people[1:]


async def test_subscriptions_whose_last_file_ran_out_end_by_themselves(bureau: Bureau) -> None:
    async with bureau.world.database.acquire() as connection:
        await connection.execute("UPDATE integrator.dossier SET ended_at = now()")
    await bureau.know(numbers(1), seconds=3600)
    await bureau.know(numbers(1), purpose=RENT["purpose"], seconds=86_400)
    ends, stays = await bureau.subscribe(), await bureau.subscribe(**RENT)
    assert await swept(bureau, timedelta(minutes=30)) == 0
    assert await swept(bureau, timedelta(hours=2)) == 1
    assert ((await bureau.look(ends)).code, (await bureau.look(stays)).state) == (
        "no_dossier_left",
        "running",
    )


async def test_a_source_that_left_a_gap_keeps_what_waits_for_it(bureau: Bureau) -> None:
    people = numbers(3)
    await bureau.know(people, seconds=86_400 * 90)
    heard = await bureau.subscribe()
    await bureau.publish(changed(1, people[0]), changed(3, people[2]))
    await swept(bureau, policy.KEPT + timedelta(days=1))
    done = await bureau.publish(changed(2, people[1]))
    assert done.stream.passed_until == 3
    with pytest.raises(Conflict):
        await bureau.read(heard)
    await bureau.mutations.resynchronised(heard.id, 1, bureau.world.system())
    assert subjects(await bureau.read(heard, 1)) == people[1:]
